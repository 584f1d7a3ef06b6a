"""The limiter of a run: one that is ending does not wait for those who wait for a slot, and they send nothing."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from ..limits import ConcurrencyLimiter, Slot


class StoppedError(BaseException):
    """A request that nobody wants any more, since the run is ending, and that was not sent, or not again.

    No error, as a cancellation is none: a middleware that catches errors must neither send again nor wrap it.
    """


class Waiting(Protocol):
    """What the books of a run know of those who wait.

    Attributes:
        in_line: For each item that waits for a slot, its thread or something of its own.
        is_stopping: Whether the run is ending.
    """

    in_line: set[object]
    is_stopping: bool


class Look:
    """Looks, for one call, whether anybody wants it yet (internal).

    Args:
        books: The run's.
    """

    def __init__(self, books: Waiting) -> None:
        self.books = books
        self.has_stopped = False

    def __call__(self) -> None:
        """Look whether the run goes on.

        Raises:
            StoppedError: It is ending.
        """
        if self.books.is_stopping:
            self.has_stopped = True
            raise StoppedError

    @contextmanager
    def only(self) -> Generator[None, None, None]:
        """Let nothing but `StoppedError` out of the call once it was raised, whatever a middleware makes of it."""
        try:
            yield
        except BaseException as error:
            if self.has_stopped and (isinstance(error, Exception) or hasattr(error, "exceptions")):  # or a group
                raise StoppedError from None
            raise


class Watched:
    """The limiter of a run, which gives no slot once the run is ending (internal).

    Args:
        limiter: The client's.
        look: The call's.
    """

    def __init__(self, limiter: ConcurrencyLimiter, look: Look) -> None:
        self._limiter = limiter
        self._look = look

    def acquire(self, model: str | None = None) -> Slot:
        """Take a slot."""
        with self._in_line(threading.get_ident()):
            slot = self._limiter.acquire(model)
        return self._checked(slot)

    async def aacquire(self, model: str | None = None) -> Slot:
        """Take a slot."""
        with self._in_line(object()):
            slot = await self._limiter.aacquire(model)
        return self._checked(slot)

    @contextmanager
    def _in_line(self, place: object) -> Generator[None, None, None]:
        """Say that somebody waits for a slot; whoever ends the run sets its flag first, and then looks who waits."""
        line = self._look.books.in_line
        line.add(place)
        try:
            self._look()
            yield
        except Exception:
            self._look()
            raise
        finally:
            line.discard(place)

    def _checked(self, slot: Slot) -> Slot:
        try:
            self._look()
        except StoppedError:
            slot.release()
            raise
        return slot
