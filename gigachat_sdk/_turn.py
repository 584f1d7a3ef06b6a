"""Whose turn it is to read what can be read only once."""

from __future__ import annotations

from ._lifetimes import leave_to_parent_at_fork
from .errors import GigaChatError


class Turn:
    """Lets one task or thread at a time read, and no forked child: the connection is the parent's.

    Args:
        what: What is read, for messages: "stream", "download".

    Whoever reads enters an object of its own with `setdefault`, inside a `try`, and in its `finally` deletes it without
    a call. Python runs a signal's handler after calls only, so whatever that raises, the turn is given back.

    Attributes:
        taken: Who reads now, under `"by"`; a child finds it taken for good.
    """

    def __init__(self, what: str) -> None:
        self.taken: dict[str, object] = {}
        self._what = what
        self._is_the_parents = False
        leave_to_parent_at_fork(self)

    def leave_to_parent(self) -> None:
        """Let nobody read in a forked child."""
        self._is_the_parents = True
        self.taken["by"] = self

    def refusal(self) -> GigaChatError:
        """Return the error for whoever did not get it."""
        if self._is_the_parents:
            return inherited(self._what)
        return GigaChatError(
            f"this {self._what} is being read at this moment by another task or thread; let one of them read, and pass "
            "on what it gets"
        )


def inherited(what: str) -> GigaChatError:
    """Return the error for a forked child that reads what its parent has opened."""
    return GigaChatError(
        f"this {what} was opened before the process forked, and is the parent's to read; ask for another one here"
    )
