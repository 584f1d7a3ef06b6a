"""A client of the user's own whose hooks, `auth` or transport look at the answer before the SDK does."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk import (
    APIConnectionError,
    AsyncClient,
    ConfigurationError,
    NotFoundError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk._concurrency import async_call

from .conftest import Connect
from .http2_server import HTTP2Server
from .http2_server import Request as HTTP2Request
from .servers import STREAM_HEAD, Connection, RawServer, http_chunk, plain_answer

pytestmark = pytest.mark.anyio
MESSAGES: Any = [{"role": "user", "content": "x"}]
MODELS = b'{"data":[{"id":"GigaChat","object":"model"}]}'
EVENTS = b'data: {"choices":[{"delta":{"content":"%s"},"index":0}]}\n\n'
DONE = b"data: [DONE]\n\n"
BYTES = b"bytes of a file " * 100
NO_QUERY: dict[str, str] = {}
GZIP = "Content-Encoding: gzip\r\n"


def raw_of(response: httpx.Response) -> Any:
    return response.iter_raw() if hasattr(response.stream, "__iter__") else response.aiter_raw()


async def keep(response: httpx.Response) -> None:
    await async_call(response.read if hasattr(response.stream, "__iter__") else response.aread)


async def use_up(response: httpx.Response) -> None:
    async for _ in raw_of(response):
        pass


async def begin(response: httpx.Response) -> None:
    response.is_stream_consumed = True  # as iter_raw says at once; trio complains of generators that are left


async def let_go(response: httpx.Response) -> None:
    await response.aclose()


class Reading(httpx.Auth):
    """Looks at what was answered."""

    requires_response_body = True

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]  # a generator
        response = yield request
        assert response.content


@pytest.fixture
async def given() -> AsyncIterator[Callable[..., httpx.AsyncClient]]:
    clients: list[httpx.AsyncClient] = []

    def make(**options: Any) -> httpx.AsyncClient:
        clients.append(httpx.AsyncClient(timeout=5, **options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


WAYS = pytest.mark.parametrize(
    "options", [{"event_hooks": {"response": [keep]}}, {"auth": Reading()}], ids=["hook", "auth"]
)


def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
    path = request.split(b" ")[1]
    if path.endswith(b"/content"):
        yield plain_answer(BYTES, kind="image/jpeg")
    elif path.endswith(b"/content?gzip=1"):
        yield plain_answer(gzip.compress(BYTES), kind="image/jpeg", head=GZIP)
    elif path.endswith(b"/nothing"):
        yield plain_answer(b'{"status":404,"message":"no such model"}', status="404 Not Found")
    elif path.endswith(b"/completions"):
        yield STREAM_HEAD + http_chunk(EVENTS % b"a" + EVENTS % b"b") + http_chunk(DONE) + http_chunk(b"")
    else:
        yield plain_answer(gzip.compress(MODELS), head=GZIP)


async def text_of(client: AsyncClient) -> str:
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


@WAYS
async def test_what_was_read_before_is_taken_as_it_was_read(
    connect: Connect, given: Callable[..., httpx.AsyncClient], options: dict[str, Any], tmp_path: Path
) -> None:
    with RawServer(answer) as server:
        client = connect(access_token="t", base_url=server.url, http_client=given(**options), max_concurrency=1)
        assert [model.id for model in (await client.models.list()).data] == ["GigaChat"]
        with pytest.raises(NotFoundError, match="no such model") as caught:
            await client.models.retrieve("nothing")
        assert "could not be read" not in str(caught.value)
        assert await text_of(client) == "ab"
        for query in NO_QUERY, {"gzip": "1"}:
            content = await client.files.content("1", extra_query=query)
            assert await content.read() == BYTES
            content = await client.files.content("1", extra_query=query)
            await content.write_to_file(tmp_path / "file")
            assert (tmp_path / "file").read_bytes() == BYTES
        assert (server.connections, len(server.requests)) == (1, 7)
        transport = client._session.transport
        assert (transport.http.in_flight, transport.limiter.held) == (0, 0)


@WAYS
async def test_one_that_is_left_early_touches_no_connection_of_others(
    connect: Connect, given: Callable[..., httpx.AsyncClient], options: dict[str, Any]
) -> None:
    with RawServer(answer) as server:
        client = connect(access_token="t", base_url=server.url, http_client=given(**options))
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        await stream.__anext__()
        assert stream._answer.http._socket() is None
        await stream.aclose()
        assert await text_of(client) == "ab"
        assert server.connections == 1


async def test_over_http2_it_is_the_same(connect: Connect, given: Callable[..., httpx.AsyncClient]) -> None:
    def say(request: HTTP2Request) -> Iterator[bytes]:
        yield request.answer(EVENTS % b"a" + DONE)

    with HTTP2Server(say) as server:
        http_client = given(http1=False, http2=True, event_hooks={"response": [keep]})
        client = connect(access_token="t", base_url=server.url, http_client=http_client)
        assert [await text_of(client) for _ in range(2)] == ["a", "a"]
        assert server.connections == 1


@pytest.mark.parametrize(
    ("hooks", "error"),
    [
        ([use_up], ConfigurationError),
        ([begin], ConfigurationError),
        ([let_go], ConfigurationError),
        ([use_up, keep], httpx.StreamConsumed),
        ([let_go, keep], httpx.StreamClosed),
    ],
    ids=["use up", "begin", "let go", "use up, then read", "let go, then read"],
)
async def test_a_mistake_of_a_hooks_is_told_as_one_and_at_once(
    connect: Connect,
    given: Callable[..., httpx.AsyncClient],
    delays: list[float],
    hooks: list[Any],
    error: type[Exception],
) -> None:
    with RawServer(answer) as server:
        http_client = given(event_hooks={"response": hooks})
        client = connect(access_token="t", base_url=server.url, http_client=http_client, max_concurrency=1)
        with pytest.raises(error) as caught:
            await client.models.list()
        if error is ConfigurationError:
            assert "has closed the answer, or has read it and not kept it" in str(caught.value)
        assert (len(server.requests), delays) == (1, [])
        transport = client._session.transport
        assert (transport.http.in_flight, transport.limiter.held) == (0, 0)


async def test_a_cookie_that_a_hook_cannot_choose_is_its_own_trouble(
    connect: Connect, given: Callable[..., httpx.AsyncClient], delays: list[float]
) -> None:
    async def look(response: httpx.Response) -> None:
        response.cookies["a"]

    def two(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield plain_answer(MODELS, head="Set-Cookie: a=1; Path=/\r\nSet-Cookie: a=2; Path=/models\r\n")

    with RawServer(two) as server:
        client = connect(access_token="t", base_url=server.url, http_client=given(event_hooks={"response": [look]}))
        with pytest.raises(httpx.CookieConflict):
            await client.models.list()
    assert delays == []


# ---- transports whose close() fails ----


class Failing(httpx.AsyncByteStream):
    """A body that cannot be closed."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    async def aclose(self) -> None:
        raise ValueError("mine")


def serving(*pieces: bytes, **headers: str) -> httpx.MockTransport:
    return httpx.MockTransport(lambda request: httpx.Response(200, headers=headers, stream=Failing(*pieces)))


async def test_an_answer_that_is_complete_ends_well_though_closing_it_fails(
    connect: Connect, given: Callable[..., httpx.AsyncClient], tmp_path: Path
) -> None:
    client = connect(access_token="t", http_client=given(transport=serving(MODELS)))
    assert (await client.models.list()).data
    assert await (await client.files.content("1")).read() == MODELS
    await (await client.files.content("1")).write_to_file(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == MODELS
    client = connect(access_token="t", http_client=given(transport=serving(EVENTS % b"a", DONE)))
    assert await text_of(client) == "a"


async def test_the_error_of_a_stream_is_told_though_closing_it_fails(
    connect: Connect, given: Callable[..., httpx.AsyncClient]
) -> None:
    said = b'data: {"status":500,"message":"boo"}\n\n'
    client = connect(access_token="t", http_client=given(transport=serving(EVENTS % b"a", said)))
    with pytest.raises(StreamError, match="boo") as caught:
        await text_of(client)
    assert caught.value.text == "a"
    client = connect(access_token="t", http_client=given(transport=serving(EVENTS % b"a")))
    with pytest.raises(StreamInterruptedError, match="the service closed the connection"):
        await text_of(client)


async def test_whoever_closes_a_stream_is_told_what_closing_raises(
    connect: Connect, given: Callable[..., httpx.AsyncClient]
) -> None:
    client = connect(access_token="t", http_client=given(transport=serving(EVENTS % b"a", DONE)))
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    await stream.__anext__()
    with pytest.raises(ValueError, match="mine"):
        await stream.aclose()
    assert client._session.transport.http.in_flight == 0


# ---- a client that is closed before the given one ----


async def test_what_is_still_read_ends_at_its_next_piece_when_the_client_is_closed(
    connect: Connect, given: Callable[..., httpx.AsyncClient]
) -> None:
    with RawServer(endless) as server:
        http_client = given()
        client = connect(access_token="t", base_url=server.url, http_client=http_client, max_concurrency=1)
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        await stream.__anext__()
        await client.aclose()
        with pytest.raises(StreamInterruptedError, match="the client was closed"):
            async for _ in stream:
                pass
        transport = client._session.transport
        assert (transport.http.in_flight, transport.limiter.held, stream.is_closed) == (0, 0, True)
        assert not http_client.is_closed


async def test_a_call_that_outlives_its_client_does_not_close_the_given_one(
    connect: Connect, given: Callable[..., httpx.AsyncClient]
) -> None:
    clients: list[AsyncClient] = []

    async def close(response: httpx.Response) -> None:
        await clients[0].aclose()

    with RawServer(answer) as server:
        http_client = given(event_hooks={"response": [close]})
        clients.append(connect(access_token="t", base_url=server.url, http_client=http_client))
        with pytest.raises(APIConnectionError, match="the client was closed during the call"):
            await clients[0].models.list()
        assert not http_client.is_closed


def endless(connection: Connection, request: bytes) -> Iterator[bytes]:
    yield STREAM_HEAD
    while True:
        yield http_chunk(EVENTS % b"a")
