"""Cancelling, closing and dropping in the middle: at once, and the client stays usable."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
import trio.testing
from _async.servers import STREAM_HEAD, Connection, RawServer, http_chunk

from gigachat_sdk import AsyncClient, Client, GigaChatError
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import ANSWER, CHAT, MESSAGES, OAUTH, at_once

EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


class Silence:
    """Answers the first request for a path very late, and tells when it has come."""

    def __init__(self, emulator: Emulator, path: str, reply: Reply) -> None:
        self.has_come = threading.Event()
        self._reply = reply
        emulator.on(path, self)

    def __call__(self, request: RecordedRequest) -> Reply | None:
        if self.has_come.is_set():
            return None
        self.has_come.set()
        return self._reply


LATE = Reply(delay=60)
STALLED = Reply(chunks=[EVENT, EVENT], chunk_delay=60, headers={"Content-Type": "text/event-stream"})


async def call(client: AsyncClient) -> None:
    await client.chat.completions.create(messages=MESSAGES)


async def read(client: AsyncClient) -> None:
    async for _ in await client.chat.completions.create(messages=MESSAGES, stream=True):
        pass


async def read_in_block(client: AsyncClient) -> None:
    async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
        async for _ in stream:
            pass


def cancel_in_asyncio(client: AsyncClient, work: Callable[[AsyncClient], Awaitable[None]], come: Any) -> Any:
    async def main() -> Any:
        async with client:
            task = asyncio.ensure_future(work(client))
            await asyncio.to_thread(come.wait, 10)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert task.cancelled()
            return await client.chat.completions.create(messages=MESSAGES)

    return asyncio.run(main())


def cancel_in_trio(client: AsyncClient, work: Callable[[AsyncClient], Awaitable[None]], come: Any) -> Any:
    async def main() -> Any:
        async with client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, client)
                await trio.to_thread.run_sync(come.wait, 10)
                nursery.cancel_scope.cancel()
            return await client.chat.completions.create(messages=MESSAGES)

    return trio.run(main)


@pytest.mark.parametrize("cancel", [cancel_in_asyncio, cancel_in_trio])
@pytest.mark.parametrize(
    ("path", "reply", "work"),
    [
        (OAUTH, LATE, call),
        (CHAT, LATE, call),
        (CHAT, LATE, read),
        (CHAT, STALLED, read),
        (CHAT, STALLED, read_in_block),
    ],
)
@pytest.mark.parametrize("https", [False, True])
def test_a_cancelled_call_leaves_the_client_usable(
    cancel: Any, path: str, reply: Reply, work: Any, https: bool
) -> None:
    with Emulator(https=https) as emulator:
        silence = Silence(emulator, path, reply)
        completion = cancel(emulator.async_client(http2=https), work, silence.has_come)
    gc.collect()
    assert completion.choices[0].message.content == ANSWER


def test_a_call_that_runs_out_of_time_in_trio(emulator: Emulator) -> None:
    Silence(emulator, CHAT, LATE)

    async def main() -> str | None:
        async with emulator.async_client() as client:
            with trio.move_on_after(1) as scope:
                await call(client)
            assert scope.cancelled_caught
            emulator.on(CHAT, None)  # the call may never have come
            return (await client.chat.completions.create(messages=MESSAGES)).choices[0].message.content

    assert trio.run(main) == ANSWER


def test_a_call_that_runs_out_of_time_in_asyncio(emulator: Emulator) -> None:
    Silence(emulator, CHAT, LATE)

    async def main() -> str | None:
        async with emulator.async_client() as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(call(client), 1)
            emulator.on(CHAT, None)
            return (await client.chat.completions.create(messages=MESSAGES)).choices[0].message.content

    assert asyncio.run(main()) == ANSWER


def test_closing_ends_a_stream_of_another_thread_at_once(emulator: Emulator) -> None:
    silence = Silence(emulator, CHAT, STALLED)
    client = emulator.client()

    def work(number: int) -> Any:
        if number == 0:
            return [*client.chat.completions.create(messages=MESSAGES, stream=True)]
        assert silence.has_come.wait(10)
        client.close()
        return None

    results = at_once(2, work)
    assert isinstance(results[0], GigaChatError), results
    assert results[1] is None


@pytest.mark.parametrize("work", [call, read])
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_closing_ends_a_call_of_another_task_at_once(emulator: Emulator, work: Any, loop: str) -> None:
    silence = Silence(emulator, CHAT, LATE if work is call else STALLED)
    client = emulator.async_client(max_retries=0)
    errors: list[BaseException] = []

    async def caught() -> None:
        try:
            await work(client)
        except Exception as error:
            errors.append(error)

    async def main_asyncio() -> None:
        task = asyncio.ensure_future(caught())
        await asyncio.to_thread(silence.has_come.wait, 10)
        await client.aclose()
        await asyncio.wait_for(task, 30)

    async def main_trio() -> None:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(caught)
                await trio.to_thread.run_sync(silence.has_come.wait, 10)
                await client.aclose()

    if loop == "asyncio":
        asyncio.run(main_asyncio())
    else:
        trio.run(main_trio)
    assert isinstance(errors[0], GigaChatError), errors


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_stream_can_be_closed_by_another_task_while_it_is_read(emulator: Emulator, loop: str) -> None:
    Silence(emulator, CHAT, STALLED)
    client = emulator.async_client()
    ends: list[BaseException | None] = []

    async def listen(stream: Any, has_begun: Any) -> None:
        try:
            async for _ in stream:
                has_begun.set()
        except Exception as error:
            ends.append(error)
        else:
            ends.append(None)

    async def main_asyncio() -> None:
        stream, has_begun = await client.chat.completions.create(messages=MESSAGES, stream=True), asyncio.Event()
        task = asyncio.ensure_future(listen(stream, has_begun))
        await has_begun.wait()
        await asyncio.sleep(0)
        await stream.aclose()
        await asyncio.wait_for(task, 30)
        await call(client)
        await client.aclose()

    async def main_trio() -> None:
        stream, has_begun = await client.chat.completions.create(messages=MESSAGES, stream=True), trio.Event()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, stream, has_begun)
                await has_begun.wait()
                await trio.testing.wait_all_tasks_blocked()
                await stream.aclose()
            await call(client)
            await client.aclose()

    if loop == "asyncio":
        asyncio.run(main_asyncio())
    else:
        trio.run(main_trio)
    assert ends[0] is None or isinstance(ends[0], GigaChatError), ends


def test_a_stream_can_be_closed_by_another_thread_while_it_is_read(emulator: Emulator) -> None:
    Silence(emulator, CHAT, STALLED)
    has_begun = threading.Event()
    with emulator.client() as client:
        stream = client.chat.completions.create(messages=MESSAGES, stream=True)

        def work(number: int) -> int:
            if number == 0:
                for _ in stream:
                    has_begun.set()
            else:
                assert has_begun.wait(10)
                stream.close()
            return number

        results = at_once(2, work)
        assert results[0] == 0 or isinstance(results[0], GigaChatError), results
        assert results[1] == 1
        assert client.models.list().data


@pytest.fixture
def stalling() -> Iterator[RawServer]:
    """A server that begins a stream and never ends it."""

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + http_chunk(EVENT)
        connection.is_over = connection.socket.recv(1) == b""

    with RawServer(answer) as server:
        yield server


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_stream_that_is_dropped_gives_its_connection_back(stalling: RawServer, is_begun: bool) -> None:
    with Client(access_token="t", base_url=stalling.url) as client:
        stream = client.chat.completions.create(messages=MESSAGES, stream=True)
        if is_begun:
            next(stream)
        del stream
        gc.collect()
        assert stalling.wait_until_all_are_closed()


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_an_async_stream_that_is_dropped_gives_its_connection_back(
    stalling: RawServer, is_begun: bool, loop: str
) -> None:
    client = AsyncClient(access_token="t", base_url=stalling.url)

    async def drop() -> None:
        stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
        if is_begun:
            await stream.__anext__()

    async def main_asyncio() -> bool:
        await drop()
        gc.collect()
        is_closed = await asyncio.to_thread(stalling.wait_until_all_are_closed, 30)
        await client.aclose()
        return is_closed

    async def main_trio() -> bool:
        await drop()
        gc.collect()
        is_closed = await trio.to_thread.run_sync(stalling.wait_until_all_are_closed, 30)
        await client.aclose()
        return is_closed

    assert asyncio.run(main_asyncio()) if loop == "asyncio" else trio.run(main_trio)


@pytest.mark.parametrize("https", [False, True])
def test_a_client_shared_by_threads(https: bool) -> None:
    with Emulator(https=https) as emulator, emulator.client(http2=https) as client:

        def work(number: int) -> list[str]:
            texts: list[str] = []
            for turn in range(4):
                messages: Any = [{"role": "user", "content": f"{number}/{turn}"}]
                if turn % 2:
                    chunks = client.chat.completions.create(messages=messages, stream=True)
                    texts.append("".join(chunk.choices[0].delta.content or "" for chunk in chunks))
                else:
                    completion = client.chat.completions.create(messages=messages)
                    texts.append(completion.choices[0].message.content or "")
            return texts

        results = at_once(16, work)
    assert results == [[f"Вы написали: {number}/{turn}" for turn in range(4)] for number in range(16)]


def test_no_thread_is_left(emulator: Emulator) -> None:
    before = set(threading.enumerate())
    with emulator.client() as client:
        assert (
            "".join(
                chunk.choices[0].delta.content or ""
                for chunk in client.chat.completions.create(messages=MESSAGES, stream=True)
            )
            == ANSWER
        )

    async def main() -> None:
        async with emulator.async_client() as async_client:
            await read(async_client)

    asyncio.run(main())
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_cancellation_behind_the_last_event_gives_the_place_back(loop: str) -> None:
    event = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n'
    is_over = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + http_chunk(event)
        connection.is_over = is_over.wait(10)

    with RawServer(answer) as server:
        client = AsyncClient(access_token="t", base_url=server.url)
        http = client._session.transport.http

        async def main() -> None:
            with anyio.move_on_after(5) as scope:
                async with await client.chat.completions.create(messages=MESSAGES, stream=True) as stream:
                    await stream.__anext__()
                    scope.deadline = anyio.current_time() + 0.05  # the end of the body takes longer, up to 0.25 s
                    await stream.__anext__()
            assert scope.cancelled_caught
            assert http.in_flight == 0
            await client.aclose()
            assert http.connections == 0

        anyio.run(main, backend=loop)
        is_over.set()


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_a_call_whose_client_is_closed_while_it_connects_leaves_no_connection(emulator: Emulator, loop: str) -> None:
    errors: list[Exception] = []

    async def main() -> None:
        client = emulator.async_client(access_token=emulator.issue_token())
        http = client._session.transport.http

        async def ask() -> None:
            try:
                await client.chat.completions.create(messages=MESSAGES)
            except GigaChatError as error:
                errors.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            await client.aclose()
        assert http.connections == 0
        assert http.in_flight == 0

    anyio.run(main, backend=loop)
    assert len(errors) == 1


def test_threads_that_call_a_client_that_others_close_leave_no_connection() -> None:
    with Emulator(https=True) as emulator:
        for http2 in (False, True):
            client = emulator.client(http2=http2, access_token=emulator.issue_token())
            http = client._session.transport.http

            def work(number: int, client: Client = client) -> str:
                if number < 2:
                    client.close()
                    return "closed"
                with contextlib.suppress(GigaChatError):
                    client.chat.completions.create(messages=MESSAGES)
                return "called"

            results = at_once(20, work)
            assert sorted(map(str, results)) == ["called"] * 18 + ["closed"] * 2
            assert (http.in_flight, http.connections) == (0, 0)
