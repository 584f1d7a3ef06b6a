"""A lock between the processes of one machine, on a file; the system gives it back when its holder is killed."""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import time
from contextlib import suppress
from typing import Any, ClassVar, Final

import anyio

from ._logging import logger
from ._shared_lock import SharedLock

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


# A symbolic link is an error, and opening a pipe does not wait for its other end. Windows knows neither.
SAFELY: int = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_FILE: Final = -1  # stands for a lock where its file cannot be used
# Seconds that another process may take to buy a token: longer than any purchase. Three attempts that hang in connecting
# (10 s) and in reading (30 s) take 136 s with the pauses between them; two pauses that the service asks for, 120 s.
_PATIENCE: Final = 150.0
_BUSY = frozenset({errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK})


def trouble_with(facts: os.stat_result) -> str | None:
    """Say why a file cannot be trusted: it is no regular file, or it is somebody else's. None where it can.

    Args:
        facts: Of the open file, so that it cannot be another one by now.
    """
    if not stat.S_ISREG(facts.st_mode):
        return "it is no regular file"
    user: Any = getattr(os, "geteuid", None)
    return "it belongs to another user" if user is not None and facts.st_uid != user() else None


class FileLock(SharedLock[int]):
    """A lock between processes of one machine, and between threads and tasks of each of them.

    The file stays when the lock is given back, and holds nothing; its time of modification tells one holder from the
    next. A process that is killed gives its lock back at once.

    Args:
        path: The lock's file; created where it is missing, mode 0600. Its folder has to be there.

    Example:
        >>> lock = FileLock("run.lock")
        >>> if not lock.acquire(wait=False):
        ...     raise SystemExit("another run is going on")
        >>> lock.release()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.path.abspath(os.fspath(path))  # noqa: PTH100  # without looking where links lead
        super().__init__(f"file:{self.path}")

    def _begin(self) -> None:
        super()._begin()
        self._holder = 0  # when another process took it, as the file system tells

    def _take(self) -> int | None:
        """Take the lock if it is free.

        Raises:
            OSError: The file cannot be opened, or is not one to be trusted.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | SAFELY, 0o600)
        is_taken = False
        try:
            facts = os.fstat(descriptor)
            trouble = trouble_with(facts)
            if trouble is not None:
                raise OSError(errno.EPERM, f"the lock file cannot be used: {trouble}; remove it", self.path)
            try:
                _lock(descriptor)
            except OSError as error:
                if error.errno not in _BUSY:
                    raise
                self._holder = os.fstat(descriptor).st_mtime_ns
                return None
            is_taken = self._is_in_place(facts)
            with suppress(OSError):  # then those who wait take two holders for one
                os.utime(descriptor if os.utime in os.supports_fd else self.path)
        finally:
            if not is_taken:
                os.close(descriptor)
        return descriptor if is_taken else None

    def _is_in_place(self, facts: os.stat_result) -> bool:
        """Somebody may have removed the file since it was opened; then others lock another one."""
        try:
            return os.path.samestat(facts, os.lstat(self.path))
        except OSError:
            return False

    def _give_back(self, held: int) -> None:
        try:
            _unlock(held)  # closing is not enough: a child of a fork in another thread may have the file open too
        finally:
            os.close(held)

    def _forget(self, held: int) -> None:
        os.close(held)  # without unlocking: the parent has it open, and keeps it locked

    def __repr__(self) -> str:
        return f"FileLock({self.path!r})"


class RefreshLock(FileLock):
    """The lock under which tokens are renewed; where its file cannot be used, each process buys tokens of its own.

    Who has it may call code of the user's, `on_retry`, which may need the token of another account: it must not wait
    for itself, and goes on without the lock. So does this process, with a warning, where another one that stands still
    (it was stopped, say) keeps the lock for longer than any purchase takes, until somebody else takes it.

    Args:
        path: The lock's file.
    """

    _tasks_inside: ClassVar[dict[str, int]] = {}  # by place: the task that has the lock

    def _begin(self) -> None:
        super()._begin()
        self._alone = threading.Lock()  # threads and tasks exclude each other without the file, too
        self._seen: int | None = None  # the holder; this, too, is of whoever is alone
        self._seen_at = 0.0
        self._is_given_up = False

    def leave_to_parent(self) -> None:
        """After a fork the lock is the parent's, and so is what it did with it."""
        self._tasks_inside.pop(self._place, None)
        super().leave_to_parent()

    async def aacquire(self, *, wait: bool = True) -> bool:
        """Take the lock for this task; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
        """
        task = anyio.get_current_task().id
        if self._tasks_inside.get(self._place) == task:
            return wait and self._pass()
        is_taken = await super().aacquire(wait=wait)
        if is_taken:
            self._tasks_inside[self._place] = task
        return is_taken

    def _try(self, turn: threading.Lock) -> bool:
        is_taken = super()._try(turn)
        if is_taken:
            self._thread = threading.get_ident()  # which must not wait for itself either
        return is_taken

    def _let_go(self) -> Any:
        self._tasks_inside.pop(self._place, None)
        return super()._let_go()

    def _take(self) -> int | None:
        if not self._alone.acquire(blocking=False):
            return None
        held = None
        try:
            held = super()._take()
            if held is not None:
                self._seen = None
            elif self._is_kept_too_long():
                held = _NO_FILE
        except OSError as error:
            logger.warning("processes cannot share a token, each buys its own: %s", error)
            held = _NO_FILE
        finally:
            if held is None:
                self._alone.release()
        return held

    def _is_kept_too_long(self) -> bool:
        """Say of a lock that is not free whether to go on without it; tell once."""
        now = time.monotonic()
        if self._holder != self._seen:
            self._seen, self._seen_at, self._is_given_up = self._holder, now, False
        if not self._is_given_up and now - self._seen_at >= _PATIENCE:
            self._is_given_up = True
            logger.warning(
                "%s has been locked for %d s, longer than buying a token takes; until it is free, this process buys "
                "tokens of its own. A process that stands still may have it (`lsof` tells which): let it go on, or end "
                "it",
                self.path,
                now - self._seen_at,
            )
        return self._is_given_up

    def _give_back(self, held: int) -> None:
        try:
            if held != _NO_FILE:
                super()._give_back(held)
        finally:
            self._alone.release()

    def _forget(self, held: int) -> None:
        if held != _NO_FILE:
            super()._forget(held)
