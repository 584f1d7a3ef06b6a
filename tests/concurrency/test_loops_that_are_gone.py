"""Closing what belongs to an event loop that cannot run any more: as far as it goes, and quietly."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio
from _async.servers import STREAM_HEAD, Connection, RawServer, http_chunk
from left_behind import close_sockets_of_closed_loops

from gigachat_sdk import AsyncClient
from gigachat_sdk._lifetimes import AsyncLocal, async_when_dropped
from gigachat_sdk.testing import Emulator

from .conftest import MESSAGES


@pytest.fixture(autouse=True)
def _nothing_is_left_to_other_tests() -> Iterator[None]:
    yield
    close_sockets_of_closed_loops()


class Owner:
    """Something that can be dropped."""


def in_asyncio(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work())
    finally:
        loop.close()


RUNS = [in_asyncio, trio.run]


@pytest.mark.parametrize("run", RUNS)
def test_what_is_dropped_after_its_loop_is_closed_up_to_where_it_would_wait(run: Any) -> None:
    steps: list[str] = []

    async def close() -> None:
        steps.append("begun")
        try:
            await anyio.lowlevel.checkpoint()
        finally:
            steps.append("ended")

    async def begin() -> Owner:
        owner = Owner()
        async_when_dropped(owner, close)
        return owner

    owner = run(begin)
    assert steps == []
    del owner
    gc.collect()
    assert steps == ["begun", "ended"]


@pytest.mark.parametrize("run", RUNS)
def test_closing_that_fails_without_its_loop_is_no_error(run: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def begin(owner: Owner, close: Any) -> None:
        async_when_dropped(owner, close)

    class Waiting:
        def __await__(self) -> Any:
            try:
                yield
            finally:
                raise RuntimeError("closed too late")

    async def close_late() -> None:
        await Waiting()

    async def close_badly() -> None:
        raise OSError("no such connection")

    async def close_at_once() -> None:
        pass

    caplog.set_level("DEBUG", "gigachat_sdk")
    for close in (close_late, close_badly, close_at_once):
        owner = Owner()
        run(lambda owner=owner, close=close: begin(owner, close))
        del owner
        gc.collect()
    assert "closed too late" in caplog.text
    assert "no such connection" in caplog.text


def test_values_of_a_loop_that_was_closed_without_a_word_are_forgotten() -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    values: AsyncLocal[str] = AsyncLocal(close)

    async def add(name: str) -> str:
        return await values.add("name", lambda: name)

    assert in_asyncio(lambda: add("first")) == "first"
    assert asyncio.run(add("second")) == "second"
    assert closed == ["second"]  # the loop of the first was closed before anybody could
    assert values._values == {}


def test_a_client_is_usable_on_a_new_loop_after_one_that_was_closed_without_a_word() -> None:
    with Emulator() as emulator:
        client = emulator.async_client()

        async def ask() -> None:
            assert (await client.chat.completions.create(messages=MESSAGES)).choices

        loop = asyncio.new_event_loop()
        loop.run_until_complete(ask())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        asyncio.run(ask())


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # asyncio's, of the loop that nobody ended
def test_nothing_is_said_of_a_stream_that_outlives_a_loop_that_was_closed_without_a_word() -> None:
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield STREAM_HEAD + http_chunk(event)
        connection.is_over = connection.socket.recv(1) == b""

    with RawServer(answer) as server:
        kept: list[Any] = []

        async def read() -> None:
            client = AsyncClient(access_token="t", base_url=server.url)
            stream = await client.chat.completions.create(messages=MESSAGES, stream=True)
            await stream.__anext__()
            kept.extend([client, stream])

        in_asyncio(read)
        while kept:
            kept.pop()
            gc.collect()


def test_a_client_that_is_dropped_is_collected() -> None:
    client = AsyncClient(access_token="t")
    gone = weakref.ref(client)
    del client
    gc.collect()
    assert gone() is None
