"""Reads that are broken off, by a cancellation or by what a signal's handler raises, and reads by two at once."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from gigachat_sdk import APIConnectionError, GigaChatError, StreamInterruptedError
from gigachat_sdk._failures import Failure

from .conftest import Connect
from .servers import STREAM_HEAD, Answer, Connection, RawServer, http_chunk

pytestmark = pytest.mark.anyio

MESSAGES: Any = [{"role": "user", "content": "x"}]
DOWNLOAD_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Stop(BaseException):
    """What a handler of a signal raises."""


def event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"},"index":0}]}\n\n' % text.encode()


class Kind(NamedTuple):
    """Something that is read in pieces: how it is opened, and what its server sends at first and later."""

    name: str
    first: bytes
    rest: bytes
    error: type[GigaChatError]
    words: str


STREAM = Kind(
    "stream",
    STREAM_HEAD + http_chunk(event("a")),
    http_chunk(event("b") + b"data: [DONE]\n\n") + http_chunk(b""),
    StreamInterruptedError,
    "the stream ended before it was complete: an earlier read of it was broken off; 1 characters had arrived",
)
DOWNLOAD = Kind(
    "download",
    DOWNLOAD_HEAD + http_chunk(b"a"),
    http_chunk(b"b") + http_chunk(b""),
    APIConnectionError,
    "the download was cut after 1 bytes: an earlier read of it was broken off; nothing is asked again by itself",
)
KINDS = pytest.mark.parametrize("kind", [STREAM, DOWNLOAD], ids=lambda kind: kind.name)


class Slow:
    """Sends the first piece at once, and the rest when it is told to."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.may_go_on = threading.Event()

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        yield self.kind.first
        assert self.may_go_on.wait(10)
        yield self.kind.rest


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], RawServer]]:
    servers: list[RawServer] = []

    def start(answer: Answer) -> RawServer:
        servers.append(RawServer(answer))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


async def open_pieces(client: Any, kind: Kind) -> tuple[Any, AsyncIterator[Any]]:
    """Return what is read, and the iterator over it."""
    if kind is STREAM:
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        return stream, stream
    content = await client.files.content("1")
    return content, content.iter_bytes()


def text_of(piece: Any) -> str:
    return piece.decode() if isinstance(piece, bytes) else piece.choices[0].delta.content


class Raising:
    """A read that is interrupted."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = pieces

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        raise Stop

    async def aclose(self) -> None:
        await self.pieces.aclose()


@KINDS
async def test_after_a_read_that_was_broken_off_nothing_is_taken_for_the_end(
    serve: Callable[[Answer], RawServer], connect: Connect, kind: Kind
) -> None:
    slow = Slow(kind)
    server = serve(slow)
    client = connect(access_token="t", base_url=server.url, max_concurrency=1)
    opened, pieces = await open_pieces(client, kind)
    assert text_of(await pieces.__anext__()) == "a"
    http = opened._answer.http
    http._pieces = Raising(http._pieces)
    with pytest.raises(Stop):
        await pieces.__anext__()
    assert opened.is_closed
    assert (client._session.transport.http.in_flight, client._session.transport.limiter.held) == (0, 0)
    assert client._session.transport.http.connections == 0
    slow.may_go_on.set()
    for _ in range(2):
        with pytest.raises(kind.error, match=kind.words):
            await pieces.__anext__()
    with pytest.raises(kind.error, match=kind.words):
        await read_anew(opened, kind)
    await opened.aclose()
    with pytest.raises(kind.error, match=kind.words):
        await pieces.__anext__()


async def read_anew(opened: Any, kind: Kind) -> None:
    if kind is STREAM:
        async for _ in opened:
            pass
    else:
        await opened.read()


@KINDS
async def test_an_interruption_between_two_reads_of_the_connection_may_have_cost_a_piece(
    serve: Callable[[Answer], RawServer], connect: Connect, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(kind)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url)
    opened, pieces = await open_pieces(client, kind)
    await pieces.__anext__()
    owner: Any = pieces
    read = owner._next_piece

    async def interrupted() -> None:
        await read()
        raise Stop

    monkeypatch.setattr(owner, "_next_piece", interrupted)
    with pytest.raises(Stop):
        await pieces.__anext__()
    monkeypatch.undo()
    with pytest.raises(kind.error, match="an earlier read of it was broken off"):
        await pieces.__anext__()
    assert client._session.transport.http.connections == 0
    assert opened.is_closed


async def test_reading_a_whole_download_that_is_interrupted(
    serve: Callable[[Answer], RawServer], connect: Connect
) -> None:
    slow = Slow(DOWNLOAD)
    client = connect(access_token="t", base_url=serve(slow).url)
    content = await client.files.content("1")
    answer = content._answer.http
    answer._begin()
    answer._pieces = Raising(answer._pieces)
    with pytest.raises(Stop):
        await content.read()
    slow.may_go_on.set()
    with pytest.raises(APIConnectionError, match="after 0 bytes: an earlier read of it was broken off"):
        await content.read()
    with pytest.raises(Failure, match="it was closed before its end"):
        await answer.next_piece()


async def test_a_stream_that_is_interrupted_after_its_last_event_is_complete(
    serve: Callable[[Answer], RawServer], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(STREAM)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url)
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    assert [text_of(await stream.__anext__()) for _ in range(2)] == ["a", "b"]

    async def interrupted() -> None:
        raise Stop

    monkeypatch.setattr(stream._answer.http, "finish", interrupted)
    with pytest.raises(Stop):
        await stream.__anext__()
    monkeypatch.undo()
    assert stream.is_complete
    with pytest.raises(StopAsyncIteration):
        await stream.__anext__()
    await stream._answer.http.aclose()


async def test_the_last_event_of_a_v2_stream_that_an_interruption_costs_is_no_end(
    serve: Callable[[Answer], RawServer], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        last = b'event: response.message.done\ndata: {"messages":[{"content":[{"text":"a"}]}]}\n\n'
        yield STREAM_HEAD + http_chunk(last) + http_chunk(b"")

    client = connect(access_token="t", base_url=serve(answer).url, http2=False)
    stream = await client.v2.chat.completions.create(messages=MESSAGES, stream=True)
    read = stream._reader.read

    def interrupted(event: Any) -> None:
        read(event)
        raise Stop

    monkeypatch.setattr(stream._reader, "read", interrupted)
    with pytest.raises(Stop):
        await stream.__anext__()
    for _ in range(2):
        with pytest.raises(StreamInterruptedError, match="an earlier read of it was broken off"):
            await stream.__anext__()


async def test_closing_that_is_interrupted_is_done_by_the_next_who_closes(
    serve: Callable[[Answer], RawServer], connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(STREAM)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url, max_concurrency=1)
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
    await stream.__anext__()

    def interrupted(request: Any) -> None:
        raise Stop

    monkeypatch.setattr(stream._answer.http._pool, "release", interrupted)
    with pytest.raises(Stop):
        await stream.aclose()
    monkeypatch.undo()
    await stream.aclose()
    transport = client._session.transport
    assert (transport.http.in_flight, transport.http.connections, transport.limiter.held) == (0, 0, 0)


class Interrupted(dict[str, object]):
    """Whose turn it is; whoever takes it, or tries to, is interrupted at that."""

    def setdefault(self, key: str, default: Any = None) -> Any:
        super().setdefault(key, default)
        raise Stop


@KINDS
@pytest.mark.parametrize("is_taken", [False, True])
async def test_who_is_interrupted_while_it_takes_its_turn_keeps_it_from_nobody(
    serve: Callable[[Answer], RawServer], connect: Connect, kind: Kind, is_taken: bool
) -> None:
    slow = Slow(kind)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url)
    _, pieces = await open_pieces(client, kind)
    owner: Any = pieces
    got = [text_of(await pieces.__anext__())]
    usual, owner._turn.taken = owner._turn.taken, Interrupted({"by": object()} if is_taken else {})
    with pytest.raises(Stop):
        await pieces.__anext__()
    assert list(owner._turn.taken) == ["by"] * is_taken
    owner._turn.taken = usual
    if is_taken:  # who has it is not disturbed
        got += [text_of(piece) async for piece in pieces]
        assert got == ["a", "b"]
    else:
        with pytest.raises(kind.error, match=kind.words):
            await pieces.__anext__()


# ---- two readers ----


@KINDS
async def test_a_second_reader_is_refused_and_disturbs_nothing(
    serve: Callable[[Answer], RawServer], connect: Connect, kind: Kind
) -> None:
    slow = Slow(kind)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url)
    opened, pieces = await open_pieces(client, kind)
    got = [text_of(await pieces.__anext__())]
    refused: list[GigaChatError] = []
    http = opened._answer.http
    real = http.next_piece

    async def meanwhile() -> Any:
        try:
            await pieces.__anext__()
        except GigaChatError as error:
            refused.append(error)
        return await real()

    if kind is STREAM:
        opened._next_piece = meanwhile
    else:
        http.next_piece = meanwhile
    got += [text_of(piece) async for piece in pieces]
    assert got == ["a", "b"]
    assert {type(error) for error in refused} == {GigaChatError}
    assert str(refused[0]) == (
        f"this {kind.name} is being read at this moment by another task or thread; let one of them read, and pass on "
        "what it gets"
    )


# ---- closed by another thread or task while it is read ----


class Body(httpx.AsyncByteStream):
    """A body that is closed by somebody else while a piece of it, or its end, is on its way."""

    def __init__(self) -> None:
        self.at_end: Callable[[], Awaitable[None]] | None = None
        self.is_cut = False
        self.has_ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield b"a"
            if self.at_end is not None:
                await self.at_end()
            if self.is_cut:
                yield b"b"
        finally:
            self.has_ended = True


@pytest.mark.parametrize("is_closed", [False, True])
async def test_a_body_that_ends_because_it_was_closed_is_cut(connect: Connect, is_closed: bool) -> None:
    body = Body()
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body))) as given:
        client = connect(access_token="t", http_client=given)
        content = await client.files.content("1")
        answer = content._answer.http
        assert await answer.next_piece() == b"a"
        if is_closed:
            body.at_end = answer.aclose
            with pytest.raises(Failure, match="it was closed before its end"):
                await answer.next_piece()
        else:
            assert await answer.next_piece() is None
        await content.aclose()


async def test_a_body_that_is_closed_before_a_read_of_it_begins_is_not_empty(connect: Connect) -> None:
    body = Body()
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body))) as given:
        client = connect(access_token="t", http_client=given)
        answer = (await client.files.content("1"))._answer.http
        await answer.aclose()
        with pytest.raises(Failure, match="it was closed before its end"):
            answer._begin()


async def test_who_gets_a_piece_of_what_is_closed_meanwhile_ends_it(connect: Connect) -> None:
    body = Body()
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body))) as given:
        client = connect(access_token="t", http_client=given)
        content = await client.files.content("1")
        answer = content._answer.http
        body.at_end, body.is_cut = answer.aclose, True
        assert [await answer.next_piece() for _ in range(2)] == [b"a", b"b"]
        assert body.has_ended
        with pytest.raises(Failure, match="it was closed before its end"):
            await answer.next_piece()
        await content.aclose()


# ---- forks ----


@KINDS
async def test_a_forked_child_reads_nothing_of_its_parents(
    serve: Callable[[Answer], RawServer], connect: Connect, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(kind)
    slow.may_go_on.set()
    client = connect(access_token="t", base_url=serve(slow).url)
    _, pieces = await open_pieces(client, kind)
    got = [text_of(await pieces.__anext__())]
    monkeypatch.setattr("os.getpid", lambda: -1)  # in the child, be it one that no hook of Python has seen
    with pytest.raises(GigaChatError, match="opened before the process forked, and is the parent's to read"):
        await pieces.__anext__()
    monkeypatch.undo()
    got += [text_of(piece) async for piece in pieces]
    assert got == ["a", "b"]
