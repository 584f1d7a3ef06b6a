"""Closing a run from where it is not expected: from its own functions, or while it is being opened."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import ConfigurationError, bulk
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.testing import Emulator, Reply

from .conftest import asking, numbered, refusing, texts

DOWN = Reply.error(503, "down")


def is_open(journal: Path) -> bool:
    return journal.with_name(f".{journal.name}.lock").exists()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(30):
        while not condition():
            await anyio.lowlevel.checkpoint()


class Runs:
    """One run, which closes itself."""

    def __init__(self) -> None:
        self.run: Any = None
        self.closed = 0

    def close(self, *_: object) -> None:
        self.run.close()
        self.closed += 1

    async def aclose(self, *_: object) -> None:
        with anyio.CancelScope(shield=True), anyio.fail_after(30):
            await self.run.aclose()
        self.closed += 1

    async def aclose_by_another(self, *_: object) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.aclose)


# ---- threads ----


@pytest.mark.parametrize("who", ["source", "on_retry", "progress"])
def test_a_run_closes_itself(emulator: Emulator, journal: Path, who: str) -> None:
    runs = Runs()

    def source() -> Iterator[Any]:
        yield from numbered(3)
        if who == "source":
            runs.close()
        yield from numbered(9)

    def progress(state: BulkProgress) -> None:
        if who == "progress" and state.done == 1:
            runs.close()

    refusing(emulator, {"2": DOWN} if who == "on_retry" else {})
    with emulator.client(on_retry=runs.close) as client:
        runs.run = bulk.map(client, source(), journal, concurrency=2, progress=progress)
        with runs.run, pytest.raises(ConfigurationError, match="this run was closed before its end"):
            list(runs.run)
        assert runs.closed >= 1
        assert not is_open(journal)


def test_what_comes_after_the_end_is_left(emulator: Emulator) -> None:
    with emulator.client() as client:
        run = bulk.map(client, numbered(3), concurrency=2)
        crew, books = run._crew, run._crew.books
        item = books.take(asking("0"))
        assert item is not None
        crew._inbox.put(None)
        crew._inbox.put(item)
        crew.drop_rest()
        assert (books.pending, crew._inbox.get_nowait(), crew._inbox.empty()) == (0, None, True)


# ---- tasks ----


@pytest.mark.anyio
@pytest.mark.parametrize("close", [Runs.aclose, Runs.aclose_by_another])
async def test_an_async_source_closes_its_run(emulator: Emulator, journal: Path, close: Any) -> None:
    runs = Runs()

    async def source() -> AsyncIterator[Any]:
        for request in numbered(3):
            yield request
        await close(runs)
        yield asking("3")

    async with emulator.async_client() as client:
        runs.run = bulk.amap(client, source(), journal, concurrency=2)
        async with runs.run:
            with pytest.raises(ConfigurationError, match="this run was closed before its end"):
                [result async for result in runs.run]
    assert runs.closed == 1
    assert not is_open(journal)


@pytest.mark.anyio
async def test_a_request_closes_the_run(emulator: Emulator, journal: Path) -> None:
    runs = Runs()
    refusing(emulator, {"1": DOWN})
    async with emulator.async_client(on_retry=runs.aclose) as client:
        runs.run = bulk.amap(client, numbered(9), journal, concurrency=1)
        async with runs.run:
            with pytest.raises(ConfigurationError, match="this run was closed before its end"):
                [result async for result in runs.run]
    assert runs.closed == 1
    assert not is_open(journal)


@pytest.mark.anyio
@pytest.mark.parametrize("is_full", [True, False])
async def test_a_run_that_nobody_follows_closes_itself(
    emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch, is_full: bool
) -> None:
    runs, real, ends = Runs(), Books.close, list[int]()

    def close(books: Books[Any]) -> None:
        real(books)
        ends.append(1)
        if is_full:
            raise OSError("full")

    monkeypatch.setattr(Books, "close", close)
    refusing(emulator, {"1": DOWN})
    async with emulator.async_client(on_retry=runs.aclose) as client:
        runs.run = bulk.amap(client, numbered(9), journal, concurrency=1)
        assert texts([await anext(runs.run)]) == ["0"]
        await until(lambda: bool(ends))
        assert (runs.closed, is_open(journal)) == (1, False)


@pytest.mark.anyio
async def test_who_waits_for_a_result_hears_of_the_end(emulator: Emulator, journal: Path) -> None:
    may_answer = threading.Event()
    emulator.on("/v1/chat/completions", lambda request: DOWN if may_answer.wait(30) else None)
    async with emulator.async_client() as client, anyio.create_task_group() as group:
        run = bulk.amap(client, numbered(9), journal, concurrency=1)

        async def follow() -> None:
            with pytest.raises(ConfigurationError, match="this run was closed before its end"):
                await anext(run)

        group.start_soon(follow)
        await until(lambda: bool(emulator.requests_to("/v1/chat/completions")))
        await run.aclose()
        may_answer.set()


class LeavingError(BaseException):
    """As a group of cancellations is one."""


@pytest.mark.anyio
async def test_what_a_cancelled_request_raises_is_no_error_of_the_run(emulator: Emulator) -> None:
    runs = Runs()

    async def middleware(*_: object) -> Any:
        await runs.aclose()
        raise LeavingError

    async with emulator.async_client(middleware=[middleware]) as client:
        runs.run = bulk.amap(client, numbered(9), concurrency=1)
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            await anext(runs.run)


def test_a_task_that_is_cancelled_while_the_journal_is_opened_leaves_it_closed(
    emulator: Emulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_opening, may_open = threading.Event(), threading.Event()
    opened: list[Journal] = []

    def slow(*given: Any, **more: Any) -> Journal:
        is_opening.set()
        assert may_open.wait(30)
        opened.append(Journal(*given, **more))
        return opened[0]

    async def main() -> None:
        async with emulator.async_client() as client:
            run = bulk.amap(client, numbered(1), journal)
            with monkeypatch.context() as patch:
                patch.setattr("gigachat_sdk.bulk._books.Journal", slow)
                task = asyncio.ensure_future(anext(run))
                await until(is_opening.is_set)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            may_open.set()
            await until(lambda: bool(opened) and not is_open(journal))
            async with bulk.amap(client, numbered(1), journal) as again:
                assert texts([result async for result in again]) == ["0"]

    asyncio.run(main())
