"""Connections in use: where closing one ends a wait of a task by itself, but not one of a thread.

By hand, like `_concurrency`.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from types import TracebackType


class AsyncUse:
    """A connection that tasks use: closing it wakes the one that reads from it.

    Args:
        close: Closes it.
        wake: Not needed.
    """

    def __init__(self, close: Callable[[], Awaitable[None]], wake: Callable[[], None]) -> None:
        self._close = close

    def __enter__(self) -> None:
        """Begin to use it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Use it no more."""

    async def aclose(self) -> None:
        """Close it now."""
        await self._close()


class Use:
    """A connection that threads use; closed under one that reads, it would leave that one waiting for ever.

    The system gives the number of a closed file to the next who opens one, and a TLS connection knows its file by the
    number alone: so a thread that is inside keeps the file open, and closes it as it leaves.

    Args:
        close: Closes it; may be called twice.
        wake: Ends what threads wait for in it.
    """

    def __init__(self, close: Callable[[], None], wake: Callable[[], None]) -> None:
        self._close = close
        self._wake = wake
        self._guard = threading.Lock()
        self._inside = 0
        self._is_over = False

    def __enter__(self) -> None:
        """Begin to use it."""
        with self._guard:
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Use it no more, and close it where that was wanted meanwhile."""
        with self._guard:
            self._inside -= 1
            is_last = self._is_over and not self._inside
        if is_last:
            self._close()

    def close(self) -> None:
        """Close it now, or have whoever is inside do so, who is woken."""
        with self._guard:
            self._is_over = True
            is_free = not self._inside
        if is_free:
            self._close()
        else:
            self._wake()
