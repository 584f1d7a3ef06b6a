"""The journal of a run: a JSONL file with one line for each finished item, which is the output as well.

A line is written by one call in append mode, so a process that is killed leaves whole lines and at most one torn one,
at the end. Lines end at LF and nowhere else: U+2028 and its like are text.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pydantic

from .._file_lock import FileLock
from ..types._base import ResponseModel
from ..types._narrow import is_dict
from ._items import Endpoint, Item, endpoint_of, key_of
from ._results import BulkResult, JournalError, error_document, error_of, is_final

_PIECE = 1 << 16
_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_DIGEST = re.compile(r"[0-9a-f]{32}")
_STARTS = (b'{"id":', b'{"index":')
_HEAD = re.compile(rb'\{("id":("(?:[^"\\]|\\.)*"|-?[0-9]+),)?"index":[0-9]+,"digest":"')
_NO_JSON = "it is no JSON"


@dataclass(frozen=True)
class Record:
    """A line of a journal.

    Attributes:
        id: The id of the item; None where it has none.
        index: Its place when it was asked.
        digest: Of its question.
        response: The answer as JSON; None where there is an error.
        error: The error; None where there is an answer.
        is_final: Whether asking again would not help.
    """

    id: str | int | None
    index: int
    digest: str
    response: Any
    error: dict[str, Any] | None
    is_final: bool


def line_of(item: Item, outcome: ResponseModel | Exception) -> bytes:
    """Return the line for what has become of an item."""
    head: dict[str, Any] = {} if item.id is None else {"id": item.id}
    head |= {"index": item.index, "digest": item.digest}
    if isinstance(outcome, Exception):
        head |= {"error": error_document(outcome), "is_final": is_final(outcome)}
        return _json(head).encode("utf-8", "replace") + b"\n"
    return f'{_json(head)[:-1]},"response":{outcome.to_json()}}}\n'.encode("utf-8", "replace")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read_line(line: bytes) -> Record | str:
    """Return what a line says, or why it is no line of a journal."""
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _NO_JSON
    if not is_dict(document):
        return "it is no JSON object"
    identity, index, digest = document.get("id"), document.get("index"), document.get("digest")
    if not (identity is None or isinstance(identity, str | int)) or isinstance(identity, bool):
        return "its id is neither a string nor a number"
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        return "it has no index"
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return "it has no digest"
    response, error = document.get("response"), document.get("error")
    if (response is None) == (error is None):
        return "it has neither a response nor an error" if error is None else "it has a response and an error"
    if error is None:
        return Record(identity, index, digest, response, None, True)
    if not is_dict(error) or not (isinstance(error.get("type"), str) and isinstance(error.get("message"), str)):
        return "its error has no type and message"
    return Record(identity, index, digest, None, error, document.get("is_final") is True)


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
        self._process = os.getpid()
        self.count = 0  # lines
        self.has_answers = False
        self._lock = FileLock(self._real.with_name(f".{self._real.name}.lock"))
        if not self._real.parent.is_dir():  # else the lock's file would be named
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if not self._is_ours():
            raise JournalError(f"{self.path}: another run is writing this journal; wait for its end, or give another")
        try:
            self._open()
        except BaseException:
            self._release()
            raise

    def _is_ours(self) -> bool:
        """Take the lock; say whether it was free."""
        try:
            return self._lock.acquire(wait=False)
        except OSError as error:
            reason = f"{error.strerror}, for the lock that stands beside the journal, {self._lock.path}"
            number = error.errno
        raise OSError(number, reason, str(self.path))  # here, as the other one names a file that nobody has given

    def _open(self) -> None:
        self._descriptor = os.open(self._real, _OPEN, 0o666)
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise JournalError(f"{self.path}: a journal is a regular file, which can be read again")
        with self._real.open("rb") as file:
            torn, has_passing, lacks_end = self._look_through(file)
        if has_passing:
            self._rewrite()
        elif torn is not None:
            os.ftruncate(self._descriptor, torn)
        elif lacks_end:
            os.write(self._descriptor, b"\n")
        self._size = os.fstat(self._descriptor).st_size

    def _look_through(self, file: IO[bytes]) -> tuple[int | None, bool, bool]:
        """Note where each item stands.

        Returns:
            Where a torn line begins, whether a line is to be dropped, and whether the last one only lacks its end.
        """
        torn: int | None = None
        has_passing = lacks_end = False
        for number, offset, line in _lines(file):
            if _is_blank(line):
                continue
            record = read_line(line)
            lacks_end = not line.endswith(b"\n")
            if lacks_end and _is_torn(line, record, is_first=number == 1):
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
                for _, _, line in _lines(source):
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
            places: list[tuple[int, int]] = []
            with self._real.open("rb") as file:
                for _, offset, line in _lines(file):
                    if _is_blank(line):
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
            name.chmod(self._real.stat().st_mode & 0o7777)
            self._close_file()
            os.replace(name, self._real)  # noqa: PTH105  # atomic on every system
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        self._descriptor = os.open(self._real, _OPEN, 0o666)

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
        if item.id is None:
            text = f"the journal {self.path} {reason} at this place; give it a file of its own, or requests an id"
            return JournalError(f"{text} that they are known by")
        advice = ", or ask it again with retry_errors" if is_error else ""
        return JournalError(
            f"the journal {self.path} {reason} under the id {item.id!r}; give what is asked now, of this model, "
            f"another id, or a journal of its own{advice}"
        )

    def _line_at(self, offset: int) -> bytes:
        descriptor = self._opened()
        os.lseek(descriptor, offset, os.SEEK_SET)  # writing goes to the end all the same
        return b"".join(_until_line_end(descriptor))

    def _opened(self) -> int:
        if self._descriptor is None:
            raise JournalError(f"{self.path}: this journal is closed")
        if self._process != os.getpid():
            raise JournalError(f"{self.path}: this journal is another process's; give this one a journal of its own")
        return self._descriptor

    def write(self, line: bytes) -> None:
        """Add a line, from any thread.

        Raises:
            OSError: There is no room for it; nothing of it is kept then.
        """
        with self._guard:
            descriptor = self._opened()
            written = 0
            try:
                while written < len(line):  # more than once where the disk is full, which the second call says
                    written += os.write(descriptor, line[written:])
            except BaseException:
                os.ftruncate(descriptor, self._size)
                raise
            self._size += written
            self.count += 1

    def close(self) -> None:
        """Bring everything to the disk, and let other runs have the journal. Does nothing twice."""
        with self._guard:
            try:
                if self._descriptor is not None:
                    os.fsync(self._descriptor)
            finally:
                self._release()

    def _release(self) -> None:
        self._close_file()
        if self._process != os.getpid():  # the lock is the parent's
            return
        with suppress(OSError):  # who else has it open sees that it is gone
            Path(self._lock.path).unlink()
        self._lock.release()

    def _close_file(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
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


def _lines(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line."""
    offset = 0
    for number, line in enumerate(file, start=1):
        yield number, offset, line
        offset += len(line)


def _is_torn(line: bytes, record: Record | str, *, is_first: bool) -> bool:
    """Say whether a line without an end is the beginning of one of ours; the system may have put zeros there.

    With no whole line before it, it must hold more: a file of the user's may begin like that, too.
    """
    start = line.rstrip(b"\0")
    if record != _NO_JSON:
        return False
    if is_first:
        return _HEAD.match(start) is not None
    return start.startswith(_STARTS) or any(whole.startswith(start) for whole in _STARTS)


def _is_blank(line: bytes) -> bool:
    """Say whether a line has nothing in it, as an editor may leave it."""
    return line.endswith(b"\n") and not line.strip()


def _until_line_end(descriptor: int) -> Iterator[bytes]:
    while piece := os.read(descriptor, _PIECE):
        head, end, _ = piece.partition(b"\n")
        yield head
        if end:
            return
