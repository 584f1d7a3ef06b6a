"""What is finished while a run is left is told as well, to who leaves it; and a run that is dropped tells nobody."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import bulk
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.testing import Emulator

from .conftest import lines
from .gates import Gate, taken_ahead
from .test_amap import has_come, source
from .test_failures_while_leaving import LOG
from .test_map import closing, consumed, gone, workers


class Counts:
    """A progress function; it may fail."""

    def __init__(self, *, fails_at: int = 0) -> None:
        self.told: list[int] = []
        self.by: set[threading.Thread] = set()
        self._fails_at = fails_at

    def __call__(self, state: BulkProgress) -> None:
        self.told.append(state.done)
        self.by.add(threading.current_thread())
        if state.done == self._fails_at:
            raise LookupError("no display")


# ---- threads ----


@pytest.fixture
def gate(emulator: Emulator) -> Gate:
    return Gate(emulator, "1", "2")


def answered_as_it_ends(gate: Gate, books: Books[Any]) -> None:
    """Have what is in flight answered once a run is being left."""
    gate.until = lambda: books.is_stopping


def begun(
    client: Any, gate: Gate, journal: Path | None, progress: Any, *, is_answered: bool = True
) -> bulk.BulkRun[Any]:
    """A run of which one result was taken, and what is in flight is answered once it is left, or not at all."""
    run = bulk.map(client, taken_ahead(gate, 99), journal, ordered=False, concurrency=2, progress=progress)
    if is_answered:
        answered_as_it_ends(gate, run._crew.books)
    assert next(run).index == 0
    assert gate.came.acquire(timeout=120)
    return run


def test_what_is_finished_while_the_block_is_left_is_told(emulator: Emulator, gate: Gate, journal: Path) -> None:
    counts = Counts()
    with emulator.client() as client:
        with begun(client, gate, journal, counts) as run:
            pass
        assert counts.told == list(range(1, len(lines(journal)) + 1))
        assert len(counts.told) > 1
        assert counts.by == {threading.current_thread()}
        run.close()
    assert counts.told[-1] == run.progress.done


def test_what_is_finished_while_another_thread_closes_is_told(emulator: Emulator, gate: Gate, journal: Path) -> None:
    counts = Counts()
    with emulator.client() as client:
        run = bulk.map(client, taken_ahead(gate, 99), journal, ordered=False, concurrency=2, progress=counts)
        answered_as_it_ends(gate, run._crew.books)
        with consumed(run):
            assert gate.came.acquire(timeout=120)
            run.close()
    assert counts.told == list(range(1, len(lines(journal)) + 1))
    assert not [thread for thread in counts.by if thread.name == "gigachat-sdk bulk"]


def test_what_is_finished_when_a_turn_ends_that_the_run_was_closed_in(emulator: Emulator, gate: Gate) -> None:
    counts = Counts()
    with emulator.client() as client:
        run = begun(client, gate, None, counts)
        with run._crew.turn:  # as who takes a result has it
            run.close()
            assert counts.told == [1]
        run._crew.count_rest()
    assert counts.told == list(range(1, run.progress.done + 1))
    assert len(counts.told) > 1


def test_a_function_that_fails_while_the_block_is_left(emulator: Emulator, gate: Gate, journal: Path) -> None:
    with emulator.client() as client:
        run = begun(client, gate, journal, Counts(fails_at=2))
        with pytest.raises(LookupError, match="no display"), run:
            pass
    assert not journal.with_name(f".{journal.name}.lock").exists()


def test_a_function_that_wants_a_result_while_the_block_is_left(emulator: Emulator, gate: Gate) -> None:
    def progress(state: BulkProgress) -> None:
        if state.done == 2:
            next(run)

    with emulator.client() as client:
        run = begun(client, gate, None, progress)
        with pytest.raises(RuntimeError, match="asked for a result by its own source or progress function"):
            run.close()


def test_a_run_that_is_dropped_tells_nobody_from_its_own_threads(emulator: Emulator, gate: Gate, journal: Path) -> None:
    counts = Counts()
    with emulator.client() as client:
        run = begun(client, gate, journal, counts)
        threads = workers()
        del run
        gc.collect()
        gone(threads)
        gone(closing())
        assert len(lines(journal)) > 1
    assert counts.told == [1]


def test_nothing_is_said_of_a_run_that_is_dropped_after_its_client(
    emulator: Emulator, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    with emulator.client() as client:
        run = begun(client, gate, None, None, is_answered=False)
        threads = workers()
    run._crew.receive(wait=True)  # what closing the client has cut off
    assert run._crew.books.error is not None
    del run
    gc.collect()
    gone(threads)
    gone(closing())
    assert [text for text in caplog.messages if text.startswith(LOG)] == []


# ---- tasks ----


@pytest.mark.anyio
@pytest.mark.parametrize("fails_at", [0, 2])
async def test_what_tasks_finish_while_the_block_is_left_is_told(
    emulator: Emulator, gate: Gate, journal: Path, fails_at: int
) -> None:
    counts = Counts(fails_at=fails_at)

    async def leave() -> None:
        async with bulk.amap(client, source(99), journal, ordered=False, concurrency=2, progress=counts) as run:
            answered_as_it_ends(gate, run._gang.books)
            assert (await anext(run)).index == 0
            await has_come(gate)

    async with emulator.async_client() as client:
        if fails_at:
            with pytest.raises(LookupError, match="no display"):
                await leave()
        else:
            await leave()
    assert counts.told == list(range(1, len(lines(journal)) + 1))
