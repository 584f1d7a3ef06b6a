"""A lock between processes that a task holds whose event loop was closed around it: the next who wants it gets it."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import gigachat_sdk._shared_lock as lock_module
from gigachat_sdk._shared_lock import SharedLock, TaskSide


class There:
    """Where the lock lies."""

    def __init__(self) -> None:
        self.holder: object = None
        self.given_back = 0


class CountedLock(SharedLock[object]):
    def __init__(self, place: str, there: There) -> None:
        self.there = there
        super().__init__(place)

    def _take(self) -> object | None:
        if self.there.holder is not None:
            return None
        self.there.holder = object()
        return self.there.holder

    def _give_back(self, held: object) -> None:
        assert self.there.holder is held
        self.there.holder = None
        self.there.given_back += 1

    def _forget(self, held: object) -> None:
        raise AssertionError("nothing is forked here")


@pytest.fixture
def lock(request: pytest.FixtureRequest) -> CountedLock:
    return CountedLock(request.node.nodeid, There())


def in_a_closed_loop(lock: CountedLock) -> TaskSide:
    loop, side = asyncio.new_event_loop(), TaskSide(lock)
    assert loop.run_until_complete(side.acquire())
    assert not lock.acquire(wait=False)  # a loop that only stands still is not gone
    loop.close()
    return side


@pytest.mark.parametrize("same", [True, False], ids=["the same lock", "another lock of that place"])
@pytest.mark.parametrize("kind", ["thread", "task"])
@pytest.mark.parametrize("wait", [True, False])
def test_a_task_whose_loop_was_closed_loses_it_to_the_next(
    lock: CountedLock, request: pytest.FixtureRequest, same: bool, kind: str, wait: bool
) -> None:
    side = in_a_closed_loop(lock)
    lock._busy_until = 0.0
    mine = lock if same else CountedLock(request.node.nodeid, lock.there)
    tries: list[bool] = []

    def take() -> None:
        while not tries or not tries[-1]:
            tries.append(mine.acquire(wait=wait) if kind == "thread" else asyncio.run(mine.aacquire(wait=wait)))

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert tries == ([True] if wait else [False, True])  # who only looks gets it at his next look
    holder = lock.there.holder
    side.release()  # late: the task ends as it is collected
    assert (lock.there.holder, lock.there.given_back) == (holder, 1)


def test_such_a_task_may_give_it_back_all_the_same(lock: CountedLock) -> None:
    in_a_closed_loop(lock).release()
    assert (lock.there.holder, lock.there.given_back) == (None, 1)
    lock._busy_until = 0.0
    assert lock.acquire(wait=False)
    lock.release()
    asyncio.run(lock.aacquire())


def test_one_that_never_learned_that_it_got_the_lock_loses_it_too(
    lock: CountedLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def got_and_lost(function: Callable[[], Any]) -> Any:
        function()
        closed = asyncio.new_event_loop()
        closed.close()
        lock._loop = weakref.ref(closed)
        assert lock.acquire()
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await lock.aacquire()

    monkeypatch.setattr(lock_module, "async_read_in_thread", got_and_lost)
    asyncio.run(main())
    assert lock.there.holder is not None
    assert lock.there.given_back == 1
    lock.release()
