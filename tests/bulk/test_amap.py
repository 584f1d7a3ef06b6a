"""What is particular to tasks: cancelling, dropping, loops that end, async sources."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from left_behind import LEAVES_SOCKETS

from gigachat_sdk import APIConnectionError, ConfigurationError, LocalLimiter, bulk
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.bulk._loop import is_cancellation
from gigachat_sdk.bulk._tasks import Gang
from gigachat_sdk.errors import InvalidRequestTypeError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import asked, asking, lines, texts
from .gates import Gate, answer_together

pytestmark = pytest.mark.anyio


async def source(count: int, closed: list[str] | None = None) -> AsyncIterator[Any]:
    try:
        for number in range(count):
            await anyio.lowlevel.checkpoint()
            yield asking(str(number))
    finally:
        if closed is not None:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            closed.append("closed")


async def has_come(gate: Gate) -> None:
    assert await anyio.to_thread.run_sync(lambda: gate.came.acquire(timeout=120))


async def until(condition: Callable[[], bool]) -> None:
    """Let others run until something is so."""
    with anyio.fail_after(30):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def test_an_async_source(emulator: Emulator, journal: Path) -> None:
    closed: list[str] = []
    answer_together(emulator, 4)
    async with emulator.async_client() as client, bulk.amap(client, source(30, closed), journal, concurrency=4) as run:
        assert run.__aiter__() is run
        results = [result async for result in run]
        assert texts(results) == [str(number) for number in range(30)]
        assert repr(run) == "<AsyncBulkRun: 30>"
    assert closed == ["closed"]
    assert emulator.max_in_flight == 4


async def test_results_come_while_the_source_waits(emulator: Emulator) -> None:
    is_read = anyio.Event()

    async def waiting() -> AsyncIterator[Any]:
        yield asking("0")
        await is_read.wait()
        yield asking("1")

    async with emulator.async_client() as client, bulk.amap(client, waiting(), concurrency=8) as run:
        found = []
        async for result in run:
            found.append(result)
            is_read.set()
    assert texts(found) == ["0", "1"]


async def test_closing_cancels_what_is_in_flight(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1", "2")
    closed: list[str] = []
    async with emulator.async_client() as client:
        run = bulk.amap(client, source(99, closed), journal, ordered=False, concurrency=2)
        assert (await run.__anext__()).index == 0
        await has_come(gate)
        await has_come(gate)
        await run.aclose()
        await run.aclose()
        assert [line["index"] for line in lines(journal)] == [0]
        assert closed == ["closed"]
        with pytest.raises(ConfigurationError, match="this run was closed before its end; begin another one; with its"):
            await run.__anext__()
        gate.delay = 0
        results = [result async for result in bulk.amap(client, source(9), journal, concurrency=2)]
        assert [result.from_journal for result in results] == [True] + [False] * 8


async def test_a_client_that_is_closed_meanwhile_leaves_what_is_in_flight(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1")
    client = emulator.async_client()
    async with bulk.amap(client, source(9), journal, ordered=False, concurrency=2) as run:
        assert (await run.__anext__()).index == 0
        await has_come(gate)
        await client.aclose()
        with pytest.raises((APIConnectionError, ConfigurationError), match="clos"):
            [result async for result in run]
    assert 1 not in [line["index"] for line in lines(journal)]
    assert all("response" in line for line in lines(journal))


async def test_a_run_that_was_never_begun_has_nothing_to_close(emulator: Emulator, journal: Path) -> None:
    async with emulator.async_client() as client, bulk.amap(client, [asking("Раз")], journal) as run:
        pass
    with pytest.raises(ConfigurationError, match="this run was closed before its end; begin another one"):
        await run.__anext__()
    assert list(journal.parent.iterdir()) == []


async def test_cancelling_who_waits_loses_nothing(emulator: Emulator) -> None:
    gate, is_cancelled = Gate(emulator, "0"), threading.Event()
    gate.until = is_cancelled.is_set
    async with emulator.async_client() as client, bulk.amap(client, [asking("0"), asking("1")], concurrency=2) as run:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await has_come(gate)
                    scope.cancel()

                group.start_soon(cancel)
                await run.__anext__()
        assert scope.cancelled_caught
        is_cancelled.set()
        assert texts([result async for result in run]) == ["late", "1"]
    assert len(asked(emulator)) == 2


async def test_results_that_are_ready_keep_nobody_from_cancelling(emulator: Emulator) -> None:
    async with emulator.async_client() as client, bulk.amap(client, source(8), concurrency=2) as run:
        assert (await run.__anext__()).index == 0
        await until(lambda: run._gang.books.is_ready)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run.__anext__()
        assert scope.cancelled_caught
        assert texts([result async for result in run]) == [str(number) for number in range(1, 8)]


async def test_a_run_that_is_dropped_ends_by_itself(emulator: Emulator, journal: Path) -> None:
    gate = Gate(emulator, "1", "2")
    closed: list[str] = []
    async with emulator.async_client() as client:
        async for result in bulk.amap(client, source(99, closed), journal, ordered=False, concurrency=2):
            assert result.index == 0
            await has_come(gate)
            await has_come(gate)
            break
        gc.collect()
        await until(lambda: bool(closed) and not journal.with_name(f".{journal.name}.lock").exists())
    assert [line["index"] for line in lines(journal)] == [0]


async def test_beginning_may_be_cancelled(emulator: Emulator, journal: Path) -> None:
    async with emulator.async_client() as client:
        run = bulk.amap(client, [asking("0")], journal)
        with anyio.CancelScope() as scope:
            scope.cancel()
            await run.__anext__()
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            await run.__anext__()
        assert not journal.with_name(f".{journal.name}.lock").exists()
        assert texts([result async for result in bulk.amap(client, [asking("0")], journal)]) == ["0"]


async def test_a_source_that_cannot_be_begun(emulator: Emulator) -> None:
    class Broken:
        def __aiter__(self) -> Any:
            raise LookupError("no cursor")

    class Odd(list[Any]):
        def __iter__(self) -> Any:
            raise KeyboardInterrupt

    kinds: list[tuple[Any, type[BaseException]]] = [(Broken(), LookupError), (Odd(), KeyboardInterrupt)]
    async with emulator.async_client() as client:
        for requests, kind in kinds:
            with pytest.raises(kind):
                await bulk.amap(client, requests).__anext__()


async def test_a_run_cannot_be_asked_by_its_own_source(emulator: Emulator) -> None:
    async def asking_itself() -> AsyncIterator[Any]:
        yield asking("0")
        yield await run.__anext__()

    async with emulator.async_client() as client, bulk.amap(client, asking_itself()) as run:
        with pytest.raises(RuntimeError, match="asked for a result by its own source"):
            [result async for result in run]
    assert run.progress.done == 1


async def test_a_run_that_a_function_ends_waits_for_no_slot(emulator: Emulator, journal: Path) -> None:
    limiter = LocalLimiter(1)

    async def requests() -> AsyncIterator[Any]:
        for number in range(1, 4):
            yield {"id": number, "request": asking(str(number))}
        await until(lambda: limiter.waiting == 2)
        yield {"id": 0, "request": asking("0")}

    def fail(progress: bulk.BulkProgress) -> None:
        raise LookupError

    async with emulator.async_client(limiter=limiter) as client:
        [result async for result in bulk.amap(client, [{"id": 0, "request": asking("0")}], journal)]
        with limiter.acquire(), pytest.raises(LookupError):
            [result async for result in bulk.amap(client, requests(), journal, False, 2, fail)]
    assert asked(emulator) == ["0"]


async def test_a_source_that_cannot_be_closed(emulator: Emulator) -> None:
    async def stubborn() -> AsyncIterator[Any]:
        try:
            for number in range(99):
                yield asking(str(number))
        finally:
            raise LookupError("no way out")

    async with emulator.async_client() as client:
        run = bulk.amap(client, stubborn(), concurrency=1)
        assert (await run.__anext__()).index == 0
        with pytest.raises(LookupError, match="no way out"):
            await run.aclose()
        await run.aclose()


async def test_a_middleware_that_leaves_ends_the_run(emulator: Emulator) -> None:
    async def middleware(request: Any, send: Any) -> Any:
        raise SystemExit(5)

    async with emulator.async_client(middleware=[middleware]) as client:
        with pytest.raises(SystemExit):
            await bulk.amap(client, [asking("0")]).__anext__()


async def test_the_kind_of_client(emulator: Emulator) -> None:
    client: Any = emulator.client()
    with pytest.raises(
        InvalidRequestTypeError, match=r"client: bulk\.amap takes an AsyncClient, got Client; see bulk\.map"
    ):
        bulk.amap(client, [])


# ---- loops that end ----


def leaving(emulator: Emulator, journal: Path, kept: list[Any]) -> Callable[[], Awaitable[None]]:
    gate = Gate(emulator, "1", "2")

    async def main() -> None:
        client = emulator.async_client()
        run = bulk.amap(client, source(99), journal, ordered=False, concurrency=2)
        assert (await run.__anext__()).index == 0
        await has_come(gate)
        await has_come(gate)
        kept.append(run)

    return main


def test_a_loop_that_ends_takes_the_run_along(emulator: Emulator, journal: Path, anyio_backend: str) -> None:
    kept: list[Any] = []
    anyio.run(leaving(emulator, journal, kept), backend=anyio_backend)
    assert [line["index"] for line in lines(journal)] == [0]
    assert not journal.with_name(f".{journal.name}.lock").exists()

    async def go_on() -> None:
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            await kept[0].__anext__()

    anyio.run(go_on, backend=anyio_backend)


def test_a_run_that_is_dropped_with_its_loop(emulator: Emulator, journal: Path, anyio_backend: str) -> None:
    class Forgetful(list[Any]):
        def append(self, run: Any) -> None:
            pass

    anyio.run(leaving(emulator, journal, Forgetful()), backend=anyio_backend)
    gc.collect()
    assert [line["index"] for line in lines(journal)] == [0]
    assert not journal.with_name(f".{journal.name}.lock").exists()


FORGIVEN = ["-W", "ignore:unclosed:ResourceWarning"] if LEAVES_SOCKETS else []
DROPPED = """
import logging, sys, anyio
from gigachat_sdk import AsyncClient, bulk
logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine every step is slow to the development mode

async def source():
    for number in range(99):
        yield {"messages": [{"role": "user", "content": str(number)}]}

async def main():
    client = AsyncClient()
    async for result in bulk.amap(client, source(), sys.argv[1], concurrency=3):
        print(result.index)
        break

anyio.run(main, backend=sys.argv[2])
"""


def test_nothing_is_said_of_what_was_left(
    emulator: Emulator, journal: Path, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Gate(emulator, "1", "2")
    monkeypatch.setenv("GIGACHAT_BASE_URL", emulator.base_url)
    monkeypatch.setenv("GIGACHAT_AUTH_URL", emulator.auth_url)
    monkeypatch.setenv("GIGACHAT_CREDENTIALS", emulator.credentials)
    result = subprocess.run(
        [sys.executable, "-W", "error", *FORGIVEN, "-X", "dev", "-c", DROPPED, str(journal), anyio_backend],
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "0\n", "")


async def test_a_task_that_is_begun_too_late_does_nothing(emulator: Emulator) -> None:
    async with emulator.async_client() as client:
        run = bulk.amap(client, [asking("0")])
        gang: Gang[Any] = run._gang
        await gang.begin([asking("0")])
        await gang.aclose()
        assert asked(emulator) == []


def test_a_loop_that_ends_while_a_run_is_closed(emulator: Emulator, journal: Path) -> None:
    stuck = threading.Event()
    real = Books.close

    def close(books: Books[Any]) -> None:
        if threading.current_thread() is not threading.main_thread():
            stuck.wait(30)
        real(books)

    async def main() -> None:
        async with emulator.async_client() as client:
            run = bulk.amap(client, [asking("0"), asking("1")], journal)
            await run.__anext__()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Books, "close", close)
                task = asyncio.ensure_future(run.aclose())
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                task.cancel()
                stuck.set()
                with pytest.raises(asyncio.CancelledError):
                    await task

    asyncio.run(main())
    assert not journal.with_name(f".{journal.name}.lock").exists()


async def test_closing_ends_the_wait_for_a_token(emulator: Emulator, journal: Path) -> None:
    emulator.reply("/api/v2/oauth", Reply.error(503, "down", headers={"Retry-After": "60"}), times=99)
    async with emulator.async_client(max_retries=0) as client:
        run = bulk.amap(client, source(9), journal, concurrency=2)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def cancel() -> None:
                    await until(lambda: run._gang.books._tokens._began is not None)
                    scope.cancel()

                group.start_soon(cancel)
                await run.__anext__()
        await run.aclose()
    assert lines(journal) == []


async def test_all_who_wait_hear_of_a_journal_that_cannot_be_opened(emulator: Emulator, tmp_path: Path) -> None:
    told: list[type[BaseException]] = []
    async with emulator.async_client() as client:
        run = bulk.amap(client, source(9), tmp_path)

        async def take() -> None:
            try:
                await run.__anext__()
            except (OSError, ConfigurationError) as error:
                told.append(type(error))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(take)
    assert sorted(told, key=str) == sorted([IsADirectoryError, ConfigurationError, ConfigurationError], key=str)


async def test_a_function_that_wants_to_end_the_program_ends_the_run(emulator: Emulator) -> None:
    def progress(state: bulk.BulkProgress) -> None:
        raise SystemExit(4)

    async with emulator.async_client() as client:
        with pytest.raises(SystemExit):
            assert [result async for result in bulk.amap(client, source(9), progress=progress)]


async def test_a_run_that_is_closed_sends_nothing_more(emulator: Emulator) -> None:
    async with emulator.async_client(max_concurrency=1) as client:
        limiter = client.limiter
        assert limiter is not None
        slot = limiter.acquire()
        run = bulk.amap(client, source(9), concurrency=2)
        await run._begin()
        await until(lambda: client.limiter.waiting == 2)  # type: ignore[union-attr]  # there is one
        run._gang.books.is_stopping = True
        slot.release()
        await until(lambda: run._gang.books.is_over)
        await run.aclose()
        assert asked(emulator) == []


class Group(BaseException):
    """As a nursery raises; Python 3.10 has none of its own."""

    def __init__(self, *exceptions: BaseException) -> None:
        self.exceptions = exceptions


@pytest.mark.anyio
async def test_a_group_of_cancellations_is_one() -> None:
    found: list[bool] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(60)
        except anyio.get_cancelled_exc_class() as error:
            groups = [error, Group(Group(error), error), Group(error, ValueError()), Group(), ValueError()]
            found = [is_cancellation(one) for one in groups]
            raise
    assert found == [True, True, False, False, False]
