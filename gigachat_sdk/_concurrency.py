"""Where sync and async differ by hand: locks, sleeping, threads, waking a reader."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context
from socket import SHUT_RD, SHUT_RDWR
from socket import socket as base
from typing import Any, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import sniffio

from ._deadline import DeadlineError, current_deadline, no_deadline, shortened
from .errors import InvalidRequestTypeError

T = TypeVar("T")


async def async_sleep(seconds: float) -> None:
    """Let other tasks run for `seconds`."""
    await anyio.sleep(seconds)


def sleep(seconds: float) -> None:
    """Block this thread for `seconds`."""
    time.sleep(seconds)


async def async_in_thread(function: Callable[[], T]) -> T:
    """Run what blocks (building a TLS context) off the event loop."""
    return await anyio.to_thread.run_sync(function)


def in_thread(function: Callable[[], T]) -> T:
    """Run it right here: a thread may block."""
    return function()


async def async_read_in_thread(function: Callable[[], T]) -> T:
    """Run a read that may never end (a pipe, a dead mount) off the event loop; given up, its thread goes on alone.

    In a thread of its own: those of anyio would keep the program from ending, and there are only so many of them.

    Raises:
        DeadlineError: The deadline of the call came first.
    """
    seconds = shortened(None)
    loop, is_over = current_loop(), anyio.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def read() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            run_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
            run_soon(is_over.set)

    threading.Thread(target=copy_context().run, args=(read,), daemon=True).start()
    with anyio.move_on_after(seconds):
        await is_over.wait()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # a traceback with this frame in it would be a ring
    if not results:
        raise DeadlineError
    return results[0]


_ASKING_AT_ONCE = 40  # threads, for each event loop
_askers: weakref.WeakKeyDictionary[Any, anyio.CapacityLimiter] = weakref.WeakKeyDictionary()


async def async_ask_in_thread(function: Callable[[], T]) -> T:
    """Ask a server in a thread that goes on alone when it is given up; the tasks of a loop start so many at once.

    Raises:
        DeadlineError: The deadline of the call came first.
    """
    seconds, loop = shortened(None), current_loop()
    limiter = _askers.get(loop)
    if limiter is None:
        limiter = _askers[loop] = anyio.CapacityLimiter(_ASKING_AT_ONCE)
    with anyio.move_on_after(seconds):
        async with limiter:
            return await async_read_in_thread(function)
    raise DeadlineError


async def async_tell_in_thread(function: Callable[[], None]) -> None:
    """Tell a server in a thread that goes on alone when it is given up: late or cancelled, what is to be told is told.

    The deadline of the call ends the wait for it, without an error.
    """
    deadline = current_deadline()
    with no_deadline():
        if deadline is None:
            await async_read_in_thread(function)
        else:
            with anyio.move_on_after(max(deadline.remaining, 0)):
                await async_read_in_thread(function)


def read_in_thread(function: Callable[[], T]) -> T:
    """Run it right here, if there is time left; nothing can end a read that blocks."""
    shortened(None)
    return function()


async def async_within(seconds: float, function: Callable[[], Awaitable[T]]) -> T:
    """Wait for a function of the user's, which may know nothing of deadlines.

    Raises:
        DeadlineError: It took longer than `seconds`.
    """
    with anyio.move_on_after(seconds):
        return await function()
    raise DeadlineError


def within(seconds: float, function: Callable[[], T]) -> T:
    """Call a function: a thread cannot be woken."""
    return function()


async def async_call(function: Callable[[], Awaitable[T] | T]) -> T:
    """Call a function of the user's, which may be a coroutine function."""
    result: Any = function()
    value: T = await result if inspect.isawaitable(result) else result
    return value


def call(function: Callable[[], T]) -> T:
    """Call a function of the user's, which cannot be a coroutine function.

    Raises:
        InvalidRequestTypeError: It is one: nobody would ever run it.
    """
    result = function()
    if inspect.iscoroutine(result):
        result.close()
        raise InvalidRequestTypeError(
            f"{result.__qualname__}: it is a coroutine function, which only an AsyncClient runs; give a plain one"
        )
    return result


def current_loop() -> Any:
    """Return what stands for the running event loop: an asyncio loop, or trio's token."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()


LoopRef: TypeAlias = "weakref.ref[asyncio.AbstractEventLoop]"


def asyncio_loop() -> LoopRef | None:
    """Return the running event loop to watch, if it may be closed around its tasks; trio always ends them first."""
    loop = current_loop()
    return weakref.ref(loop) if isinstance(loop, asyncio.AbstractEventLoop) else None


def is_gone(loop: LoopRef) -> bool:
    """Say whether no task of an event loop can run any more."""
    running = loop()
    return running is None or running.is_closed()


class Lock:
    """A lock between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        if not wait:
            return self._lock.acquire(blocking=False)
        seconds = shortened(None)
        if not self._lock.acquire(timeout=-1 if seconds is None else seconds):
            raise DeadlineError
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


class AsyncTurns:
    """Whose turn it is: of the tasks of each event loop one at a time."""

    def __init__(self) -> None:
        self._locks: weakref.WeakKeyDictionary[Any, anyio.Lock] = weakref.WeakKeyDictionary()

    def here(self) -> anyio.Lock:
        """Return the lock of the running event loop."""
        loop = current_loop()
        lock = self._locks.get(loop)
        if lock is None:
            self.forget_closed_loops()
            lock = self._locks[loop] = anyio.Lock()
        return lock

    def forget_closed_loops(self) -> None:
        """Let loops be collected that were closed around their tasks: a lock refers to its task, and that to its loop.

        Trio ends tasks first.
        """
        for reference in self._locks.keyrefs():
            loop = reference()
            if isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed():
                self._locks.pop(loop, None)


class AsyncLock:
    """A lock between tasks, one for each event loop, as one of them sees it.

    Loops do not wait for each other, nor for threads: a thread that waited for a task of its own loop would never
    wake. So sync and async clients at the same moment may both do the guarded work, once each.

    Args:
        turns: Shared by all tasks that are to exclude each other.
    """

    def __init__(self, turns: AsyncTurns) -> None:
        self._turns = turns
        self._turn: anyio.Lock | None = None  # that this task has
        self._loop: LoopRef | None = None

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        lock = self._turns.here()
        if not wait:
            try:
                lock.acquire_nowait()
            except anyio.WouldBlock:
                return False
            return self._begin(lock)
        with anyio.move_on_after(shortened(None)):
            await lock.acquire()
            return self._begin(lock)
        raise DeadlineError

    def _begin(self, lock: anyio.Lock) -> bool:
        self._turn, self._loop = lock, asyncio_loop()
        return True

    def release(self) -> None:
        """Give the lock back.

        A task whose loop was closed around it may do so wherever it is collected, on another loop too: it has nothing.
        """
        lock, self._turn = self._turn, None
        if lock is not None and not (self._loop is not None and is_gone(self._loop)):
            lock.release()


class Signal:
    """Something that happens once, and that one thread waits for; anybody may say that it has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> bool:
        """Wake the thread; once only. Return whether there is one to wake."""
        self._lock.release()
        return True

    def wait(self, seconds: float | None) -> bool:
        """Wait, no longer than `seconds`; return whether it has happened."""
        return self._lock.acquire(timeout=-1 if seconds is None else max(seconds, 0))


class AsyncSignal:
    """Something that happens once, and that one task waits for; anybody may say that it has, from any thread."""

    def __init__(self) -> None:
        self._loop = current_loop()
        self._event = anyio.Event()

    def set(self) -> bool:
        """Wake the task. Return whether there is one to wake: its loop may be gone."""
        loop = self._loop
        try:
            run_soon = loop.call_soon_threadsafe if hasattr(loop, "call_soon_threadsafe") else loop.run_sync_soon
            run_soon(self._event.set)
        except RuntimeError:  # the loop is closed, or trio's run is over
            return False
        return True

    async def wait(self, seconds: float | None) -> bool:
        """Wait, no longer than `seconds`; return whether it has happened."""
        with anyio.move_on_after(seconds):
            await self._event.wait()
            return True
        return False


def async_interrupt(socket: Any) -> None:
    """Do nothing: closing a connection wakes the task that reads from it."""


def interrupt(socket: Any) -> None:
    """Wake the thread that reads from a socket; closing it alone would leave the read waiting."""
    if socket is not None:
        _shut(socket, SHUT_RDWR)


def _shut(socket: Any, how: int) -> None:
    with suppress(OSError):  # it may not be connected any more
        # The base class's method: the one of a TLS socket would pull its state away under the reader.
        base.shutdown(socket, how)


async def async_finish_soon(read_to_end: Callable[[], Awaitable[None]], seconds: float, socket: Any) -> None:
    """Read the rest of a body, and give up after `seconds`."""
    with anyio.move_on_after(seconds):
        await read_to_end()


def finish_soon(read_to_end: Callable[[], None], seconds: float, socket: Any) -> None:
    """Read the rest of a body; after `seconds` the reading side of the socket is shut, which ends the read.

    httpx fixes the read timeout when a body begins, so a blocking read can only be ended from outside.
    """
    guard = threading.Lock()
    is_over = False

    def give_up() -> None:
        with guard:
            if not is_over and socket is not None:
                _shut(socket, SHUT_RD)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        read_to_end()
    finally:
        with guard:  # from here on the connection may serve somebody else
            is_over = True
        timer.cancel()
