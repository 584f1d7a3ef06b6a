"""`_concurrency.py`: what sync and async do differently by hand."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncGenerator
from typing import Any

import pytest
import trio

from gigachat_sdk._concurrency import (
    AsyncLocal,
    Local,
    Lock,
    async_begin,
    async_sleep,
    finish_soon,
    interrupt,
    sleep,
    when_dropped,
)


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


def test_a_lock_that_is_taken_can_be_passed_by() -> None:
    lock = Lock()
    assert lock.acquire()
    assert not lock.acquire(wait=False)
    lock.release()
    assert lock.acquire(wait=False)
    lock.release()


def test_a_value_is_made_once_and_closed_with_the_rest() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    assert values.get("a") is None
    assert values.add("a", lambda: "first") == "first"
    assert values.add("a", lambda: "second") == "first"
    assert values.add("b", lambda: "other") == values.get("b") == "other"
    values.close()
    assert sorted(closed) == ["first", "other"]
    assert values.get("a") is None


def test_values_are_closed_with_their_owner() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    values.add("a", lambda: "value")
    del values
    gc.collect()
    assert closed == ["value"]


def test_after_a_fork_values_are_made_anew_and_none_is_closed() -> None:
    closed: list[str] = []
    values: Local[str] = Local(closed.append)
    values.add("a", lambda: "the parent's")
    values.leave_to_parent()
    assert values.get("a") is None
    assert values.add("a", lambda: "the child's") == values.get("a") == "the child's"
    assert closed == []


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_values_of_a_loop_are_made_once_and_closed_on_it(run: Any) -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    async def main() -> None:
        values: AsyncLocal[str] = AsyncLocal(close)
        assert await values.add("a", lambda: "first") == "first"
        assert await values.add("a", lambda: "second") == values.get("a") == "first"
        await values.aclose()
        assert closed == ["first"]
        assert values.get("a") is None

    async def trio_main() -> None:
        await main()

    run(main()) if run is asyncio.run else run(trio_main)


def test_after_a_fork_values_of_a_loop_are_made_anew() -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        closed.append(value)

    async def main() -> None:
        values: AsyncLocal[str] = AsyncLocal(close)
        await values.add("a", lambda: "the parent's")
        values.leave_to_parent()
        assert values.get("a") is None
        assert await values.add("a", lambda: "the child's") == "the child's"
        await values.aclose()
        assert closed == ["the child's"]

    asyncio.run(main())


async def items() -> AsyncGenerator[int, None]:
    yield 1


class Waiting:
    """Suspends once, then gives what it was sent."""

    def __await__(self) -> Any:
        return (yield "waiting")


async def wait() -> Any:
    return await Waiting()


def test_the_first_step_is_waited_for_like_any_other() -> None:
    async def main() -> int:
        return await async_begin(items().__anext__)

    assert asyncio.run(main()) == trio.run(main) == 1

    steps = async_begin(wait).__await__()
    assert next(steps) == "waiting"
    with pytest.raises(StopIteration) as end:
        steps.send("sent")
    assert end.value.value == "sent"


def test_a_first_step_that_is_given_up_is_given_up_inside() -> None:
    ended: list[str] = []

    async def given_up() -> None:
        try:
            await Waiting()
        finally:
            ended.append("inside")

    steps = async_begin(given_up)
    steps.send(None)
    steps.close()
    assert ended == ["inside"]


def test_an_error_thrown_into_a_first_step_arrives_inside() -> None:
    async def catches() -> str:
        try:
            await Waiting()
        except ValueError as error:
            return f"caught {error}"
        return "nothing came"

    steps = async_begin(catches)
    steps.send(None)
    with pytest.raises(StopIteration) as end:
        steps.throw(ValueError("x"))
    assert end.value.value == "caught x"


def test_interrupting_wakes_whoever_reads() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        received: list[bytes] = []
        reader = threading.Thread(target=lambda: received.append(mine.recv(1)))
        reader.start()
        interrupt(mine)
        reader.join(5)
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


def test_what_is_dropped_is_closed_in_a_thread_of_its_own() -> None:
    class Owner:
        pass

    threads: list[threading.Thread] = []
    closed = threading.Event()

    def close() -> None:
        threads.append(threading.current_thread())
        closed.set()

    owner = Owner()
    when_dropped(owner, close)
    del owner
    gc.collect()
    assert closed.wait(5)
    assert threads != [threading.current_thread()]
    threads[0].join(5)
