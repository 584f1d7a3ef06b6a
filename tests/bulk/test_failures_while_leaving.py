"""What goes wrong while a run is left is told: raised, or logged where nobody could catch it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import bulk
from gigachat_sdk.testing import Emulator

from .conftest import asking, lines, numbered
from .gates import Gate, taken_ahead
from .test_amap import has_come, source, until
from .test_map import closing, gone, workers

LOG = "a bulk run that was left has ended with an error: "
FULL = f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}"


class LeavingError(Exception):
    """What is raised inside a block."""


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the disk full."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr("gigachat_sdk.bulk._journal.os.write", full)


# ---- threads ----


@pytest.mark.parametrize("is_hurt", [True, False])
def test_answers_that_cannot_be_written_while_the_block_is_left(
    emulator: Emulator, journal: Path, fill: Callable[[], None], caplog: pytest.LogCaptureFixture, is_hurt: bool
) -> None:
    gate = Gate(emulator, "1", "2")
    with emulator.client() as client:
        run = bulk.map(client, taken_ahead(gate, 99), journal, ordered=False, concurrency=2)
        gate.until = lambda: run._crew.books.is_stopping

        def leave() -> None:
            with run:
                assert next(run).index == 0
                assert gate.came.acquire(timeout=120)
                fill()
                if is_hurt:
                    raise LeavingError

        with pytest.raises(LeavingError if is_hurt else OSError) as raised:
            leave()
        run.close()  # it was told
    assert [line["index"] for line in lines(journal)] == [0]
    assert str(raised.value) == ("" if is_hurt else FULL)
    assert [text for text in caplog.messages if text.startswith(LOG)] == [LOG + FULL] * is_hurt


def test_answers_that_cannot_be_written_once_the_run_was_dropped(
    emulator: Emulator, journal: Path, fill: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    gate, is_dropped = Gate(emulator, "1", "2"), threading.Event()
    gate.until = is_dropped.is_set
    with emulator.client() as client:
        for _ in bulk.map(client, taken_ahead(gate, 99), journal, ordered=False, concurrency=2):
            assert gate.came.acquire(timeout=120)
            threads = workers()
            fill()
            break
        is_dropped.set()
        gone(threads)
        gone(closing())
    assert [text for text in caplog.messages if text.startswith(LOG)] == [LOG + FULL]


def test_who_leaves_early_hears_nothing_of_what_the_source_says_later(emulator: Emulator) -> None:
    def requests() -> Iterator[Any]:
        yield from numbered(3)
        raise LookupError("further on")

    with emulator.client() as client, bulk.map(client, requests(), concurrency=2) as run:
        assert next(run).index == 0
        assert next(run).index == 1


# ---- tasks ----


@pytest.mark.anyio
async def test_answers_that_tasks_cannot_write_while_the_block_is_left(
    emulator: Emulator, journal: Path, fill: Callable[[], None]
) -> None:
    gate = Gate(emulator, "1", "2")
    async with emulator.async_client() as client:
        run = bulk.amap(client, source(99), journal, ordered=False, concurrency=2)
        gate.until = lambda: run._gang.books.is_stopping

        async def leave() -> None:
            async with run:
                assert (await anext(run)).index == 0
                await has_come(gate)
                fill()

        with pytest.raises(OSError, match="No space left on device"):
            await leave()
        await run.aclose()
    assert [line["index"] for line in lines(journal)] == [0]


@pytest.mark.anyio
async def test_another_error_that_leaves_the_block_counts_more(
    emulator: Emulator, journal: Path, fill: Callable[[], None], caplog: pytest.LogCaptureFixture
) -> None:
    gate, is_full = Gate(emulator, "1"), threading.Event()
    gate.until = is_full.is_set
    async with emulator.async_client() as client:

        async def leave() -> None:
            async with bulk.amap(client, source(99), journal, ordered=False, concurrency=2) as run:
                assert (await anext(run)).index == 0
                await has_come(gate)
                fill()
                is_full.set()
                await until(lambda: run._gang.books.error is not None)
                raise LeavingError

        with pytest.raises(LeavingError):
            await leave()
    assert [text for text in caplog.messages if text.startswith(LOG)] == [LOG + FULL]


async def stubborn() -> AsyncIterator[Any]:
    try:
        yield asking("0")
        await anyio.sleep_forever()
    finally:
        raise LookupError("no way out")


@pytest.mark.anyio
async def test_a_source_that_fails_as_it_is_closed(emulator: Emulator) -> None:
    async with emulator.async_client() as client:

        async def leave() -> None:
            async with bulk.amap(client, stubborn(), concurrency=2) as run:
                async for _ in run:
                    break

        with pytest.raises(LookupError, match="no way out"):
            await leave()


@pytest.mark.anyio
async def test_a_cancellation_that_ends_the_wait_counts_more(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    gate = Gate(emulator, "0")
    async with emulator.async_client() as client, anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:

            async def end() -> None:
                await until(lambda: run._gang.books.error is not None)
                scope.cancel()

            async with bulk.amap(client, stubborn(), concurrency=2) as run:
                await run._begin()
                await has_come(gate)
                group.start_soon(end)
        assert scope.cancelled_caught
    assert [text for text in caplog.messages if text.startswith(LOG)] == [f"{LOG}no way out"]


@pytest.mark.anyio
@pytest.mark.parametrize("fails", ["source", "journal"])
async def test_a_dropped_run_logs_what_fails(
    emulator: Emulator, journal: Path, caplog: pytest.LogCaptureFixture, fails: str
) -> None:
    async with emulator.async_client() as client:
        requests = stubborn() if fails == "source" else source(99)
        async for _ in bulk.amap(client, requests, journal, concurrency=2):
            if fails == "journal":
                journal.unlink()  # noqa: ASYNC240  # at once
            break
        await until(lambda: LOG in caplog.text)
    assert ("no way out" if fails == "source" else "it was removed by somebody else") in caplog.text


@pytest.mark.anyio
async def test_who_leaves_tasks_early_hears_nothing_of_what_the_source_says_later(emulator: Emulator) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield asking("0")
        raise LookupError("further on")

    async with emulator.async_client() as client, bulk.amap(client, requests(), concurrency=2) as run:
        assert (await anext(run)).index == 0
        await until(lambda: run._gang.books.error is not None)
