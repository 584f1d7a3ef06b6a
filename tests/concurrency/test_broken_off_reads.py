"""A read that is cancelled, interrupted by a signal, or made by two at once: no piece is lost without an error."""

from __future__ import annotations

import linecache
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
from _async.servers import STREAM_HEAD, Connection, RawServer, http_chunk

from gigachat_sdk import APIConnectionError, AsyncClient, Client, GigaChatError, StreamInterruptedError

from .conftest import MESSAGES

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])
KINDS = pytest.mark.parametrize("kind", ["stream", "download"])
ERRORS: dict[str, type[GigaChatError]] = {"stream": StreamInterruptedError, "download": APIConnectionError}
BROKEN_OFF = "an earlier read of it was broken off"


def event(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%s"},"index":0}]}\n\n' % text.encode()


class Slow:
    """Sends a piece at once, and the others when it is told to."""

    def __init__(self, kind: str, before_waiting: Callable[[], None] = lambda: None) -> None:
        self.may_go_on = threading.Event()
        self._before_waiting = before_waiting
        if kind == "stream":
            self._pieces = [STREAM_HEAD + http_chunk(event("a")), http_chunk(event("b") + b"data: [DONE]\n\n")]
        else:
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            self._pieces = [head + http_chunk(b"a"), http_chunk(b"b")]

    def __call__(self, connection: Connection, request: bytes) -> Iterator[bytes]:
        yield self._pieces[0]
        self._before_waiting()
        self.may_go_on.wait(10)
        yield self._pieces[1] + http_chunk(b"")


def text_of(piece: Any) -> str:
    return piece.decode() if isinstance(piece, bytes) else piece.choices[0].delta.content


async def aopen(client: AsyncClient, kind: str) -> Any:
    if kind == "stream":
        return await client.chat.completions.create(messages=MESSAGES, stream=True)
    return (await client.files.content("1")).iter_bytes()


def open_pieces(client: Client, kind: str) -> Any:
    if kind == "stream":
        return client.chat.completions.create(messages=MESSAGES, stream=True)
    return client.files.content("1").iter_bytes()


@BACKENDS
@KINDS
def test_a_cancelled_read_ends_the_whole_and_gives_all_back(backend: str, kind: str) -> None:
    slow = Slow(kind)

    async def main() -> None:
        async with AsyncClient(access_token="t", base_url=server.url, max_concurrency=1) as client:
            pieces = await aopen(client, kind)
            assert text_of(await pieces.__anext__()) == "a"
            with anyio.move_on_after(0.05) as scope:
                await pieces.__anext__()
            assert scope.cancelled_caught
            transport: Any = client._session.transport
            assert (transport.limiter.held, transport.http.in_flight, transport.http.connections) == (0, 0, 0)
            slow.may_go_on.set()
            for _ in range(2):
                with pytest.raises(ERRORS[kind], match=BROKEN_OFF) as caught:
                    await pieces.__anext__()
            assert getattr(caught.value, "text", "a") == "a"

    with RawServer(slow) as server:
        anyio.run(main, backend=backend)


class Tick(Exception):
    """What the handler of a signal raises."""


@KINDS
def test_a_read_that_a_signal_interrupts_ends_the_whole(kind: str) -> None:
    def tick(number: int, frame: object) -> None:
        raise Tick

    before = signal.signal(signal.SIGUSR1, tick)
    reader, is_reading = threading.get_ident(), threading.Event()

    def interrupt() -> None:
        assert is_reading.wait(10)
        until_it_receives(reader)
        signal.pthread_kill(reader, signal.SIGUSR1)

    slow = Slow(kind, interrupt)
    try:
        with RawServer(slow) as server, Client(access_token="t", base_url=server.url, max_concurrency=1) as client:
            pieces = open_pieces(client, kind)
            assert text_of(next(pieces)) == "a"
            with pytest.raises(Tick):
                read_on(pieces, is_reading)
            transport: Any = client._session.transport
            assert (transport.limiter.held, transport.http.in_flight, transport.http.connections) == (0, 0, 0)
            slow.may_go_on.set()
            for _ in range(2):
                with pytest.raises(ERRORS[kind], match=BROKEN_OFF):
                    next(pieces)
    finally:
        signal.signal(signal.SIGUSR1, before)


def until_it_receives(thread: int) -> None:
    """Return when a thread waits for bytes: before that the read has not begun, and has nothing to break off."""
    for _ in range(3000):
        frame = sys._current_frames()[thread]
        if ".recv(" in linecache.getline(frame.f_code.co_filename, frame.f_lineno):
            return
        threading.Event().wait(0.01)
    raise AssertionError("the thread does not read")


def read_on(pieces: Any, is_reading: threading.Event) -> None:
    is_reading.set()
    next(pieces)


@BACKENDS
@KINDS
def test_of_two_tasks_one_reads_and_the_other_is_told(backend: str, kind: str) -> None:
    slow = Slow(kind)
    got: list[str] = []
    refused: list[GigaChatError] = []

    async def read(pieces: Any) -> None:
        got.extend([text_of(piece) async for piece in pieces])

    async def main() -> None:
        async with AsyncClient(access_token="t", base_url=server.url) as client:
            pieces = await aopen(client, kind)
            got.append(text_of(await pieces.__anext__()))
            async with anyio.create_task_group() as group:
                group.start_soon(read, pieces)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(GigaChatError, match="is being read at this moment by another task") as caught:
                    await pieces.__anext__()
                refused.append(caught.value)
                slow.may_go_on.set()

    with RawServer(slow) as server:
        anyio.run(main, backend=backend)
    assert (got, [type(error) for error in refused]) == (["a", "b"], [GigaChatError])


@KINDS
def test_of_two_threads_one_reads_and_the_other_is_told(kind: str) -> None:
    slow = Slow(kind)
    got: list[str] = []
    refused: list[BaseException] = []

    with RawServer(slow) as server, Client(access_token="t", base_url=server.url) as client:
        pieces = open_pieces(client, kind)
        got.append(text_of(next(pieces)))

        def read() -> None:
            try:
                got.extend(map(text_of, pieces))
            except GigaChatError as error:
                refused.append(error)
                slow.may_go_on.set()

        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert got == ["a", "b"]
    assert [type(error) for error in refused] == [GigaChatError]
    assert "is being read at this moment by another task or thread" in str(refused[0])
