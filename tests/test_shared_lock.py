"""`_shared_lock.py`: turns inside a process, and waiting for what another process holds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import gigachat_sdk._shared_lock as lock_module
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._shared_lock import SharedLock, TaskSide
from gigachat_sdk.stores import AsyncRefreshLock, RefreshLock


class Outside:
    """Where a lock lies: who holds it, and how often it was asked for."""

    def __init__(self) -> None:
        self.holder: object = None
        self.asked = 0
        self.given_back = 0
        self.forgotten = 0
        self.error: Exception | None = None
        self.while_asked: Callable[[], Any] = lambda: None
        self.when_given_back: Callable[[], None] = lambda: None


class OutsideLock(SharedLock[object]):
    def __init__(self, outside: Outside, place: str) -> None:
        self.outside = outside
        super().__init__(place)

    def _take(self) -> object | None:
        self.outside.asked += 1
        self.outside.while_asked()
        if self.outside.error is not None:
            raise self.outside.error
        if self.outside.holder is not None:
            return None
        self.outside.holder = object()
        return self.outside.holder

    def _give_back(self, held: object) -> None:
        assert self.outside.holder is held
        self.outside.holder = None
        self.outside.given_back += 1
        self.outside.when_given_back()

    def _forget(self, held: object) -> None:
        self.outside.forgotten += 1


@pytest.fixture
def outside() -> Outside:
    return Outside()


@pytest.fixture
def lock(outside: Outside, request: pytest.FixtureRequest) -> OutsideLock:
    return OutsideLock(outside, request.node.nodeid)


@pytest.fixture
def pauses(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses that were made; the eighth of them ends with the lock free."""
    made: list[float] = []

    def sleep(seconds: float) -> None:
        made.append(seconds)
        if len(made) == 8:
            outside.holder = None

    async def async_sleep(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        sleep(seconds)

    monkeypatch.setattr(lock_module, "sleep", sleep)
    monkeypatch.setattr(lock_module, "async_sleep", async_sleep)
    return made


LONGER_AND_LONGER = [0.005, 0.01, 0.02, 0.04, 0.08, 0.1, 0.1, 0.1]


def test_it_is_a_lock_for_threads_and_one_for_tasks(lock: OutsideLock) -> None:
    assert isinstance(lock, RefreshLock)
    assert isinstance(TaskSide(lock), AsyncRefreshLock)


@pytest.mark.parametrize("wait", [True, False])
def test_a_thread_takes_it_and_gives_it_back(lock: OutsideLock, outside: Outside, wait: bool) -> None:
    for number in range(1, 4):
        assert lock.acquire(wait=wait)
        assert outside.holder is not None
        lock.release()
        assert (outside.holder, outside.given_back) == (None, number)


@pytest.mark.anyio
@pytest.mark.parametrize("wait", [True, False])
async def test_a_task_takes_it_and_gives_it_back(lock: OutsideLock, outside: Outside, wait: bool) -> None:
    side = TaskSide(lock)
    for number in range(1, 4):
        assert await side.acquire(wait=wait)
        assert outside.holder is not None
        side.release()
        assert (outside.holder, outside.given_back) == (None, number)


def test_a_thread_waits_for_another_process(lock: OutsideLock, outside: Outside, pauses: list[float]) -> None:
    outside.holder = "another process"
    assert lock.acquire()
    assert pauses == LONGER_AND_LONGER
    lock.release()


@pytest.mark.anyio
async def test_a_task_waits_for_another_process(lock: OutsideLock, outside: Outside, pauses: list[float]) -> None:
    outside.holder = "another process"
    assert await lock.aacquire()
    assert pauses == LONGER_AND_LONGER
    lock.release()


def test_a_thread_that_will_not_wait_leaves_a_busy_lock_alone_for_a_moment(
    lock: OutsideLock, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(lock_module.time, "monotonic", lambda: now)
    outside.holder = "another process"
    assert not any(lock.acquire(wait=False) for _ in range(10))
    assert outside.asked == 1
    outside.holder = None
    now += 0.3
    assert lock.acquire(wait=False)
    lock.release()


@pytest.mark.anyio
async def test_a_task_that_will_not_wait_leaves_a_busy_lock_alone_for_a_moment(
    lock: OutsideLock, outside: Outside
) -> None:
    outside.holder = "another process"
    for _ in range(10):
        assert not await lock.aacquire(wait=False)
    assert outside.asked == 1
    lock._busy_until = 0.0
    outside.holder = None
    assert await lock.aacquire(wait=False)
    lock.release()


def test_whoever_waits_asks_though_it_was_busy(lock: OutsideLock, outside: Outside) -> None:
    outside.holder = "another process"
    assert not lock.acquire(wait=False)
    outside.holder = None
    assert lock.acquire()
    lock.release()


def test_of_many_threads_one_asks(lock: OutsideLock, outside: Outside, pauses: list[float]) -> None:
    assert lock.acquire()
    asked = outside.asked
    order: list[int] = []

    def work(number: int) -> None:
        assert not lock.acquire(wait=False)
        begun.release()
        assert lock.acquire()
        order.append(number)
        lock.release()

    begun = threading.Semaphore(0)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for _ in threads:
        begun.acquire()
    assert outside.asked == asked
    lock.release()
    for thread in threads:
        thread.join()
    assert sorted(order) == list(range(16))
    assert (outside.asked, pauses) == (asked + 16, [])


@pytest.mark.anyio
async def test_of_many_tasks_one_asks(lock: OutsideLock, outside: Outside, pauses: list[float]) -> None:
    assert await lock.aacquire()
    order: list[int] = []

    async def work(number: int) -> None:
        assert not await lock.aacquire(wait=False)
        assert await lock.aacquire()
        order.append(number)
        lock.release()

    async with anyio.create_task_group() as tasks:
        for number in range(16):
            tasks.start_soon(work, number)
        while lock._tasks.here().statistics().tasks_waiting < 16:
            await anyio.lowlevel.checkpoint()
        assert outside.asked == 1
        lock.release()
    assert sorted(order) == list(range(16))
    assert (outside.asked, pauses) == (17, [])


def test_a_thread_waits_no_longer_than_its_deadline(lock: OutsideLock, outside: Outside) -> None:
    outside.holder = "another process"
    with running(Deadline(0.02)), pytest.raises(DeadlineError):
        lock.acquire()
    outside.holder = None
    assert lock.acquire()  # its turn was given up
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            with running(Deadline(0.02)):
                lock.acquire()
        except DeadlineError as error:
            failures.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    thread.join()
    assert len(failures) == 1
    lock.release()


@pytest.mark.anyio
async def test_a_task_waits_no_longer_than_its_deadline(lock: OutsideLock, outside: Outside) -> None:
    outside.holder = "another process"
    with running(Deadline(0.02)), pytest.raises(DeadlineError):
        await lock.aacquire()
    outside.holder = None
    assert await lock.aacquire()
    lock.release()


def test_an_error_gives_the_turn_back(lock: OutsideLock, outside: Outside) -> None:
    outside.error = OSError("no such place")
    for wait in (True, False):
        with pytest.raises(OSError, match="no such place"):
            lock.acquire(wait=wait)
    outside.error = None
    assert lock.acquire(wait=False)
    lock.release()


@pytest.mark.anyio
async def test_an_error_gives_the_turn_of_a_task_back(lock: OutsideLock, outside: Outside) -> None:
    outside.error = OSError("no such place")
    for wait in (True, False):
        with pytest.raises(OSError, match="no such place"):
            await lock.aacquire(wait=wait)
    outside.error = None
    assert await lock.aacquire(wait=False)
    lock.release()


@pytest.mark.parametrize("is_busy", [False, True], ids=["got it", "did not get it"])
def test_a_task_of_asyncio_that_is_cancelled_while_a_thread_asks(
    lock: OutsideLock, outside: Outside, is_busy: bool
) -> None:
    """Cancelling does not stop the thread; what it gets later it gives back."""
    is_asking, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        is_asking.set()
        assert may_go_on.wait(30)

    async def main() -> None:
        outside.while_asked = hold
        outside.holder = "another process" if is_busy else None
        task = asyncio.ensure_future(lock.aacquire())
        while not is_asking.is_set():
            await anyio.lowlevel.checkpoint()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        outside.while_asked = lambda: None
        may_go_on.set()
        with anyio.fail_after(30):
            while not is_busy and not outside.given_back:
                await anyio.lowlevel.checkpoint()
        outside.holder = None
        assert await lock.aacquire()
        lock.release()

    asyncio.run(main())
    assert outside.holder is None


def test_a_task_that_is_cancelled_just_when_it_got_the_lock_gives_it_back(
    lock: OutsideLock, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def got_and_cancelled(function: Callable[[], Any]) -> Any:
        function()
        raise asyncio.CancelledError

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await lock.aacquire()

    monkeypatch.setattr(lock_module, "async_read_in_thread", got_and_cancelled)
    asyncio.run(main())
    assert (outside.holder, outside.given_back) == (None, 1)
    assert lock.acquire()
    lock.release()


@pytest.mark.anyio
@pytest.mark.parametrize("end", ["cancelled", "deadline"])
async def test_a_task_need_not_wait_for_an_answer_and_what_comes_late_is_given_back(
    lock: OutsideLock, outside: Outside, end: str
) -> None:
    may_answer, is_given_back = threading.Event(), threading.Event()
    outside.while_asked = may_answer.wait
    outside.when_given_back = is_given_back.set
    seconds = 0.01
    while not outside.asked:  # a busy machine may not have come to it in time
        if end == "deadline":
            with running(Deadline(seconds)), pytest.raises(DeadlineError):
                await lock.aacquire()
        else:
            with anyio.move_on_after(seconds) as scope:
                await lock.aacquire()
            assert scope.cancelled_caught
        seconds *= 10
    assert not is_given_back.is_set()  # it is still being asked
    may_answer.set()
    assert is_given_back.wait(30)
    assert (outside.holder, outside.given_back) == (None, 1)
    assert await lock.aacquire(wait=False)
    lock.release()


def test_sync_code_inside_a_coroutine_does_not_wait_for_a_task_of_its_own_loop(
    lock: OutsideLock, outside: Outside, pauses: list[float]
) -> None:
    async def main() -> None:
        assert await lock.aacquire()
        assert not lock.acquire(wait=False)
        assert lock.acquire()  # it would wait for ever: the task that holds the lock cannot run
        lock.release()
        assert outside.given_back == 0
        lock.release()

    asyncio.run(main())
    assert (outside.holder, outside.given_back, pauses) == (None, 1, [])


def test_nor_for_a_thread_that_waits_for_such_a_task(
    lock: OutsideLock, outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_SLICE", 0.001)

    def wait() -> None:
        assert lock.acquire()
        lock.release()

    async def main() -> None:
        assert await lock.aacquire()
        thread.start()
        while not lock._threads.locked():  # from here on it is that thread's turn
            await anyio.lowlevel.checkpoint()
        assert lock.acquire()
        lock.release()
        lock.release()

    thread = threading.Thread(target=wait)
    asyncio.run(main())
    thread.join()
    assert (outside.holder, outside.given_back) == (None, 2)


def test_a_thread_waits_on_where_no_task_of_its_loop_holds_the_lock(
    lock: OutsideLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_SLICE", 0.001)
    looked = threading.Event()
    is_held_by_this_loop = lock._is_held_by_this_loop

    def look() -> bool:
        looked.set()
        return is_held_by_this_loop()

    monkeypatch.setattr(lock, "_is_held_by_this_loop", look)
    assert lock.acquire()
    thread = threading.Thread(target=lambda: lock.acquire() and lock.release())
    thread.start()
    assert looked.wait(30)
    lock.release()
    thread.join()


def test_the_child_of_a_fork_leaves_the_lock_to_its_parent(lock: OutsideLock, outside: Outside) -> None:
    assert lock.acquire()
    holder = outside.holder
    lock_module._after_fork()  # what happens in the child
    assert (outside.holder, outside.given_back, outside.forgotten) == (holder, 0, 1)
    lock.release()  # the code that held it goes on in the child
    assert outside.given_back == 0
    lock_module._after_fork()
    assert outside.forgotten == 1
    outside.holder = None
    assert lock.acquire()
    lock.release()
