"""How far a run is: numbers for a function of the user's, or a bar on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from ..errors import InvalidRequestTypeError

_PAUSE = 0.1  # seconds between two states of a plain bar


@dataclass(frozen=True)
class BulkProgress:
    """How far a run is.

    Attributes:
        done: How many requests are finished: answered, failed, or read from the journal.
        failed: How many of these have an error.
        from_journal: How many of these an earlier run has asked.
        total: How many there are; None where the requests have no length.
    """

    done: int = 0
    failed: int = 0
    from_journal: int = 0
    total: int | None = None

    def __str__(self) -> str:
        counts = f"{self.done}" if self.total is None else f"{self.done} of {self.total}"
        parts = [f"{self.failed} failed"] if self.failed else []
        parts += [f"{self.from_journal} from the journal"] if self.from_journal else []
        return f"{counts} ({', '.join(parts)})" if parts else counts


Progress: TypeAlias = bool | Callable[[BulkProgress], object] | None
"""A function, or whether a bar is shown; None for one where standard error is a terminal."""


class Reporter(Protocol):
    """Who is told how far a run is."""

    def tell(self, progress: BulkProgress) -> None:
        """Take note of it."""
        ...

    def close(self) -> None:
        """End; the run is over. May be called twice."""
        ...


class Told:
    """Tells a function of the user's, or nobody."""

    def __init__(self, function: Callable[[BulkProgress], object] | None) -> None:
        self._function = function

    def tell(self, progress: BulkProgress) -> None:
        """Call the function."""
        if self._function is not None:
            self._function(progress)

    def close(self) -> None:
        """Do nothing."""


class Screen:
    """Standard error as a bar sees it: once nothing can be written there, as its terminal is gone, all is dropped."""

    def __init__(self) -> None:
        self._stream: Any = sys.stderr  # None in a program without a console
        self._is_gone = self._stream is None

    def write(self, text: str) -> None:
        """Write, if somebody is there to see it."""
        self._unless_gone(lambda: self._stream.write(text))

    def flush(self) -> None:
        """Bring it there."""
        self._unless_gone(lambda: self._stream.flush())

    def _unless_gone(self, work: Callable[[], object]) -> None:
        if not self._is_gone:
            try:
                work()
            except OSError:
                self._is_gone = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class PlainBar:
    """One line that is written again and again."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._screen = Screen()
        self._next = 0.0
        self._last = ""
        self._shown = ""

    def tell(self, progress: BulkProgress) -> None:
        """Write the line, now and then."""
        self._last = str(progress)
        now = self._clock()
        if now >= self._next:
            self._next = now + _PAUSE
            self._show()

    def _show(self) -> None:
        self._screen.write("\r" + self._last.ljust(len(self._shown)))
        self._screen.flush()
        self._shown = self._last

    def close(self) -> None:
        """Write how it ended, and leave the line."""
        if self._last:
            self._show()
            self._screen.write("\n")
            self._screen.flush()
            self._last = ""


class RichBar:
    """A bar of rich's, if it is installed.

    Raises:
        ImportError: It is not.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        screen: Any = Screen()
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=screen),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("0", total=None)
        self._bar.start()

    def tell(self, progress: BulkProgress) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=progress.done, total=progress.total, description=str(progress))

    def close(self) -> None:
        """Leave it as it is."""
        self._bar.stop()


def check_progress(given: Any) -> None:
    """Refuse what is no way to show progress."""
    if not (given is None or isinstance(given, bool) or callable(given)):
        raise InvalidRequestTypeError(
            f"progress: expected True, False, None or a function, got {type(given).__name__}", param="progress"
        )


def reporter_for(given: Progress) -> Reporter:
    """Return who is told, as the user wants it."""
    if given is False or (given is None and not _is_terminal()):
        return Told(None)
    if given is not None and given is not True:
        return Told(given)
    try:
        return RichBar()
    except ImportError:
        return PlainBar()


def _is_terminal() -> bool:
    stream: Any = sys.stderr  # None in a program without a console
    return stream is not None and stream.isatty()
