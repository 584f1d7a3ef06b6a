"""The file of a journal while a run has it open: no other run writes it, and it stands where it stood."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    # Nobody can remove the lock's file there while it is open; and a lock of this one would keep readers out.

    def lock(descriptor: int) -> bool:
        return True

    def unlock(descriptor: int) -> None: ...
else:
    import fcntl

    def lock(descriptor: int) -> bool:
        """Lock an open file against other processes; say whether it was free."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(descriptor: int) -> None:
        """Give the lock back, also where a child of a fork has the file open too."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def change_of(descriptor: int, path: Path, size: int) -> tuple[str, str] | None:
    """Say what somebody else has done to an open file, and where its lines are; None where it is as it was left.

    Args:
        descriptor: Of the file.
        path: Where it was opened.
        size: How long it was left.
    """
    facts = os.fstat(descriptor)
    lines = "are gone with it" if facts.st_nlink == 0 else "stand where it is now"
    try:
        is_in_place = os.path.samestat(facts, path.stat())
    except FileNotFoundError:
        return ("removed" if facts.st_nlink == 0 else "moved away"), lines
    if not is_in_place:
        return "replaced", lines
    if facts.st_size < size:
        return "shortened", "may be gone"
    return ("written to", "stand there among others") if facts.st_size > size else None


def keep_owner(path: Path, facts: os.stat_result) -> None:
    """Give a new file the group and the owner of the one that it is to replace, as far as this process may."""
    chown: Any = getattr(os, "chown", None)  # Windows has none
    for owner, group in ((-1, facts.st_gid), (facts.st_uid, -1)):
        with suppress(OSError, TypeError):
            chown(path, owner, group)
