"""The journal of a run: a JSONL file with one line for each finished item, which is the output as well.

A line is written by one call in append mode, so a process that is killed leaves whole lines and at most one torn one,
at the end.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pydantic

from .._file_lock import FileLock
from .._lifetimes import leave_to_parent_at_fork
from ..types._base import ResponseModel
from ._items import Endpoint, Item, endpoint_of, key_of
from ._journal_file import change_of, keep_owner, lock, unlock
from ._records import Record, each_line, is_blank, is_torn, read_line
from ._results import BulkResult, JournalError, error_of

_PIECE = 1 << 16
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class Journal:
    """A journal that is open, and locked against other runs.

    Args:
        path: The file; it is made where there is none, and a symbolic link is followed.
        retry_errors: Whether items whose error is final are asked again as well.

    Raises:
        JournalError: It is no journal, or another run writes it.
        OSError: It cannot be opened, read or written.
    """

    def __init__(self, path: str | os.PathLike[str], *, retry_errors: bool = False) -> None:
        self.path = Path(path)
        self._real = Path(os.path.realpath(path))
        self._retry_errors = retry_errors
        self._guard = threading.Lock()
        self._offsets: dict[bytes, int] = {}
        self._descriptor: int | None = None
        self._size = 0
        self._own = 0  # lines that this run has written
        self._process = os.getpid()
        self.count = 0  # lines
        self.has_answers = False
        self._lock = FileLock(self._real.with_name(f".{self._real.name}.lock"))
        if not self._real.parent.is_dir():  # else the lock's file would be named
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if not self._is_ours():
            raise self._taken_error()
        try:
            self._open()
        except BaseException:
            self._release()
            raise
        leave_to_parent_at_fork(self)

    def _is_ours(self) -> bool:
        """Take the lock; say whether it was free."""
        try:
            return self._lock.acquire(wait=False)
        except OSError as error:
            reason = f"{error.strerror}, for the lock that stands beside the journal, {self._lock.path}"
            number = error.errno
        raise OSError(number, reason, str(self.path))  # here, as the other one names a file that nobody has given

    def _taken_error(self) -> JournalError:
        return JournalError(f"{self.path}: another run is writing this journal; wait for its end, or give another")

    def _attach(self) -> int:
        """Open the file, and lock it as well: somebody may have removed the lock's file, which stands beside it."""
        descriptor = self._descriptor = os.open(self._real, _OPEN, 0o666)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise JournalError(f"{self.path}: a journal is a regular file, which can be read again")
        if not lock(descriptor):
            raise self._taken_error()
        self._size = os.fstat(descriptor).st_size
        return descriptor

    def _open(self) -> None:
        descriptor = self._attach()
        with self._real.open("rb") as file:
            torn, has_passing, lacks_end = self._look_through(file)
        if has_passing:
            self._rewrite()
        elif torn is not None:
            os.ftruncate(descriptor, torn)
            self._size = torn
        elif lacks_end:
            self._size += os.write(descriptor, b"\n")

    def _look_through(self, file: IO[bytes]) -> tuple[int | None, bool, bool]:
        """Note where each item stands.

        Returns:
            Where a torn line begins, whether a line is to be dropped, and whether the last one only lacks its end.
        """
        torn: int | None = None
        has_passing = lacks_end = False
        for number, offset, line in each_line(file):
            if is_blank(line):
                continue
            record = read_line(line)
            lacks_end = not line.endswith(b"\n")
            if lacks_end and is_torn(line, record, is_first=number == 1):
                torn = offset
                break
            if isinstance(record, str):
                raise JournalError(
                    f"{self.path}, line {number}: this is no line of a journal, {record}; nothing was changed. "
                    "Give the journal a file of its own"
                )
            if self._is_passing(record):
                has_passing = True
                continue
            self.count += 1
            self.has_answers = self.has_answers or record.error is None
            if self._offsets.setdefault(key_of(record.id, record.index), offset) != offset:
                name = f"index {record.index}" if record.id is None else f"id {record.id!r}"
                raise JournalError(
                    f"{self.path}, line {number}: {name} has a line already; this is no journal of one run"
                )
        return torn, has_passing, lacks_end

    def _is_passing(self, record: Record) -> bool:
        return record.error is not None and (self._retry_errors or not record.is_final)

    def _rewrite(self) -> None:
        """Drop the lines of what is asked again, and a torn one."""
        self._offsets.clear()

        def kept() -> Iterator[bytes]:
            offset = 0
            with self._real.open("rb") as source:
                for _, _, line in each_line(source):
                    record = read_line(line)
                    if not isinstance(record, str) and not self._is_passing(record):
                        self._offsets[key_of(record.id, record.index)] = offset
                        whole = line.removesuffix(b"\n") + b"\n"
                        offset += len(whole)
                        yield whole

        self._replace(kept())

    def sort(self, place_of: Callable[[Record], int | None]) -> None:
        """Bring the lines into the order of their items; does nothing once it is closed.

        Args:
            place_of: Says where an item stands; None for one that goes to the end.
        """
        with self._guard:
            if self._descriptor is None or self._process != os.getpid():
                return
            self._check(self._descriptor)
            places: list[tuple[int, int]] = []
            with self._real.open("rb") as file:
                for _, offset, line in each_line(file):
                    if is_blank(line):
                        continue
                    record = read_line(line)
                    place = None if isinstance(record, str) else place_of(record)
                    places.append((sys.maxsize if place is None else place, offset))
            if any(here > there for here, there in pairwise(places)):
                places.sort()
                self._replace(self._line_at(offset) + b"\n" for _, offset in places)

    def _replace(self, lines: Iterator[bytes]) -> None:
        """Put a file with these lines in the place of the journal, in one step."""
        name = self._real.with_name(f".{self._real.name}.new")
        name.unlink(missing_ok=True)  # of a process that was killed
        descriptor = os.open(name, _NEW, 0o600)
        try:
            with open(descriptor, "wb") as target:  # noqa: PTH123  # a descriptor
                target.writelines(lines)
                target.flush()
                os.fsync(target.fileno())
            facts = self._real.stat()
            keep_owner(name, facts)
            name.chmod(facts.st_mode & 0o7777)
            self._close_file()
            os.replace(name, self._real)  # noqa: PTH105  # atomic on every system
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        self._attach()

    def find(self, item: Item) -> Record | JournalError | None:
        """Return what an earlier run has written of an item, once; None where it is to be asked."""
        offset = self._offsets.pop(item.key, None)
        if offset is None:
            return None
        with self._guard:
            line = self._line_at(offset)
        record = read_line(line)
        if isinstance(record, str):
            return JournalError(f"{self.path}: it was changed during the run: a line is gone, {record}")
        return record

    def result_of(self, record: Record, item: Item, endpoint: Endpoint) -> BulkResult[Any] | JournalError:
        """Return the result of an item that an earlier run has written, or why the record is not of this item."""
        response: Any = None if record.error is not None else _model_of(record, endpoint)
        if record.digest != item.digest:
            other = endpoint_of(record.digest, item, endpoint)
            if other is not None:
                return self._refusal(item, f"has answers of another endpoint, {other},")
            if isinstance(response, str):
                return self._refusal(item, f"has answers of another endpoint than {endpoint.name}")
            what = "an answer to" if record.error is None else "the error of"
            return self._refusal(item, f"has {what} another request", is_error=record.error is not None)
        if isinstance(response, str):
            return self._refusal(item, f"has an answer that is no {response}")
        error = None if record.error is None else error_of(record.error)
        return BulkResult(item.index, dict(item.request), response, error, item.id, from_journal=True)

    def _refusal(self, item: Item, reason: str, *, is_error: bool = False) -> JournalError:
        advice = ", or ask it again with retry_errors" if is_error else ""
        if item.id is None:
            text = f"the journal {self.path} {reason} at this place; give it a file of its own, or requests an id"
            return JournalError(f"{text} that they are known by{advice}")
        return JournalError(
            f"the journal {self.path} {reason} under the id {item.id!r}; give what is asked now, of this model, "
            f"another id, or a journal of its own{advice}"
        )

    def _line_at(self, offset: int) -> bytes:
        descriptor = self._opened()
        os.lseek(descriptor, offset, os.SEEK_SET)  # writing goes to the end all the same
        return b"".join(_until_line_end(descriptor))

    def _opened(self) -> int:
        if self._process != os.getpid():
            raise JournalError(f"{self.path}: this journal is another process's; give this one a journal of its own")
        if self._descriptor is None:
            raise JournalError(f"{self.path}: this journal is closed")
        return self._descriptor

    def _check(self, descriptor: int) -> None:
        """Look whether the file is where it was, and as it was left.

        Raises:
            OSError: Somebody else has removed, replaced or changed it.
        """
        change = change_of(descriptor, self._real, self._size)
        if change is not None:
            what, lines = change
            whose = f"the lines of this run, {self._own} in number,"
            reason = f"it was {what} by somebody else during the run; {whose} {lines}"
            raise OSError(errno.ESTALE, reason, str(self.path))

    def write(self, line: bytes) -> None:
        """Add a line, from any thread.

        Raises:
            OSError: There is no room for it, and nothing of it is kept then; or the file is no longer what it was.
        """
        with self._guard:
            descriptor = self._opened()
            self._check(descriptor)
            written = 0
            try:
                while written < len(line):  # more than once where the disk is full, which the second call says
                    written += os.write(descriptor, line[written:])
            except BaseException:
                if os.fstat(descriptor).st_size > self._size:  # else it would be filled up with zeros
                    os.ftruncate(descriptor, self._size)
                raise
            self._size += written
            self._own += 1
            self.count += 1

    def close(self) -> None:
        """Bring everything to the disk, and let other runs have the journal. Does nothing twice.

        Raises:
            OSError: It cannot be brought there, or the file is no longer what it was.
        """
        with self._guard:
            try:
                if self._descriptor is not None and self._process == os.getpid():
                    os.fsync(self._descriptor)
                    self._check(self._descriptor)
            finally:
                self._release()

    def leave_to_parent(self) -> None:
        """After a fork: the open file would keep it locked for as long as the child lives."""
        self._guard = threading.Lock()
        self._close_file()

    def _release(self) -> None:
        self._close_file()
        if self._process != os.getpid():  # the lock is the parent's
            return
        with suppress(OSError):  # who else has it open sees that it is gone
            Path(self._lock.path).unlink()
        self._lock.release()

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if self._process == os.getpid():
                unlock(descriptor)
        finally:
            os.close(descriptor)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            self._release()


def _model_of(record: Record, endpoint: Endpoint) -> ResponseModel | str:
    """Return the answer that a line has; the name of its model if it is none of this endpoint."""
    try:
        return endpoint.response.model_validate(record.response)
    except pydantic.ValidationError:
        return endpoint.response.__name__


def _until_line_end(descriptor: int) -> Iterator[bytes]:
    while piece := os.read(descriptor, _PIECE):
        head, end, _ = piece.partition(b"\n")
        yield head
        if end:
            return
