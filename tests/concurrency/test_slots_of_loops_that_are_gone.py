"""Slots of an event loop that was closed around its tasks: whoever waits gets them, or else whoever wants one next."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

import gigachat_sdk.limits as limits_module
from gigachat_sdk import LimiterTimeoutError, LocalLimiter
from gigachat_sdk._concurrency import Signal
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk.limits import LocalSlot


def held_in_a_closed_loop(limiter: LocalLimiter) -> LocalSlot:
    loop = asyncio.new_event_loop()
    slot = loop.run_until_complete(limiter.aacquire())
    assert limiter.held == 1
    loop.close()
    return slot


def test_the_next_thread_or_task_gets_it() -> None:
    limiter = LocalLimiter(1, timeout=0)
    slots: list[Any] = [held_in_a_closed_loop(limiter)]
    assert limiter.held == 0
    slots.append(limiter.acquire())
    assert (limiter.held, limiter.waiting) == (1, 0)
    slots[1].release()
    slots.append(held_in_a_closed_loop(limiter))

    async def take() -> None:
        with await limiter.aacquire():
            assert limiter.held == 1

    asyncio.run(take())
    assert (limiter.held, limiter.waiting) == (0, 0)


def test_it_comes_back_once_though_it_is_released_later() -> None:
    limiter = LocalLimiter(1, timeout=0)
    slot = held_in_a_closed_loop(limiter)
    with limiter.acquire():
        slot.release()
        assert limiter.held == 1
    assert limiter.held == 0


def test_whoever_waits_already_gets_it_first() -> None:
    limiter, order = LocalLimiter(1), list[str]()
    loop = asyncio.new_event_loop()
    slot = loop.run_until_complete(limiter.aacquire())

    def wait(name: str) -> None:
        with limiter.acquire():
            order.append(name)

    early = threading.Thread(target=wait, args=("early",))
    early.start()
    while not limiter.waiting:
        threading.Event().wait(0.001)
    loop.close()
    wait("late")
    early.join()
    assert (order, limiter.held) == (["early", "late"], 0)
    del slot


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long those who wait do so before they look again; they are made to look at once."""
    noted: list[float] = []

    def no_time(seconds: float) -> float:
        noted.append(seconds)
        return 0.001

    monkeypatch.setattr(limits_module, "_slice_of", lambda waiting: no_time(_slice_of(waiting)))
    return noted


_slice_of = limits_module._slice_of


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_whoever_waits_needs_nobody_else_to_come(looks: list[float], kind: str) -> None:
    limiter, got = LocalLimiter(1), threading.Event()
    loop = asyncio.new_event_loop()
    slots: list[Any] = [loop.run_until_complete(limiter.aacquire())]

    def wait() -> None:
        slots.append(limiter.acquire() if kind == "thread" else asyncio.run(limiter.aacquire()))
        got.set()

    thread = threading.Thread(target=wait)
    thread.start()
    while len(looks) < 3:
        assert limiter.held == 1  # a loop that only stands still is not gone
        threading.Event().wait(0.001)
    loop.close()
    assert got.wait(60)
    thread.join()
    assert slots[1].has_waited
    assert limiter.waiting == 0


def test_nobody_counts_as_waiting_who_will_never_come_for_a_slot() -> None:
    limiter, loop = LocalLimiter(1, timeout=0.01), asyncio.new_event_loop()
    with limiter.acquire():
        task = loop.create_task(limiter.aacquire())
        while not limiter.waiting:
            loop.run_until_complete(asyncio.sleep(0))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loop.close()
        with pytest.raises(LimiterTimeoutError, match="1 of 1 are held and 0 more requests wait"):
            limiter.acquire()
        assert repr(limiter) == "LocalLimiter(*: 1; 1 held, 0 waiting)"
    assert (limiter.held, limiter.waiting) == (0, 0)
    assert not task.done()


@pytest.mark.parametrize("time_is_up", ["timeout", "deadline"])
def test_a_look_does_not_lengthen_the_wait(
    looks: list[float], time_is_up: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    each_look_takes = SimpleNamespace(monotonic=lambda: 0.005 * len(looks))
    monkeypatch.setattr("gigachat_sdk._deadline.time", each_look_takes)
    limiter = LocalLimiter(1, timeout=0.02 if time_is_up == "timeout" else None)
    with limiter.acquire():
        if time_is_up == "timeout":
            with pytest.raises(LimiterTimeoutError):
                limiter.acquire()
        else:
            with running(Deadline(0.02)), pytest.raises(DeadlineError):
                limiter.acquire()
    assert (limiter.held, limiter.waiting) == (0, 0)
    assert len(looks) in (4, 5)  # 20 ms, by a clock that counts fractions of a second


def test_a_slot_that_is_free_when_time_is_up_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = LocalLimiter(1, timeout=0.01)
    loop = asyncio.new_event_loop()
    slot = loop.run_until_complete(limiter.aacquire())
    wait = Signal.wait

    def closed_meanwhile(signal: Signal, seconds: float | None) -> bool:
        assert seconds is not None
        assert seconds <= 0.01
        loop.close()
        return wait(signal, seconds)

    monkeypatch.setattr(Signal, "wait", closed_meanwhile)
    with limiter.acquire() as mine:
        assert mine.has_waited
    del slot


@pytest.mark.parametrize(("waiting", "seconds"), [(1, 1.0), (100, 1.0), (1000, 10.0), (100_000, 1000.0)])
def test_however_many_wait_they_do_not_look_more_than_a_hundred_times_a_second(waiting: int, seconds: float) -> None:
    assert _slice_of(waiting) == seconds


def test_a_loop_that_was_dropped_is_gone_as_well() -> None:
    limiter, slots = LocalLimiter(1, timeout=0), list[Any]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it was not closed
        slots.append(asyncio.new_event_loop().run_until_complete(limiter.aacquire()))
        gc.collect()
    assert limiter.held == 0
    slots.append(limiter.acquire())
    assert limiter.held == 1


ABANDON = """
import asyncio, logging, sys
from gigachat_sdk import LocalLimiter
from gigachat_sdk.testing import Emulator, Reply

logging.disable(logging.CRITICAL)
limiter, loop, tasks = LocalLimiter(1), asyncio.new_event_loop(), []
CHAT = "/v1/chat/completions"


async def wait():
    tasks.append(asyncio.ensure_future(limiter.aacquire()))
    while not limiter.waiting:
        await asyncio.sleep(0)


async def ask(emulator, stream):
    client = emulator.async_client(limiter=limiter)
    create = client.chat.completions.create
    tasks.append(asyncio.ensure_future(create(messages=[{"role": "user", "content": "hello"}], stream=stream)))
    while not emulator.requests_to(CHAT):
        await asyncio.sleep(0)


if sys.argv[1] == "waits":
    slot = limiter.acquire()
    loop.run_until_complete(wait())
    slot.release()  # it is the task's now, whose loop stands still
    assert (limiter.held, limiter.waiting) == (1, 0)
    loop.close()
    limiter.acquire()
else:
    with Emulator() as emulator:
        emulator.reply(CHAT, Reply(delay=60))
        loop.run_until_complete(ask(emulator, sys.argv[1] == "streams"))
        assert limiter.held == 1
        loop.close()
        limiter.acquire()
print("free")
"""


@pytest.mark.parametrize("what", ["waits", "asks", "streams"])
def test_a_task_that_will_never_run_again_keeps_none(what: str) -> None:
    command = [sys.executable, "-W", "ignore", "-c", ABANDON, what]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=180)
    assert result.stdout == "free\n", result.stderr
