"""Leaving a run before its end: what is in flight is waited for, unless an error or a cancellation leaves it."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import ConfigurationError, LocalLimiter, bulk
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, asked, asking, lines, numbered
from .gates import Gate
from .test_amap import has_come, source, until

# ---- tasks ----


@pytest.mark.anyio
async def test_leaving_the_block_waits_for_what_is_in_flight(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1", "2")
    closed: list[str] = []
    async with emulator.async_client() as client:
        async with bulk.amap(client, source(99, closed), journal, ordered=False, concurrency=2) as run:
            gate.until = lambda: run._gang.books.is_stopping
            async for result in run:
                assert result.index == 0
                await has_come(gate)
                await has_come(gate)
                break
        assert sorted(line["index"] for line in lines(journal)) == [0, 1, 2]
        assert (closed, len(asked(emulator)), run.progress.done) == (["closed"], 3, 3)
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            await anext(run)


class LeavingError(Exception):
    """What is raised inside a block."""


@pytest.mark.anyio
@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_an_error_that_leaves_the_block_waits_for_nothing(
    emulator: Emulator, journal: Path, is_cancelled: bool
) -> None:
    gate = Gate(emulator, "1", "2")
    async with emulator.async_client() as client:
        with anyio.CancelScope() as scope:
            try:
                async with bulk.amap(client, source(99), journal, ordered=False, concurrency=2) as run:
                    assert (await anext(run)).index == 0
                    await has_come(gate)
                    await has_come(gate)
                    if not is_cancelled:
                        raise LeavingError
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
            except LeavingError:
                assert not is_cancelled
        assert scope.cancelled_caught is is_cancelled
    assert [line["index"] for line in lines(journal)] == [0]


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["cancelling", "closing"])
async def test_the_wait_for_what_is_in_flight_can_be_ended(emulator: Emulator, journal: Path, by: str) -> None:
    gate = Gate(emulator, "1", "2")
    async with emulator.async_client() as client, anyio.create_task_group() as group:
        run = bulk.amap(client, source(99), journal, ordered=False, concurrency=2)
        with anyio.CancelScope() as scope:

            async def end() -> None:
                await until(lambda: run._gang.books.is_stopping)
                if by == "cancelling":
                    scope.cancel()
                else:
                    await run.aclose()

            async with run:
                assert (await anext(run)).index == 0
                await has_come(gate)
                await has_come(gate)
                group.start_soon(end)
    assert [line["index"] for line in lines(journal)] == [0]


@pytest.mark.anyio
async def test_leaving_the_block_waits_for_no_source_and_no_slot(emulator: Emulator) -> None:
    limiter = LocalLimiter(1)

    async def requests() -> AsyncIterator[Any]:
        for request in numbered(3):
            yield request
        await anyio.sleep_forever()

    async with emulator.async_client(limiter=limiter) as client:
        with anyio.fail_after(30):
            async with bulk.amap(client, requests(), concurrency=2) as run:
                assert (await anext(run)).index == 0
                await until(lambda: run.progress.done == 3)
            with limiter.acquire():
                async with bulk.amap(client, source(99), concurrency=2) as run:
                    await run._begin()
                    await until(lambda: limiter.waiting == 2)
    assert asked(emulator) == ["0", "1", "2"]


@pytest.mark.anyio
async def test_a_block_inside_the_run_itself_does_not_wait_for_itself(emulator: Emulator) -> None:
    async def requests() -> AsyncIterator[Any]:
        yield asking("0")
        async with run:
            pass
        yield asking("1")

    async with emulator.async_client() as client:
        run = bulk.amap(client, requests(), concurrency=2)
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            [result async for result in run]


@pytest.mark.anyio
async def test_a_block_that_is_left_before_the_source_is_asked(emulator: Emulator) -> None:
    async with emulator.async_client() as client, bulk.amap(client, source(9)) as run:
        await run._begin()
    assert asked(emulator) == []


def test_a_loop_that_ends_tells_nobody_of_a_journal_that_is_gone(
    emulator: Emulator, journal: Path, anyio_backend: str
) -> None:
    gate = Gate(emulator, "1")
    kept: list[Any] = []

    async def main() -> None:
        run = bulk.amap(emulator.async_client(), source(99), journal, ordered=False, concurrency=2)
        assert (await anext(run)).index == 0
        await has_come(gate)
        journal.unlink()  # noqa: ASYNC240  # at once
        kept.append(run)

    anyio.run(main, backend=anyio_backend)
    assert not journal.with_name(f".{journal.name}.lock").exists()


# ---- threads ----


def test_a_run_that_nobody_follows_logs_that_its_journal_is_gone(
    emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, is_closed = Books.close_journal, threading.Event()

    def close(books: Books[Any]) -> None:
        try:
            real(books)
        finally:
            is_closed.set()

    monkeypatch.setattr(Books, "close_journal", close)
    with emulator.client() as client:
        for _ in bulk.map(client, numbered(1), journal):
            journal.unlink()
            break
        assert is_closed.wait(30)
        for thread in threading.enumerate():
            if thread.daemon and "close_alone" in thread.name:
                thread.join(30)
    assert "a bulk run that was left has ended with an error: " in caplog.text
    assert "it was removed by somebody else during the run" in caplog.text


# ---- the child of a fork ----


@pytest.mark.parametrize("has_journal", [True, False])
def test_the_child_of_a_fork_is_given_no_result(emulator: Emulator, journal: Path, has_journal: bool) -> None:
    may_answer = threading.Event()

    def handler(request: RecordedRequest) -> Reply | None:
        if request.json()["messages"][0]["content"] != "0":
            assert may_answer.wait(30)
        return None

    emulator.on(CHAT, handler)

    def requests() -> Iterator[Any]:
        yield from numbered(9)

    with (
        emulator.client() as client,
        bulk.map(client, requests(), journal if has_journal else None, concurrency=1) as run,
    ):
        next(run)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                next(run)
            except ConfigurationError as error:
                status = 0 if "another process's" in str(error) else 2
            finally:
                os._exit(status)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        may_answer.set()
        assert ended == 0
        assert len(list(run)) == 8
