"""The only place where sync and async differ by hand: locks, sleeping, threads, what belongs to an event loop."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from functools import partial
from socket import SHUT_RD
from typing import Any, Generic, TypeVar

import anyio
import anyio.to_thread
import sniffio

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


async def async_call(function: Callable[[], Awaitable[T] | T]) -> T:
    """Call a function of the user's, which may be a coroutine function."""
    result: Any = function()
    value: T = await result if inspect.isawaitable(result) else result
    return value


def call(function: Callable[[], T]) -> T:
    """Call a function of the user's."""
    return function()


def current_loop() -> Any:
    """Return what stands for the running event loop: an asyncio loop, or trio's token."""
    if sniffio.current_async_library() == "trio":
        import trio

        return trio.lowlevel.current_trio_token()
    return asyncio.get_running_loop()


async def async_begin(first: Awaitable[T]) -> T:
    """Wait for the first item of an async generator, and spare trio its watch over the generators inside.

    httpcore nests its generators and closes only the outermost, so trio would warn of each stream that is left early.
    Without its hooks the inner ones end when the outer one does, at once and in order.
    """
    if sniffio.current_async_library() == "trio":
        return await _Unwatched(first)
    return await first


def begin(first: T) -> T:
    """Give back the first item."""
    return first


class _Unwatched(Generic[T]):
    """Awaits something, with the hooks for async generators off while its first step is taken."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._awaitable = awaitable

    def __await__(self) -> Generator[Any, Any, T]:
        steps: Any = self._awaitable.__await__()
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(None, None)
        take: Callable[[], Any] = partial(next, steps)
        try:
            while True:
                try:
                    step = take()
                finally:
                    sys.set_asyncgen_hooks(*hooks)
                try:
                    sent = yield step
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # a cancellation: it belongs to whoever waits inside
                    take = partial(steps.throw, error)
                else:
                    take = partial(steps.send, sent)
        except StopIteration as stop:
            value: T = stop.value
            return value


class Lock:
    """A lock between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken."""
        return self._lock.acquire(blocking=wait)

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


class AsyncLock:
    """A lock between tasks, one for each event loop.

    Loops do not wait for each other, nor for threads: a thread that waited for a task of its own loop would never
    wake. So sync and async clients at the same moment may both do the guarded work, once each.
    """

    def __init__(self) -> None:
        self._locks: weakref.WeakKeyDictionary[Any, anyio.Lock] = weakref.WeakKeyDictionary()

    def _lock(self) -> anyio.Lock:
        loop = current_loop()
        lock = self._locks.get(loop)
        if lock is None:
            lock = self._locks[loop] = anyio.Lock()
        return lock

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken."""
        lock = self._lock()
        if wait:
            await lock.acquire()
            return True
        try:
            lock.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._lock().release()


class Local(Generic[T]):
    """Values that are made once and closed together, by name."""

    def __init__(self, close: Callable[[T], None]) -> None:
        self._close = close
        self._values: dict[Any, T] = {}
        self._guard = threading.Lock()
        # Closes quietly at garbage collection and at interpreter exit what its owner forgot to close.
        weakref.finalize(self, _close_all, self._values, close)

    def get(self, name: Any) -> T | None:
        """Return the value `name`, None where there is none yet."""
        return self._values.get(name)

    def add(self, name: Any, make: Callable[[], T]) -> T:
        """Make the value `name` unless another thread just has."""
        with self._guard:
            value = self._values.get(name)
            if value is None:
                value = self._values[name] = make()
            return value

    def close(self) -> None:
        """Close all values."""
        _close_all(self._values, self._close)


def _close_all(values: dict[Any, T], close: Callable[[T], None]) -> None:
    while values:
        _, value = values.popitem()
        close(value)


class AsyncLocal(Generic[T]):
    """Values that belong to one event loop each: made once a loop, closed with it at the latest.

    A suspended async generator guards each value: asyncio and trio close the generators that a loop leaves behind while
    it can still run them, so a client that was not closed leaves no open connection when its loop ends.
    """

    def __init__(self, close: Callable[[T], Awaitable[None]]) -> None:
        self._close = close
        self._values: dict[tuple[Any, Any], T] = {}
        self._guardians: dict[tuple[Any, Any], AsyncGenerator[None, None]] = {}

    def get(self, name: Any) -> T | None:
        """Return the value `name` of the running loop, None where there is none yet."""
        return self._values.get((current_loop(), name))

    async def add(self, name: Any, make: Callable[[], T]) -> T:
        """Make the value `name` of the running loop; no other task runs in between."""
        key = (current_loop(), name)
        value = self._values.get(key)
        if value is None:
            self._forget_closed_loops()
            value = self._values[key] = make()
            guardian = self._guardians[key] = _guard(self._values, key, self._close)
            await guardian.__anext__()  # does not suspend: the generator stops at its first line
        return value

    def _forget_closed_loops(self) -> None:
        for key in list(self._values):
            if isinstance(key[0], asyncio.AbstractEventLoop) and key[0].is_closed():
                del self._values[key]
                self._guardians.pop(key, None)

    async def aclose(self) -> None:
        """Close the values of the running loop now, and those of other running loops on those loops."""
        here = current_loop()
        for key in list(self._guardians):
            guardian = self._guardians.pop(key, None)
            loop = key[0]
            if guardian is None:
                continue
            if loop is here:
                await guardian.aclose()
            elif isinstance(loop, asyncio.AbstractEventLoop) and not loop.is_closed():
                loop.call_soon_threadsafe(_close_on, loop, guardian)
        self._forget_closed_loops()


_closing: set[asyncio.Task[None]] = set()


def _close_on(loop: asyncio.AbstractEventLoop, guardian: AsyncGenerator[None, None]) -> None:
    task = loop.create_task(guardian.aclose())
    _closing.add(task)  # the loop itself holds tasks weakly
    task.add_done_callback(_closing.discard)


async def _guard(
    values: dict[tuple[Any, Any], T], key: tuple[Any, Any], close: Callable[[T], Awaitable[None]]
) -> AsyncGenerator[None, None]:
    value = values[key]
    try:
        yield
    finally:
        values.pop(key, None)
        await close(value)


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
                socket.shutdown(SHUT_RD)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        read_to_end()
    finally:
        with guard:  # from here on the connection may serve somebody else
            is_over = True
        timer.cancel()
