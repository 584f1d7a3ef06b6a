"""A run that is left waits for no retry, and sends nothing afterwards."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from gigachat_sdk import bulk
from gigachat_sdk.bulk._books import Books
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, asked, asking, lines
from .test_map import consumed

OAUTH = "/api/v2/oauth"


class OwnError(Exception):
    """What a middleware makes of any error."""


def repeating(request: Any, send: Any) -> Any:
    """A middleware that sends again as long as it fails."""
    answer: Any = None
    while answer is None or answer.status_code != 200:
        with suppress(Exception):  # of the connection, as it means
            answer = send(request)
    return answer


def wrapping(request: Any, send: Any) -> Any:
    """A middleware that sends twice, and raises an error of its own."""
    try:
        send(request)
        return send(request)
    except BaseException as error:
        raise OwnError from error


async def arepeating(request: Any, send: Any) -> Any:
    answer: Any = None
    while answer is None or answer.status_code != 200:
        with suppress(Exception):
            answer = await send(request)
        await anyio.lowlevel.checkpoint()
    return answer


async def awrapping(request: Any, send: Any) -> Any:
    try:
        await send(request)
        return await send(request)
    except anyio.get_cancelled_exc_class():
        raise
    except BaseException as error:
        raise OwnError from error


def held_back(emulator: Emulator) -> tuple[threading.Event, threading.Event]:
    """Answer with 503, as long as the run goes on; return that one has come, and that it may be answered."""
    has_come, may_answer = threading.Event(), threading.Event()

    def handler(request: RecordedRequest) -> Reply:
        has_come.set()
        assert may_answer.wait(30)
        return Reply.error(503, "down")

    emulator.on(CHAT, handler)
    return has_come, may_answer


@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
@pytest.mark.parametrize("middleware", [repeating, wrapping])
def test_a_middleware_that_sends_again_is_ended_with_the_run(
    emulator: Emulator, journal: Path, middleware: Any, settings: dict[str, Any]
) -> None:
    has_come, may_answer = held_back(emulator)
    with emulator.client(middleware=[middleware], **settings) as client:
        run = bulk.map(client, [asking("0"), asking("1")], journal, concurrency=1, max_retries=0)
        with consumed(run):  # which hears of the closed run alone
            assert has_come.wait(30)
            run._crew.books.is_stopping = True
            may_answer.set()
            run.close()
    assert (asked(emulator), lines(journal)) == (["0"], [])


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
@pytest.mark.parametrize("middleware", [arepeating, awrapping])
async def test_an_async_middleware_that_sends_again_is_ended_with_the_run(
    emulator: Emulator, journal: Path, middleware: Any, settings: dict[str, Any]
) -> None:
    has_come, may_answer = held_back(emulator)
    async with emulator.async_client(middleware=[middleware], **settings) as client:
        requests = [asking("0"), asking("1")]
        with anyio.fail_after(30):
            async with bulk.amap(client, requests, journal, concurrency=1, max_retries=0) as run:
                await run._begin()
                await anyio.to_thread.run_sync(has_come.wait)
                run._gang.books.is_stopping = True
                may_answer.set()
    assert (asked(emulator), lines(journal)) == (["0"], [])


class Waiting:
    """A run whose first request is about to wait.

    Args:
        emulator: Where it is asked.
        path: What it waits for: its own answer, or a token.
        is_slow: Whether the answer comes once the run is ending; else it is to be asked for again in a minute.

    Attributes:
        books: The run's.
        count: How often the request is sent before it waits.
    """

    def __init__(self, emulator: Emulator, path: str, *, is_slow: bool) -> None:
        self.books: Books[Any] | None = None
        self.count = 1 if path == CHAT else 0
        self._has_come = threading.Event()
        self._is_slow = is_slow
        emulator.on(path, self._answer)

    def _answer(self, request: RecordedRequest) -> Reply | None:
        if self._has_come.is_set():  # and it is sent again
            return None
        self._has_come.set()
        if not self._is_slow:
            return Reply.error(503, "down", headers={"Retry-After": "60"})
        ends_at = monotonic() + 30
        while not (self.books is not None and self.books.is_stopping):
            assert monotonic() < ends_at
            threading.Event().wait(0.01)
        return None

    def come(self) -> None:
        """Wait until it is."""
        assert self._has_come.wait(30)


@pytest.fixture(params=[(CHAT, False), (OAUTH, False), (OAUTH, True)])
def waiting(request: pytest.FixtureRequest, emulator: Emulator) -> Waiting:
    path, is_slow = request.param
    return Waiting(emulator, path, is_slow=is_slow)


@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
def test_closing_ends_the_wait_for_a_retry(
    emulator: Emulator, journal: Path, waiting: Waiting, settings: dict[str, Any]
) -> None:
    with emulator.client(**settings) as client:
        run = bulk.map(client, [asking("0"), asking("1")], journal, concurrency=1)
        waiting.books = run._crew.books
        with consumed(run):
            waiting.come()
            run.close()
    assert (asked(emulator), lines(journal)) == (["0"] * waiting.count, [])


@pytest.mark.anyio
@pytest.mark.parametrize("settings", [{}, {"max_concurrency": 1}])
async def test_leaving_the_block_ends_the_wait_for_a_retry(
    emulator: Emulator, journal: Path, waiting: Waiting, settings: dict[str, Any]
) -> None:
    requests = [asking("0"), asking("1")]
    async with (
        emulator.async_client(**settings) as client,
        bulk.amap(client, requests, journal, concurrency=1) as run,
    ):
        waiting.books = run._gang.books
        await run._begin()
        await anyio.to_thread.run_sync(waiting.come)
    assert (asked(emulator), lines(journal)) == (["0"] * waiting.count, [])
