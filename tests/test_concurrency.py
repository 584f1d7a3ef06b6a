"""`_concurrency.py`: what sync and async do differently by hand."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from gigachat_sdk import AsyncClient, Client, ConfigurationError, InvalidRequestError
from gigachat_sdk._concurrency import (
    AsyncLock,
    AsyncTurns,
    Lock,
    async_ask_in_thread,
    async_sleep,
    async_tell_in_thread,
    finish_soon,
    interrupt,
    sleep,
)
from gigachat_sdk._deadline import Deadline, DeadlineError, current_deadline, running
from gigachat_sdk.testing import Emulator, Reply


def test_sleeping_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    sleep(0.5)
    assert slept == [0.5]

    async def main() -> list[str]:
        order: list[str] = []

        async def other() -> None:
            order.append("other")

        task = asyncio.ensure_future(other())
        await async_sleep(0)
        order.append("main")
        await task
        return order

    assert asyncio.run(main()) == ["other", "main"]


@pytest.mark.anyio
async def test_a_loop_asks_in_so_many_threads_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk._concurrency._ASKING_AT_ONCE", 2)
    guard, most, now, answers = threading.Lock(), 0, 0, list[int]()
    is_full = threading.Event()

    def ask() -> int:
        nonlocal most, now
        with guard:
            now += 1
            most = max(most, now)
            if now == 2:
                is_full.set()
        is_full.wait(30)
        with guard:
            now -= 1
        return 1

    async def task() -> None:
        answers.append(await async_ask_in_thread(ask))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(task)
    assert (sum(answers), most) == (8, 2)


@pytest.mark.anyio
async def test_who_waits_for_a_task_waits_until_the_deadline() -> None:
    turns = AsyncTurns()
    lock = AsyncLock(turns)
    assert await lock.acquire()

    async def other() -> None:
        side = AsyncLock(turns)
        with running(Deadline(0.02)), pytest.raises(DeadlineError):
            await side.acquire()
        side.release()  # of what it has not got nothing is given back
        assert not await side.acquire(wait=False)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other)
    lock.release()
    assert await lock.acquire(wait=False)


@pytest.mark.anyio
async def test_who_waits_to_ask_waits_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk._concurrency._ASKING_AT_ONCE", 1)
    may_answer, is_asking = threading.Event(), anyio.Event()

    async def hold() -> None:
        is_asking.set()
        await async_ask_in_thread(may_answer.wait)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await is_asking.wait()
        await anyio.lowlevel.checkpoint()
        with running(Deadline(0.02)), pytest.raises(DeadlineError):
            await async_ask_in_thread(lambda: pytest.fail("it was not its turn"))
        may_answer.set()


@pytest.mark.anyio
@pytest.mark.parametrize("seconds", [None, 60.0, -1.0])
async def test_what_is_to_be_told_is_told_whatever_the_deadline(seconds: float | None) -> None:
    is_told, deadlines = threading.Event(), list[object]()

    def tell() -> None:
        deadlines.append(current_deadline())
        is_told.set()

    with running(None if seconds is None else Deadline(seconds)):
        await async_tell_in_thread(tell)
    assert is_told.wait(30)
    assert deadlines == [None]


def test_a_lock_that_is_taken_can_be_passed_by() -> None:
    lock = Lock()
    assert lock.acquire()
    assert not lock.acquire(wait=False)
    lock.release()
    assert lock.acquire(wait=False)
    lock.release()


def test_interrupting_wakes_whoever_reads() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(mine.recv(1)))
        reader.start()
        interrupt(mine)
        reader.join(30)
        assert received == [b""]
    interrupt(mine)  # closed already
    interrupt(None)  # a connection without a socket


def test_a_body_that_does_not_end_is_given_up_and_one_that_does_is_not() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        finish_soon(lambda: other.send(b"x") and mine.recv(1), 60, mine)
        other.send(b"y")
        assert mine.recv(1) == b"y"  # nothing was shut
        finish_soon(lambda: mine.recv(1), 0.01, mine)
        assert mine.recv(1) == b""
    ended = threading.Event()
    finish_soon(lambda: ended.wait(0.05), 0.001, None)  # no socket to shut: it ends by itself


# ---- a coroutine function where nobody could run it ----


async def on_retry(_: Any) -> None: ...


class Middleware:
    async def __call__(self, request: Any, send: Any) -> Any: ...


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"on_retry": on_retry}, "on_retry: a Client runs plain functions, got the coroutine function on_retry; "),
        ({"middleware": [Middleware()]}, "middleware: a Client runs plain functions, got the coroutine function Middl"),
    ],
)
def test_a_client_takes_no_coroutine_function(options: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{words}") as caught:
        Client(access_token="t", **options)
    assert isinstance(caught.value, TypeError)
    AsyncClient(access_token="t", **options)


@pytest.mark.parametrize("of_call", [False, True])
def test_one_that_is_noticed_only_as_it_runs_leaves_no_coroutine_behind(of_call: bool) -> None:
    options: Any = {"on_retry": lambda info: on_retry(info)}
    with Emulator() as emulator, emulator.client(**({} if of_call else options)) as client:
        emulator.reply("/v1/models", Reply.error(500, "x"), method="GET")
        with pytest.raises(InvalidRequestError, match=r"^on_retry: it is a coroutine function, which only an AsyncCli"):
            client.models.list(**(options if of_call else {}))
