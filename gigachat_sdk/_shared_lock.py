"""A lock between processes, for threads and tasks alike: who takes turns inside this process, and how one waits.

Where the lock itself lies is the business of a subclass: a file, Redis.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from ._concurrency import AsyncLock, async_read_in_thread, async_sleep, sleep
from ._deadline import shortened

HeldT = TypeVar("HeldT")

_SHORTEST_PAUSE: Final = 0.005  # seconds between two looks at a lock that another process holds
_LONGEST_PAUSE: Final = 0.1
_BUSY_FOR: Final = 0.25  # after a look those who would not wait for the lock leave it alone for so long
_SLICE: Final = 0.1  # how long a thread waits for another one before it looks whether it waits for itself


class SharedLock(ABC, Generic[HeldT]):
    """A lock between processes; in each of them a thread takes it with `acquire`, a task with `aacquire`.

    Of the threads of a process one at a time tries to take it, and of the tasks of an event loop one; so a hundred
    callers ask outside as often as one. Whoever waits looks again after a pause, within the deadline of the call.
    A thread that would wait for a task of its own event loop (sync code called by a coroutine) goes on without the
    lock: that task could never end.

    Args:
        place: Names the lock within this process: what has the same place is the same lock.
    """

    _all: ClassVar[weakref.WeakSet[SharedLock[Any]]] = weakref.WeakSet()
    _task_threads: ClassVar[dict[str, int]] = {}  # by place: the thread whose event loop runs the holder

    def __init__(self, place: str) -> None:
        self._place = place
        self._held: HeldT | None = None
        self._begin()
        SharedLock._all.add(self)

    def _begin(self) -> None:
        self._threads = threading.Lock()
        self._tasks = AsyncLock()
        self._turn: Any = None  # the one of both that the holder has
        self._guard = threading.Lock()
        self._passes = 0  # how many threads go on without the lock
        self._busy_until = 0.0

    def leave_to_parent(self) -> None:
        """After a fork the lock is the parent's, and so may be the turns."""
        held, self._held = self._held, None
        self._task_threads.pop(self._place, None)
        self._begin()
        if held is not None:
            self._forget(held)

    @abstractmethod
    def _take(self) -> HeldT | None:
        """Take the lock if it is free, and return what stands for it; tasks have it called in a thread."""

    @abstractmethod
    def _give_back(self, held: HeldT) -> None:
        """Give the lock back; this may be called on an event loop."""

    @abstractmethod
    def _forget(self, held: HeldT) -> None:
        """Drop, in a child, what is the parent's, so that the parent still has it."""

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        turn, is_taken, pause = self._threads, False, _SHORTEST_PAUSE
        if not wait:
            if self._seems_busy() or not turn.acquire(blocking=False):
                return False
        else:
            while not turn.acquire(timeout=_within_deadline(_SLICE)):
                if self._is_held_by_this_loop():
                    return self._pass()
        try:
            while not (is_taken := self._try(turn)) and wait:
                if self._is_held_by_this_loop():
                    return self._pass()
                sleep(_within_deadline(pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if not is_taken:
                turn.release()
        return is_taken

    async def aacquire(self, *, wait: bool = True) -> bool:
        """Take the lock for this task; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        turn, is_taken, pause = self._tasks, False, _SHORTEST_PAUSE
        if (not wait and self._seems_busy()) or not await turn.acquire(wait=wait):
            return False
        try:
            while not (is_taken := await self._try_in_thread(turn)) and wait:
                await async_sleep(_within_deadline(pause))
                pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if not is_taken:
                turn.release()
        return is_taken

    def release(self) -> None:
        """Give the lock back."""
        if self._passes:  # while it goes on without the lock, a thread keeps the loop of the holder from running
            self._passes -= 1
            return
        turn = self._let_go()
        if turn is not None:  # else this is the child of a fork, and the lock is the parent's
            turn.release()

    def _seems_busy(self) -> bool:
        return time.monotonic() < self._busy_until

    def _is_held_by_this_loop(self) -> bool:
        return self._task_threads.get(self._place) == threading.get_ident()

    def _pass(self) -> bool:
        self._passes += 1
        return True

    def _try(self, turn: threading.Lock) -> bool:
        held = self._take()
        if held is None:
            self._busy_until = time.monotonic() + _BUSY_FOR
            return False
        self._held, self._turn = held, turn
        return True

    async def _try_in_thread(self, turn: AsyncLock) -> bool:
        """Try in a thread, which goes on alone when the task is cancelled, and then gives back what it has got."""
        ticket, thread, process = _Ticket(), threading.get_ident(), os.getpid()

        def take() -> bool:
            held = self._take()
            if held is None:
                self._busy_until = time.monotonic() + _BUSY_FOR
                return False
            with self._guard:
                if ticket.is_wanted:
                    # At once: the loop may be waiting for the lock itself, in sync code that a coroutine called.
                    self._task_threads[self._place] = thread
                    self._held, self._turn = held, turn
                    ticket.is_taken = True
                    return True
            self._give_back(held)
            return False

        try:
            return await async_read_in_thread(take)
        except BaseException:
            with self._guard:
                ticket.is_wanted = False
            if ticket.is_taken and process == os.getpid():
                self._let_go()
            raise

    def _let_go(self) -> Any:
        """Give the lock back and return the turn."""
        held, turn = self._held, self._turn
        self._held = self._turn = None
        self._task_threads.pop(self._place, None)
        if held is not None:
            self._give_back(held)
        return turn


@dataclass
class _Ticket:
    is_wanted: bool = True
    is_taken: bool = False


class TaskSide:
    """A shared lock as tasks see it: `acquire` is to be waited for.

    Args:
        lock: The lock, which threads may take at the same time.
    """

    def __init__(self, lock: SharedLock[Any]) -> None:
        self._lock = lock

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        return await self._lock.aacquire(wait=wait)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def _within_deadline(seconds: float) -> float:
    shorter = shortened(seconds)
    return seconds if shorter is None else shorter


def _after_fork() -> None:
    for lock in list(SharedLock._all):  # pyright: ignore[reportPrivateUsage]  # a function of the class, by its nature
        lock.leave_to_parent()


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)
