"""`limits.py`: a `LocalLimiter` by itself, in threads and in tasks of both loops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio

from gigachat_sdk import ConcurrencyLimiter, LimiterTimeoutError, LocalLimiter, Slot
from gigachat_sdk._concurrency import AsyncSignal, Signal
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk.limits import LocalSlot


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread to get somewhere."""
    while not condition():
        threading.Event().wait(0.001)


async def auntil(condition: Callable[[], bool]) -> None:
    while not condition():  # another task or thread knows nothing of an event
        await anyio.lowlevel.checkpoint()


def in_line(limiter: LocalLimiter, order: list[Any], names: range, model: str | None = None) -> list[threading.Thread]:
    """Let threads queue for a slot, one after the other; each notes its name and gives its slot on."""

    def wait(name: int) -> None:
        with limiter.acquire(model):
            order.append(name)

    threads: list[threading.Thread] = []
    for name in names:
        before = limiter.waiting
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        until(lambda before=before: limiter.waiting == before + 1)  # type: ignore[misc]  # bound now
    return threads


def test_it_is_what_a_client_needs() -> None:
    limiter = LocalLimiter(1)
    assert isinstance(limiter, ConcurrencyLimiter)
    assert isinstance(limiter.acquire(), Slot)


def test_slots_are_counted_and_come_back_once() -> None:
    limiter = LocalLimiter(2)
    first, second = limiter.acquire(), limiter.acquire()
    assert (limiter.held, first.has_waited) == (2, False)
    first.release()
    first.release()
    assert limiter.held == 1
    with limiter.acquire():
        assert limiter.held == 2
    second.release()
    assert limiter.held == 0
    assert repr(limiter) == "LocalLimiter(*: 2; 0 held, 0 waiting)"


def test_a_dropped_slot_comes_back() -> None:
    limiter = LocalLimiter(1)
    slot = limiter.acquire()
    del slot
    assert limiter.held == 0


def test_a_slot_dropped_by_the_garbage_collector_inside_the_limiter_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = LocalLimiter(2)

    class Ring:
        def __init__(self) -> None:
            self.ring, self.slot = self, limiter.acquire()

    Ring()
    gc.collect()
    assert limiter.held == 0
    Ring()
    make = type(limiter._buckets["*"]).slot

    def collect_first(bucket: Any, *args: Any, **named: Any) -> Any:
        gc.collect()  # with the limiter's guard held by this very thread
        return make(bucket, *args, **named)

    monkeypatch.setattr(type(limiter._buckets["*"]), "slot", collect_first)
    slot = limiter.acquire()
    assert limiter.held == 1
    slot.release()
    assert limiter.held == 0


def test_200_threads_are_served_in_the_order_in_which_they_came() -> None:
    limiter, order = LocalLimiter(1), list[int]()
    slot = limiter.acquire()
    threads = in_line(limiter, order, range(200))
    assert (limiter.waiting, order) == (200, [])
    slot.release()
    for thread in threads:
        thread.join()
    assert order == list(range(200))
    assert (limiter.held, limiter.waiting) == (0, 0)


@pytest.mark.anyio
async def test_200_tasks_are_served_in_the_order_in_which_they_came_and_half_of_them_may_leave() -> None:
    limiter, order = LocalLimiter(3), list[int]()
    slots = [limiter.acquire() for _ in range(3)]
    scopes: dict[int, anyio.CancelScope] = {}

    async def wait(name: int) -> None:
        with anyio.CancelScope() as scope:
            scopes[name] = scope
            with await limiter.aacquire():
                order.append(name)
                await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        for name in range(200):
            group.start_soon(wait, name)
            await auntil(lambda name=name: limiter.waiting == name + 1)  # type: ignore[misc]  # bound now
        for name in range(0, 200, 2):
            scopes[name].cancel()
        await auntil(lambda: limiter.waiting == 100)
        slots.pop().release()  # one slot serves them all, one after the other
    assert order == list(range(1, 200, 2))
    assert (limiter.held, limiter.waiting) == (2, 0)


@pytest.mark.anyio
async def test_no_one_is_overtaken_by_a_later_one_that_finds_a_slot_free() -> None:
    limiter, order = LocalLimiter(1), list[str]()
    slot = limiter.acquire()

    async def wait(name: str) -> None:
        with await limiter.aacquire():
            order.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "early")
        await auntil(lambda: limiter.waiting == 1)
        slot.release()  # it is the early one's now, though it has not woken yet
        group.start_soon(wait, "late")
    assert order == ["early", "late"]


@pytest.mark.anyio
async def test_a_slot_that_comes_with_the_cancellation_is_given_on() -> None:
    limiter = LocalLimiter(1)
    slot = limiter.acquire()
    scope, entered = anyio.CancelScope(), list[int]()

    async def wait() -> None:
        with scope:
            await limiter.aacquire()
            entered.append(1)

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        await auntil(lambda: limiter.waiting == 1)
        scope.cancel()
        slot.release()  # before the task has seen that it is cancelled
        assert (limiter.held, limiter.waiting) == (1, 0)
    assert (limiter.held, entered) == (0, [])


@pytest.mark.anyio
async def test_threads_and_tasks_wait_in_one_line() -> None:
    limiter, order = LocalLimiter(1), list[Any]()
    slot = limiter.acquire()

    async def wait(name: int) -> None:
        with await limiter.aacquire():
            order.append(name)

    async with anyio.create_task_group() as group:
        threads = in_line(limiter, order, range(1))
        group.start_soon(wait, 1)
        await auntil(lambda: limiter.waiting == 2)
        threads += in_line(limiter, order, range(2, 3))
        group.start_soon(wait, 3)
        await auntil(lambda: limiter.waiting == 4)
        slot.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3]


def test_waiting_ends_in_time() -> None:
    limiter = LocalLimiter(1, timeout=0.01)
    slot = limiter.acquire()
    with pytest.raises(LimiterTimeoutError) as caught:
        limiter.acquire()
    assert caught.value.message == (
        "no slot became free in 0.01 s: 1 of 1 are held and 0 more requests wait; a stream holds its slot until it is "
        "closed"
    )
    assert isinstance(caught.value, TimeoutError)
    assert limiter.waiting == 0
    slot.release()
    limiter.acquire().release()


def test_no_patience_at_all_takes_what_is_free() -> None:
    limiter = LocalLimiter({"GigaChat": 1}, timeout=0)
    with (
        limiter.acquire("GigaChat"),
        pytest.raises(LimiterTimeoutError, match="no slot for GigaChat became free in 0 s"),
    ):
        limiter.acquire("GigaChat")


@pytest.mark.anyio
async def test_a_task_waits_no_longer_either() -> None:
    limiter = LocalLimiter(1, timeout=0.01)
    with limiter.acquire(), pytest.raises(LimiterTimeoutError):
        await limiter.aacquire()
    assert (limiter.held, limiter.waiting) == (0, 0)


@pytest.mark.parametrize("patience", [None, 60.0])
@pytest.mark.anyio
async def test_the_deadline_of_a_call_ends_the_wait(patience: float | None) -> None:
    limiter = LocalLimiter(1, patience)
    with limiter.acquire():
        with running(Deadline(0.01)), pytest.raises(DeadlineError):
            limiter.acquire()
        with running(Deadline(0.01)), pytest.raises(DeadlineError):
            await limiter.aacquire()
        with running(Deadline(-1)), pytest.raises(DeadlineError):
            limiter.acquire()
    assert (limiter.held, limiter.waiting) == (0, 0)


def test_models_have_limits_of_their_own() -> None:
    limiter = LocalLimiter({"GigaChat-2-Max": 1, "*": 2}, timeout=0)
    assert limiter.limits == {"GigaChat-2-Max": 1, "*": 2}
    held = [limiter.acquire("GigaChat-2-Max:2.0"), limiter.acquire("GigaChat"), limiter.acquire(None)]
    assert limiter.held == 3
    with pytest.raises(LimiterTimeoutError, match="for GigaChat-2-Max"):
        limiter.acquire("GigaChat-2-Max")
    with pytest.raises(LimiterTimeoutError):
        limiter.acquire("GigaChat-2")
    for slot in held:
        slot.release()


def test_without_a_limit_for_all_others_nothing_limits_them() -> None:
    limiter = LocalLimiter({"GigaChat-2-Max": 1}, timeout=0)
    slots = [limiter.acquire("GigaChat") for _ in range(100)] + [limiter.acquire()]
    assert limiter.held == 0
    slots.clear()


def test_429_narrows_an_adaptive_limit_and_success_widens_it_again(caplog: pytest.LogCaptureFixture) -> None:
    limiter = LocalLimiter(8, timeout=0, adaptive=True)

    def places() -> int:
        slots = deque[Slot]()
        try:
            while True:
                slots.append(limiter.acquire())
        except LimiterTimeoutError:
            return len(slots)

    assert places() == 8
    with caplog.at_level("INFO", "gigachat_sdk"):
        slots = [limiter.acquire() for _ in range(8)]
        for slot in slots:  # all at once: it counts once
            slot.report(429)
            slot.release()
    assert places() == 4
    assert "the service refuses requests: 4 of 8 slots are used now" in caplog.text
    assert repr(limiter) == "LocalLimiter(*: 4 of 8; 0 held, 0 waiting)"
    for status in (400, 500, 503):  # says nothing of the load
        with limiter.acquire() as slot:
            slot.report(status)
    assert places() == 4
    for _ in range(60):
        with limiter.acquire() as slot:
            slot.report(200)
    assert places() == 5


def test_it_does_not_adapt_unasked() -> None:
    limiter = LocalLimiter(2, timeout=0)
    with limiter.acquire() as slot:
        slot.report(429)
    assert [limiter.acquire() for _ in range(2)]


class Unheard(Signal):
    """Nobody is there to wake any more."""

    def set(self) -> bool:
        return False


def test_a_slot_for_a_loop_that_is_gone_is_given_to_the_next() -> None:
    limiter, order = LocalLimiter(1), list[int]()
    slot = limiter.acquire()
    gone = limiter._enter(limiter._buckets["*"], Unheard)
    assert limiter.waiting == 1
    threads = in_line(limiter, order, range(1))
    slot.release()
    for thread in threads:
        thread.join()
    assert order == [0]
    assert (limiter.held, limiter.waiting) == (0, 0)
    del gone


FORK = """
import os, sys, threading, warnings
from gigachat_sdk import LimiterTimeoutError, LocalLimiter

limiter = LocalLimiter(1, timeout=0)
slot = limiter.acquire()
pid = os.fork()
if pid == 0:
    slot.release()  # the parent's: nothing of the child's comes back for it
    sys.setswitchinterval(1e-6)
    together, held = threading.Barrier(8), []

    def take():
        together.wait()
        try:
            held.append(limiter.acquire())
        except LimiterTimeoutError:
            pass

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0 if len(held) == limiter.held == 1 else 3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
try:
    limiter.acquire()
except LimiterTimeoutError:
    print("as it was")
"""


def test_a_forked_child_begins_with_all_slots() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORK], capture_output=True, encoding="utf-8", timeout=180
    )
    assert (result.stdout, result.stderr) == ("as it was\n", "")


def test_a_signal_wakes_a_thread_and_is_heard_late_too() -> None:
    signal = Signal()
    assert not signal.wait(0)
    assert not signal.wait(-1)
    assert signal.set()
    assert signal.wait(None)


def test_a_signal_to_a_loop_that_is_gone_says_so() -> None:
    made: list[AsyncSignal] = []

    async def main() -> None:
        made.append(AsyncSignal())
        assert not await made[-1].wait(0)
        assert made[-1].set()
        assert await made[-1].wait(None)
        made.append(AsyncSignal())

    asyncio.run(main())
    trio.run(main)
    assert [signal.set() for signal in (made[1], made[3])] == [False, False]


def test_a_slot_whose_construction_was_interrupted_has_nothing_to_give_back() -> None:
    slot = LocalSlot.__new__(LocalSlot)
    slot.release()
    del slot
