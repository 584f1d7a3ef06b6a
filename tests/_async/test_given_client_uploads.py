"""A body that is read while it is sent, as an HTTP client of the user's sees it: as httpx's own streamed bodies."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from gigachat_sdk import APIConnectionError, AsyncClient
from gigachat_sdk._concurrency import async_call
from gigachat_sdk._request import Call
from gigachat_sdk._retry import CallKind
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect
from .test_sources import WHOLE, Source, send

pytestmark = pytest.mark.anyio
PATH = "/v1/things"
SIZES = pytest.mark.parametrize("size", [len(WHOLE), None])


class Sign(httpx.Auth):
    """Puts the digest of the body into the head, as some gateways want it."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        request.headers["X-Digest"] = hashlib.sha256(request.content).hexdigest()
        yield request


class Twice(httpx.Auth):
    """Sends again what was refused, as digest authentication does."""

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:
        response = yield request
        if response.status_code == 401:
            yield request


@pytest.fixture
async def given(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """Make HTTP clients of a user's; they are closed after the test."""
    made: list[httpx.AsyncClient] = []

    def make(**options: Any) -> httpx.AsyncClient:
        made.append(httpx.AsyncClient(trust_env=False, **options))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


@SIZES
async def test_an_auth_that_needs_the_body_gets_it(
    connect: Connect, emulator: Emulator, given: Any, size: int | None
) -> None:
    emulator.reply(PATH, Reply(body=b"ok"))
    assert await send(connect(emulator, http_client=given(auth=Sign())), Source(size=size)) == b"ok"
    (request,) = emulator.requests_to(PATH)
    assert request.body == WHOLE
    assert request.headers["x-digest"] == hashlib.sha256(WHOLE).hexdigest()
    assert request.headers.get("content-length") == (None if size is None else str(size))
    assert request.headers.get("transfer-encoding") == ("chunked" if size is None else None)


async def test_each_retry_signs_the_body_anew(
    connect: Connect, emulator: Emulator, given: Any, delays: list[float]
) -> None:
    emulator.reply(PATH, Reply.error(500, "x"), Reply(body=b"ok"))
    source = Source(size=len(WHOLE))
    assert await send(connect(emulator, http_client=given(auth=Sign())), source) == b"ok"
    digests = [request.headers["x-digest"] for request in emulator.requests_to(PATH)]
    assert digests == [hashlib.sha256(WHOLE).hexdigest()] * 2
    assert (source.rewound, len(delays)) == (1, 1)


@SIZES
async def test_an_auth_may_send_it_twice(connect: Connect, emulator: Emulator, given: Any, size: int | None) -> None:
    emulator.reply(PATH, Reply.error(401, "x"), Reply(body=b"ok"))
    source = Source(size=size)
    assert await send(connect(emulator, http_client=given(auth=Twice())), source) == b"ok"
    assert [request.body for request in emulator.requests_to(PATH)] == [WHOLE] * 2
    assert source.rewound == 1


async def test_what_cannot_be_read_again_is_not_sent_empty(connect: Connect, emulator: Emulator, given: Any) -> None:
    emulator.reply(PATH, Reply.error(401, "x"))
    client = connect(emulator, http_client=given(auth=Twice()))
    with pytest.raises(APIConnectionError, match="sent once more, and its body cannot be read again"):
        await send(client, Source(can_rewind=False))
    assert len(emulator.requests_to(PATH)) == 1


async def test_a_hook_that_does_not_read_it_sees_none_and_one_that_does_sees_all(
    connect: Connect, emulator: Emulator, given: Any
) -> None:
    emulator.reply(PATH, Reply(body=b"ok"))
    seen: list[bytes] = []

    async def look(request: httpx.Request) -> None:
        if request.url.path == PATH:
            seen.append(request.content)

    async def read(request: httpx.Request) -> None:
        await async_call(request.read if hasattr(request.stream, "__iter__") else request.aread)

    client = connect(emulator, http_client=given(event_hooks={"request": [look]}))
    with pytest.raises(httpx.RequestNotRead):
        await send(client, Source())
    assert emulator.requests_to(PATH) == []
    client = connect(emulator, http_client=given(event_hooks={"request": [read, look]}))
    assert await send(client, Source()) == b"ok"
    assert seen == [emulator.requests_to(PATH)[0].body] == [WHOLE]


async def test_a_transport_for_tests_sees_it(given: Any) -> None:
    seen: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.content)
        return httpx.Response(200, json={})

    async with AsyncClient(access_token="t", http_client=given(transport=httpx.MockTransport(answer))) as client:
        call = Call("POST", "/things", CallKind.CREATING, body=Source())
        await client._session.exchange(call)
    assert seen == [WHOLE]
