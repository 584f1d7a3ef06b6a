"""A lock between processes that a task holds whose event loop was closed around it: the next who wants it gets it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

import gigachat_sdk._shared_lock as lock_module
from gigachat_sdk import FileTokenStore, MemoryTokenStore
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._shared_lock import SharedLock, TaskSide


class There:
    """Where the lock lies."""

    def __init__(self) -> None:
        self.holder: object = None
        self.given_back = 0
        self.excludes = True  # in an outage a lock in Redis does not
        self.while_asked: Callable[[], Any] = lambda: None


class CountedLock(SharedLock[object]):
    def __init__(self, place: str, there: There) -> None:
        self.there = there
        super().__init__(place)

    def _take(self) -> object | None:
        self.there.while_asked()
        if self.there.holder is not None and self.there.excludes:
            return None
        self.there.holder = object()
        return self.there.holder

    def _give_back(self, held: object) -> None:
        self.there.given_back += 1
        if self.there.holder is held:
            self.there.holder = None

    def _forget(self, held: object) -> None:
        """Do nothing: nothing is forked here, but another test may act so while one of these locks is still held."""


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
    assert tries == [True]
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


@pytest.mark.parametrize("same", [True, False], ids=["the same lock", "another lock of that place"])
@pytest.mark.parametrize("kind", ["thread", "task"])
@pytest.mark.parametrize("when", ["before", "while the next asks"])
def test_it_may_be_free_outside_already(
    lock: CountedLock, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, same: bool, kind: str, when: str
) -> None:
    """Who keeps it there looks for closed loops, too. The thread that ran such a loop waits for the next holder."""
    monkeypatch.setattr(lock_module, "_SLICE", 0.001)
    loop, side = asyncio.new_event_loop(), TaskSide(lock)
    assert loop.run_until_complete(side.acquire())
    mine = lock if same else CountedLock(request.node.nodeid, lock.there)

    def free_it() -> None:
        loop.close()
        lock.there.holder = None
        lock.there.while_asked = lambda: None

    if when == "before":
        free_it()
    elif not same:  # else it is not asked for
        lock.there.while_asked = free_it
    else:
        loop.close()
    taken: list[Any] = []

    def take() -> None:
        taken.append(mine.acquire(wait=False) if kind == "thread" else next_loop.run_until_complete(mine.aacquire()))

    next_loop = asyncio.new_event_loop()
    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    assert taken == [True]
    holder, given_back = lock.there.holder, lock.there.given_back
    assert holder is not None
    for late in (lambda: None, side.release):  # the task ends as it is collected
        late()
        for other in (lock, mine):
            assert not other.acquire(wait=False)
            with running(Deadline(0.02)), pytest.raises(DeadlineError):
                other.acquire()
        assert lock.there.holder is holder
    assert lock.there.given_back == 1
    assert given_back == (0 if when != "before" and not same else 1)
    next_loop.close()
    mine.release()
    assert (lock.there.holder, lock.there.given_back) == (None, 2)


def test_the_thread_of_a_closed_loop_waits_for_the_next_holder_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_SLICE", 0.001)
    store, loop = FileTokenStore(tmp_path / "tokens.json"), asyncio.new_event_loop()
    side = store.alock("a")
    assert loop.run_until_complete(side.acquire())
    loop.close()
    thread = threading.Thread(target=store.lock("a").acquire)
    thread.start()
    thread.join()
    for late in (lambda: None, side.release):
        late()
        for same in (store, FileTokenStore(tmp_path / "tokens.json")):
            with running(Deadline(0.02)), pytest.raises(DeadlineError):
                same.lock("a").acquire()
    store.lock("a").release()
    store.lock("a")._busy_until = 0.0
    assert store.lock("a").acquire(wait=False)
    store.lock("a").release()


@pytest.mark.parametrize("first", ["thread", "task"])
@pytest.mark.parametrize("when", ["before", "while the second asks"])
def test_where_nothing_outside_excludes_them_a_thread_and_a_task_still_have_it_one_after_the_other(
    lock: CountedLock, first: str, when: str
) -> None:
    lock.there.excludes = False
    has_it, may_end = threading.Event(), threading.Event()
    taken: list[bool] = []

    def as_thread() -> None:
        taken.append(lock.acquire(wait=False))
        has_it.set()
        if taken == [True]:
            assert may_end.wait(30)
            lock.release()

    async def as_task() -> None:
        side = TaskSide(lock)
        taken.append(await side.acquire(wait=False))
        has_it.set()
        if taken == [True]:
            while not may_end.is_set():
                await anyio.lowlevel.checkpoint()
            side.release()

    def take(kind: str) -> threading.Thread:
        thread = threading.Thread(target=as_thread if kind == "thread" else lambda: asyncio.run(as_task()))
        thread.start()
        return thread

    def first_takes() -> None:
        lock.there.while_asked = lambda: None
        threads.append(take(first))
        assert has_it.wait(30)

    threads: list[threading.Thread] = []
    if when == "before":
        first_takes()
    else:
        lock.there.while_asked = first_takes
    take("task" if first == "thread" else "thread").join()
    assert taken == [True, False]
    may_end.set()
    threads[0].join()
    lock._busy_until = 0.0
    assert lock.acquire(wait=False)
    lock.release()
    asyncio.run(lock.aacquire())


# ---- what becomes of the loop ----


def closed_around(side: Any) -> tuple[weakref.ref[Any], Any]:
    """Close a loop around a task that has the lock until it ends. Return what is left: the loop, and the coroutine."""

    async def hold() -> None:
        await side.acquire()
        has_it.set()
        try:
            await asyncio.Event().wait()
        finally:
            side.release()

    loop, has_it = asyncio.new_event_loop(), asyncio.Event()
    loop.set_exception_handler(lambda loop, context: None)  # it would tell of the task
    task = loop.create_task(hold())
    loop.run_until_complete(has_it.wait())
    loop.close()
    return weakref.ref(loop), task.get_coro()


def is_collected(thing: weakref.ref[Any]) -> bool:
    for _ in range(3):  # what a task does as it ends may put off the rest
        gc.collect()
    return thing() is None


def test_a_loop_is_collected_when_the_next_has_taken_its_lock(lock: CountedLock) -> None:
    loop, coroutine = closed_around(TaskSide(lock))
    assert lock.acquire()
    del coroutine
    assert is_collected(loop)
    assert lock.there.holder is not None  # the task has ended, and has given back nothing
    lock.release()
    assert lock.there.given_back == 2


def test_a_loop_is_collected_when_another_loop_has_come() -> None:
    store = MemoryTokenStore()
    loop, coroutine = closed_around(store.alock("a"))
    next_loop = asyncio.new_event_loop()
    side = store.alock("a")
    assert next_loop.run_until_complete(side.acquire())
    del coroutine
    assert is_collected(loop)

    async def main() -> None:
        assert not await store.alock("a").acquire(wait=False)

    next_loop.run_until_complete(main())
    next_loop.close()


def test_a_task_of_a_closed_loop_that_ends_inside_the_next_holder_gives_back_nothing() -> None:
    store = MemoryTokenStore()
    _, coroutine = closed_around(store.alock("a"))

    async def other() -> bool:
        return await store.alock("a").acquire(wait=False)

    async def main() -> None:
        side = store.alock("a")
        assert await side.acquire()
        coroutine.close()
        assert not await asyncio.ensure_future(other())
        side.release()
        assert await asyncio.ensure_future(other())

    asyncio.run(main())


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
