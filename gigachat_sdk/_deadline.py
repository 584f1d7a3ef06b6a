"""How long a whole call may still take: read by everything below it that waits, locks and sockets alike.

httpx takes its timeouts when a request begins and fixes them for all of its reads, so a deadline cannot be handed
down through it. A context variable can: it is set while a call runs, and whoever waits asks it.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar


class DeadlineError(Exception):
    """Time is up (internal; users see an `APITimeoutError`)."""


class Deadline:
    """The end of a call.

    Args:
        seconds: From now on.
    """

    __slots__ = ("ends_at", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds
        self.ends_at: float = time.monotonic() + seconds

    @property
    def remaining(self) -> float:
        """Seconds that are left; 0 or less when time is up."""
        return self.ends_at - time.monotonic()

    @property
    def words(self) -> str:
        """What to tell the user."""
        return f"the deadline of {self.seconds:g} s has passed"


_current: ContextVar[Deadline | None] = ContextVar("gigachat_sdk_deadline", default=None)


@contextmanager
def running(deadline: Deadline | None) -> Generator[None]:
    """Let what waits inside the block end in time; a deadline that runs already may be nearer, and then counts."""
    outer = _current.get()
    if deadline is None or (outer is not None and outer.ends_at <= deadline.ends_at):
        yield
        return
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def no_deadline() -> Generator[None]:
    """Keep the deadline from code of the user's: a task that it starts would inherit it for ever."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def current_deadline() -> Deadline | None:
    """Return the deadline that counts here; None where there is none."""
    return _current.get()


def shortened(timeout: float | None) -> float | None:
    """Return how long to wait: `timeout`, or what the deadline leaves of it; None for no limit.

    Raises:
        DeadlineError: Nothing is left.
    """
    deadline = _current.get()
    if deadline is None:
        return timeout
    remaining = deadline.remaining
    if remaining <= 0:
        raise DeadlineError(deadline.words)
    return remaining if timeout is None else min(timeout, remaining)


def half_of_the_rest() -> Deadline | None:
    """Return the end of what may take half of the time that is left, as more is to follow; None where nothing ends."""
    deadline = _current.get()
    return None if deadline is None else Deadline(max(deadline.remaining, 0) / 2)
