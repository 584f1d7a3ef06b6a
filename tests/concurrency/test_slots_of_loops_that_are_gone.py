"""Slots of an event loop that was closed around its tasks: whoever wants one next gets them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
import warnings
from typing import Any

import pytest

from gigachat_sdk import LocalLimiter
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
