"""A run whose event loop is over: it lets its journal go, and nothing is said that is not so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from left_behind import close_sockets_of_closed_loops

from gigachat_sdk import bulk
from gigachat_sdk.testing import Emulator, Reply

from .conftest import lines, numbered, refusing, texts
from .gates import Gate
from .test_amap import has_come, source, until
from .test_failures_while_leaving import LOG

UNCLOSED = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # asyncio's, of a loop that nobody ended


@pytest.fixture(autouse=True)
def _nothing_is_left_to_other_tests() -> Iterator[None]:
    yield
    close_sockets_of_closed_loops()


def is_free(journal: Path) -> bool:
    return not journal.with_name(f".{journal.name}.lock").exists()


def test_nothing_is_said_of_a_run_that_is_dropped_after_its_loop(
    emulator: Emulator, journal: Path, anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(emulator, "1")
    caplog.set_level("DEBUG", "gigachat_sdk")
    kept: list[Any] = []  # as an error keeps the frames that it has left

    async def work() -> None:
        async with emulator.async_client() as client:
            kept.append(bulk.amap(client, source(9), journal, ordered=False, concurrency=1))
            await anext(kept[0])
            await has_come(gate)

    anyio.run(work, backend=anyio_backend)
    kept.clear()
    assert is_free(journal)
    assert [text for text in caplog.messages if text.startswith((LOG, "closing what was dropped"))] == []


def test_what_has_ended_a_run_is_said_though_it_is_dropped_after_its_loop(
    emulator: Emulator, anyio_backend: str, caplog: pytest.LogCaptureFixture
) -> None:
    refusing(emulator, {"1": Reply.error(402, "pay")})
    kept: list[Any] = []

    async def work() -> None:
        async with emulator.async_client() as client:
            kept.append(bulk.amap(client, source(9), ordered=False, concurrency=1))
            await anext(kept[0])
            await until(lambda: kept[0]._gang.books.error is not None)

    anyio.run(work, backend=anyio_backend)
    kept.clear()
    assert [text.partition(" for POST")[0] for text in caplog.messages if text.startswith(LOG)] == [f"{LOG}402"]


# ---- a loop that was closed around its tasks ----


def drop_after(loop: asyncio.AbstractEventLoop, kept: list[Any]) -> None:
    loop.close()
    kept.clear()


def drop_before(loop: asyncio.AbstractEventLoop, kept: list[Any]) -> None:
    kept.clear()
    gc.collect()
    loop.close()


def drop_within_another(loop: asyncio.AbstractEventLoop, kept: list[Any]) -> None:
    async def drop() -> None:
        drop_after(loop, kept)
        gc.collect()

    asyncio.run(drop())


def close_within_another(loop: asyncio.AbstractEventLoop, kept: list[Any]) -> None:
    loop.close()
    asyncio.run(kept[1].aclose())


def left(
    emulator: Emulator, gate: Gate, journal: Path, kept: list[Any], *, has_taker: bool = False
) -> asyncio.AbstractEventLoop:
    """Begin a run, and leave it with two requests in flight; return its loop, which stands still."""

    async def work() -> None:
        client = emulator.async_client()
        run = bulk.amap(client, source(99), journal, ordered=False, concurrency=2)
        assert (await anext(run)).index == 0
        kept.extend([client, run])
        if has_taker:

            async def take() -> None:
                async with run:
                    await anext(run)

            kept.append(asyncio.ensure_future(take()))
        await has_come(gate)
        await has_come(gate)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(work())
    return loop


def collect(tasks: list[Any]) -> None:
    """End the tasks of a closed loop as the end of the interpreter does: until then anyio keeps them."""
    while tasks:
        tasks.pop().get_coro().close()
    gc.collect()


@UNCLOSED
@pytest.mark.parametrize(
    ("end", "has_taker", "is_at_once"),
    [
        (drop_after, False, True),
        (drop_after, True, False),  # anyio keeps the tasks, and these the taker
        (drop_before, False, False),  # what is to be done then is forgotten by the loop
        (drop_before, True, False),
        (drop_within_another, False, True),
        (drop_within_another, True, False),
        (close_within_another, False, True),
        (close_within_another, True, True),
    ],
)
def test_a_run_whose_loop_was_closed_around_it_lets_its_journal_go(
    emulator: Emulator, journal: Path, caplog: pytest.LogCaptureFixture, end: Any, has_taker: bool, is_at_once: bool
) -> None:
    gate = Gate(emulator, "1", "2")
    kept: list[Any] = []
    loop = left(emulator, gate, journal, kept, has_taker=has_taker)
    tasks = list(asyncio.all_tasks(loop))
    end(loop, kept)
    kept.clear()
    del loop
    gc.collect()
    assert is_free(journal) or not is_at_once
    assert [line["index"] for line in lines(journal)] == [0]
    gate.delay = 0
    with emulator.client() as client:
        results = list(bulk.map(client, numbered(3), journal))
    assert [result.from_journal for result in results] == [True, False, False]
    assert texts(results)[0] == "0"
    collect(tasks)
    assert [text for text in caplog.messages if text.startswith(LOG)] == []


@UNCLOSED
def test_the_end_of_a_closed_loop_s_run_that_fails_is_said(
    emulator: Emulator, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept: list[Any] = []
    loop = left(emulator, Gate(emulator, "1", "2"), journal, kept)
    tasks = list(asyncio.all_tasks(loop))
    loop.close()
    journal.unlink()
    with emulator.client() as client, bulk.map(client, [], journal.with_name("other.jsonl")) as run:
        assert list(run) == []
    assert "it was removed by somebody else during the run" in caplog.text
    assert is_free(journal)
    kept.clear()
    del loop  # its connections are collected here, and not in another test
    collect(tasks)


@UNCLOSED
def test_tasks_that_are_collected_after_their_loop_end_quietly(emulator: Emulator, journal: Path) -> None:
    kept: list[Any] = []
    loop = left(emulator, Gate(emulator, "1", "2"), journal, kept, has_taker=True)
    tasks = list(asyncio.all_tasks(loop))
    loop.close()
    kept.clear()
    del loop
    collect(tasks)
    assert is_free(journal)
