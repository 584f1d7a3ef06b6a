"""One async client on several event loops, one after the other and at the same time."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.to_thread
import pytest
import trio
from _async.servers import RawServer, plain_answer

from gigachat_sdk import AsyncClient
from gigachat_sdk.testing import Emulator

from .conftest import ANSWER, MESSAGES, at_once

Main = Callable[[], Coroutine[Any, Any, Any]]


def run_asyncio(main: Main) -> Any:
    return asyncio.run(main())


def run_trio(main: Main) -> Any:
    return trio.run(main)


RUNNERS = {"asyncio": run_asyncio, "trio": run_trio}
first_runner = pytest.mark.parametrize("first", RUNNERS)
second_runner = pytest.mark.parametrize("second", RUNNERS)


async def ask(client: AsyncClient) -> str | None:
    completion = await client.chat.completions.create(messages=MESSAGES)
    return completion.choices[0].message.content


@first_runner
@second_runner
def test_one_loop_after_the_other(emulator: Emulator, first: str, second: str) -> None:
    client = emulator.async_client()
    for name in (first, second, first):
        assert RUNNERS[name](lambda: ask(client)) == ANSWER
    gc.collect()  # what was left open would say so now
    assert emulator.oauth_requests == 1


@first_runner
@second_runner
def test_two_loops_at_the_same_time(emulator: Emulator, first: str, second: str) -> None:
    client = emulator.async_client()
    names = [first, second]
    assert at_once(2, lambda number: RUNNERS[names[number]](lambda: ask(client))) == [ANSWER] * 2
    gc.collect()


@first_runner
def test_the_connections_of_a_loop_end_with_it(first: str) -> None:
    with RawServer(lambda connection, request: [plain_answer(b'{"data":[]}')]) as server:
        client = AsyncClient(access_token="t", base_url=server.url)

        async def main() -> None:
            await client.models.list()

        for count in (1, 2):
            RUNNERS[first](main)
            assert server.wait_until_all_are_closed()
            assert server.connections == count


@first_runner
@second_runner
def test_closing_on_one_loop_closes_on_the_other(emulator: Emulator, first: str, second: str) -> None:
    is_used, is_closed = threading.Event(), threading.Event()
    with RawServer(lambda connection, request: [plain_answer(b'{"data":[]}')]) as server:
        client = AsyncClient(access_token="t", base_url=server.url)

        async def use_and_stay() -> bool:
            await client.models.list()
            is_used.set()
            return bool(await anyio.to_thread.run_sync(is_closed.wait, 10))

        async def close() -> bool:
            await client.models.list()
            await client.aclose()
            return True

        def work(number: int) -> bool:
            if number == 0:
                return bool(RUNNERS[first](use_and_stay))
            assert is_used.wait(30)
            try:
                return bool(RUNNERS[second](close)) and server.wait_until_all_are_closed()
            finally:
                is_closed.set()

        assert at_once(2, work) == [True, True]
    gc.collect()


def test_a_loop_that_was_closed_without_ceremony(emulator: Emulator) -> None:
    client = emulator.async_client()
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask(client)) == ANSWER
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert run_asyncio(lambda: ask(client)) == ANSWER
    run_asyncio(client.aclose)


@first_runner
def test_a_client_closed_on_a_loop_it_never_saw(emulator: Emulator, first: str) -> None:
    client = emulator.async_client()
    RUNNERS[first](client.aclose)
    assert client.is_closed
