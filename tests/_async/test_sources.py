"""Bodies that are read while they are sent: how they go over the wire, and when they are sent again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from gigachat_sdk import (
    APIConnectionError,
    AsyncClient,
    AuthenticationError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
)
from gigachat_sdk._request import Call
from gigachat_sdk._retry import CallKind
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import AttemptRequest, AttemptResponse

from .conftest import Connect

pytestmark = pytest.mark.anyio
Send = Callable[[AttemptRequest], Awaitable[AttemptResponse]]
PIECES = [b"a" * 10, b"b" * 20, b"c"]
WHOLE = b"".join(PIECES)


class Source:
    """A body in pieces, which counts how often it was rewound."""

    def __init__(self, *, size: int | None = None, can_rewind: bool = True) -> None:
        self.size = size
        self.can_rewind = can_rewind
        self.left = list(PIECES)
        self.rewound = 0

    def read(self) -> bytes:
        return self.left.pop(0) if self.left else b""

    def rewind(self) -> bool:
        if self.left != PIECES:
            if not self.can_rewind:
                return False
            self.rewound += 1
            self.left = list(PIECES)
        return True


async def send(client: AsyncClient, source: Source) -> bytes:
    call = Call("POST", "/things", CallKind.CREATING, body=source, content_type="application/octet-stream")
    return (await client._session.exchange(call)).content


@pytest.mark.parametrize("size", [len(WHOLE), None])
@pytest.mark.parametrize("given", [False, True])
async def test_the_size_is_told_where_it_is_known(
    connect: Connect, emulator: Emulator, size: int | None, given: bool
) -> None:
    emulator.reply("/v1/things", Reply(body=b"ok"))
    http_client = httpx.AsyncClient(trust_env=False) if given else None
    assert await send(connect(emulator, http_client=http_client), Source(size=size)) == b"ok"
    (request,) = emulator.requests_to("/v1/things")
    assert request.body == WHOLE
    assert request.headers.get("content-length") == (None if size is None else str(size))
    assert request.headers.get("transfer-encoding") == ("chunked" if size is None else None)
    if http_client is not None:
        await http_client.aclose()


async def test_a_source_goes_over_http2_too(connect: Connect, https_emulator: Emulator) -> None:
    https_emulator.reply("/v1/sources", Reply(body=b"ok"))
    client = connect(https_emulator, http2=True)
    call = Call("POST", "/sources", CallKind.CREATING, body=Source())
    answer = await client._session.exchange(call)
    assert (answer.content, answer.response.http_version) == (b"ok", "HTTP/2")
    assert https_emulator.requests_to("/v1/sources")[-1].body == WHOLE


async def test_a_source_is_rewound_before_it_is_sent_again(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    emulator.reply("/v1/things", Reply.error(500, "x"), Reply.error(429, "y"), Reply(body=b"ok"))
    source = Source()
    assert await send(client, source) == b"ok"
    assert [request.body for request in emulator.requests_to("/v1/things")] == [WHOLE] * 3
    assert (source.rewound, len(delays)) == (2, 2)


@pytest.mark.parametrize(("status", "error"), [(500, InternalServerError), (429, RateLimitError)])
async def test_one_that_cannot_be_rewound_is_sent_once(
    client: AsyncClient, emulator: Emulator, delays: list[float], status: int, error: type[Exception]
) -> None:
    emulator.reply("/v1/things", Reply.error(status, "x"))
    with pytest.raises(error):
        await send(client, Source(can_rewind=False))
    assert len(emulator.requests_to("/v1/things")) == 1
    assert delays == []


async def test_a_new_token_is_of_use_only_where_the_source_can_be_rewound(
    client: AsyncClient, emulator: Emulator
) -> None:
    await client.models.list()
    emulator.revoke_tokens()
    emulator.reply("/v1/things", Reply(body=b"ok"), times=3)
    with pytest.raises(AuthenticationError):
        await send(client, Source(can_rewind=False))
    assert emulator.oauth_requests == 1
    assert await send(client, Source(can_rewind=False)) == b"ok"  # the refused token is not tried again
    assert emulator.oauth_requests == 2
    emulator.revoke_tokens()
    assert await send(client, Source()) == b"ok"
    assert emulator.oauth_requests == 3


async def test_a_middleware_sends_a_source_again_only_from_its_beginning(connect: Connect, emulator: Emulator) -> None:
    async def twice(request: AttemptRequest, send_on: Send) -> AttemptResponse:
        await send_on(request)
        return await send_on(request)

    emulator.reply("/v1/things", Reply(body=b"ok"), times=3)
    client = connect(emulator, middleware=[twice])
    assert await send(client, Source()) == b"ok"
    with pytest.raises(InvalidRequestError, match="middleware: the body was sent already"):
        await send(client, Source(can_rewind=False))
    assert [request.body for request in emulator.requests_to("/v1/things")] == [WHOLE] * 3


async def test_a_source_that_was_not_begun_is_sent_though_it_cannot_be_rewound(
    connect: Connect, delays: list[float]
) -> None:
    client = connect(base_url="http://127.0.0.1:1/v1", access_token="t")
    source = Source(can_rewind=False)
    with pytest.raises(APIConnectionError, match="tried 3 times"):
        await send(client, source)
    assert source.left == PIECES


async def test_an_error_of_the_source_is_the_users(client: AsyncClient, emulator: Emulator) -> None:
    class Broken(Source):
        def read(self) -> bytes:
            raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await send(client, Broken())
    emulator.reply("/v1/things", Reply(body=b"ok"))
    assert await send(client, Source()) == b"ok"
