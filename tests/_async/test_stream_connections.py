"""What a stream leaves behind: connections that can be used again, or are closed at once."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
import trustme

from gigachat_sdk import AsyncClient, AsyncStream, ChatCompletionChunk, StreamInterruptedError

from .servers import STREAM_HEAD, Answer, Connection, RawServer, http_chunk

pytestmark = pytest.mark.anyio

EVENT = http_chunk(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
DONE = http_chunk(b"data: [DONE]\n\n")
END = http_chunk(b"")
Open = Callable[[RawServer], AsyncClient]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["http", "https"])
def context(request: pytest.FixtureRequest, authority: trustme.CA) -> ssl.SSLContext | None:
    if request.param == "http":
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(made)
    return made


@pytest.fixture
def serve(context: ssl.SSLContext | None) -> Iterator[Callable[[Answer], RawServer]]:
    servers: list[RawServer] = []

    def start(answer: Answer) -> RawServer:
        servers.append(RawServer(answer, context))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


@pytest.fixture
async def open_client(serve: object, authority: trustme.CA) -> AsyncIterator[Open]:
    """Make a client of a server; it is closed before the server is."""
    clients: list[AsyncClient] = []

    def make(server: RawServer) -> AsyncClient:
        with authority.cert_pem.tempfile() as ca:
            clients.append(
                AsyncClient(access_token="t", base_url=server.url, ca_bundle_file=ca, verify_ssl_certs=False)
            )
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def open_stream(client: AsyncClient, **options: Any) -> AsyncStream[ChatCompletionChunk]:
    return await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], stream=True, **options)


async def count(stream: AsyncStream[ChatCompletionChunk]) -> int:
    return sum([len(chunk.choices) async for chunk in stream])


async def test_a_stream_read_to_its_end_leaves_its_connection_reusable(
    serve: Callable[[Answer], RawServer], open_client: Open
) -> None:
    server = serve(lambda connection, request: [STREAM_HEAD, EVENT, DONE, END])
    client = open_client(server)
    for _ in range(3):
        assert await count(await open_stream(client)) == 1
    assert (server.connections, len(server.requests)) == (1, 3)


async def test_the_end_of_the_body_may_lag_behind_done(
    serve: Callable[[Answer], RawServer], open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gigachat_sdk._async.answer.BODY_END_WAIT", 30.0)
    has_seen_done = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT + DONE
        has_seen_done.wait(0.05)  # a timeout: nobody sets it
        yield END

    server = serve(answer)
    client = open_client(server)
    for _ in range(2):
        assert await count(await open_stream(client)) == 1
    assert server.connections == 1


async def test_a_body_whose_end_never_comes_costs_its_connection_and_a_moment(
    serve: Callable[[Answer], RawServer], open_client: Open
) -> None:
    is_asked_again = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT + DONE
        if len(server.requests) == 1:
            assert is_asked_again.wait(10)
            connection.is_over = True
        else:
            is_asked_again.set()
            yield END

    server = serve(answer)
    client = open_client(server)
    assert await count(await open_stream(client)) == 1
    assert await count(await open_stream(client)) == 1
    assert server.connections == 2


async def test_a_stream_closed_early_ends_its_connection_at_once(
    serve: Callable[[Answer], RawServer], open_client: Open
) -> None:
    is_gone = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT
        try:
            if connection.socket.recv(1) == b"":
                is_gone.set()
        except OSError:
            is_gone.set()
        connection.is_over = True

    server = serve(answer)
    client = open_client(server)
    async with await open_stream(client) as stream:
        await stream.__anext__()
    assert is_gone.wait(10)


async def test_a_connection_that_breaks_inside_a_stream(
    serve: Callable[[Answer], RawServer], open_client: Open
) -> None:
    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT
        connection.is_over = True

    server = serve(answer)
    stream = await open_stream(open_client(server))
    with pytest.raises(StreamInterruptedError, match=r"the connection to 127\.0\.0\.1:\d+ was lost") as caught:
        await count(stream)
    assert caught.value.text == "a"
    assert caught.value.__context__ is None
    assert len(server.requests) == 1


async def test_a_stream_that_falls_silent_times_out(serve: Callable[[Answer], RawServer], open_client: Open) -> None:
    is_over = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT
        is_over.wait(10)
        connection.is_over = True

    stream = await open_stream(open_client(serve(answer)), timeout=httpx.Timeout(30, read=2.0))
    with pytest.raises(StreamInterruptedError, match=r"127\.0\.0\.1:\d+ did not answer within"):
        await count(stream)
    is_over.set()


async def test_bytes_below_tls_are_no_error_of_ssl(
    authority: trustme.CA, context: ssl.SSLContext | None, serve: Callable[[Answer], RawServer], open_client: Open
) -> None:
    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + EVENT
        connection.plain.sendall(b"this is no TLS record and no chunk of HTTP either\r\n" * 10)
        connection.is_over = True

    stream = await open_stream(open_client(serve(answer)))
    with pytest.raises(StreamInterruptedError) as caught:
        await count(stream)
    assert caught.value.text == "a"
    assert caught.value.__context__ is None


async def test_after_a_fork_the_connection_stays_the_parents(
    serve: Callable[[Answer], RawServer], open_client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = open_client(serve(lambda connection, request: [STREAM_HEAD, EVENT]))
    stream = await open_stream(client)
    await stream.__anext__()
    monkeypatch.setattr("os.getpid", lambda: -1)
    await stream.aclose()
    assert stream.is_closed
    assert client._session.transport.http.connections == 1
    monkeypatch.undo()
    answer = stream._answer.http
    answer._is_closed = False  # here is the parent again
    await answer.aclose()
    assert client._session.transport.http.connections == 0
