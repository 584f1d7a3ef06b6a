"""Bodies and files of any size: small ones in memory, large ones in a temporary file that has no name.

Everything large of one emulator goes to the end of one file, so that many uploads need one descriptor; the operating
system takes the file back when the last who uses it is gone, even if the process is killed.
"""

import tempfile
import threading
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import IO, Protocol, overload

PIECE = 64 * 1024  # bytes that are read and sent at one time
IN_MEMORY = 1024 * 1024  # bytes; what is larger goes to disk
_WRITTEN_AT_ONCE = 256 * 1024  # bytes


class _Source(Protocol):
    """Where the bytes of a blob are."""

    def read(self, offset: int, size: int) -> bytes: ...


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


class Spool:
    """The temporary file of one emulator; made when first needed, and it only grows. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file: IO[bytes] | None = None
        self._end = 0

    def append(self, data: bytes | bytearray) -> int:
        """Write bytes to the end, and give the offset at which they begin."""
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="gigachat-emulator-")  # noqa: SIM115 - the finalizer closes it
                weakref.finalize(self, self._file.close)
            begin = self._end
            self._file.seek(begin)
            self._file.write(data)
            self._end += len(data)
            return begin

    def read(self, offset: int, size: int) -> bytes:
        """Give a range of what was written."""
        with self._lock:
            if self._file is None:
                return b""
            self._file.seek(offset)
            return self._file.read(size)


class Blob:
    """Bytes that do not change, wherever they are.

    Attributes:
        size: How many.
    """

    def __init__(self, source: _Source, runs: Sequence[tuple[int, int]]) -> None:
        self._source = source
        self._runs = [run for run in runs if run[1]]  # offset in the source, and length
        *self._starts, size = accumulate((length for _, length in self._runs), initial=0)
        self.size: int = size

    @classmethod
    def of(cls, content: "Content") -> "Blob":
        """Make a blob of bytes; one that is there already stays itself."""
        return cls(_Memory(content), [(0, len(content))]) if isinstance(content, bytes) else content

    def __repr__(self) -> str:
        return f"<{self.size} bytes>"

    def window(self, start: int, stop: int) -> bytes:
        """Read a range into memory."""
        stop = min(stop, self.size)
        read: list[bytes] = []
        for offset, length in self._within(start, stop):
            read.append(self._source.read(offset, length))
        return b"".join(read)

    def cut(self, start: int, stop: int) -> "Blob":
        """Give a range as a blob of its own; nothing is copied."""
        return Blob(self._source, list(self._within(start, min(stop, self.size))))

    def read(self) -> bytes:
        """Read everything into memory."""
        return self.window(0, self.size)

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Say where bytes occur first, from `start` on; -1 for nowhere."""
        overlap = len(wanted) - 1
        for begin in range(start, self.size, PIECE):
            found = self.window(begin, begin + PIECE + overlap).find(wanted)
            if found >= 0:
                return begin + found
        return -1

    def _within(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        index = max(0, bisect_right(self._starts, start) - 1)
        while start < stop:
            offset, length = self._runs[index]
            skipped = start - self._starts[index]
            taken = min(stop - start, length - skipped)
            yield offset + skipped, taken
            start += taken
            index += 1


Content = bytes | Blob
"""A body or a file: bytes where it is small."""


class Pieces(Sequence[bytes]):
    """The bytes of a blob in pieces of 64 KiB, each read when it is asked for: the chunks of a reply."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        self._starts = range(0, blob.size, PIECE)

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        if isinstance(index, slice):
            return [self[number] for number in range(len(self))[index]]
        start = self._starts[index]
        return self._blob.window(start, start + PIECE)


class BlobWriter:
    """Takes bytes as they come, and keeps them in memory until there are too many.

    Args:
        spool: Where they go then.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._kept = bytearray()
        self._runs: list[tuple[int, int]] = []

    def write(self, data: bytes) -> None:
        """Add bytes."""
        self._kept += data
        if len(self._kept) > (_WRITTEN_AT_ONCE if self._runs else IN_MEMORY):
            self._flush()

    def finish(self) -> Content:
        """Give what was written."""
        if not self._runs:
            return bytes(self._kept)
        self._flush()
        return Blob(self._spool, self._runs)

    def _flush(self) -> None:
        offset, length = self._spool.append(self._kept), len(self._kept)
        self._kept = bytearray()
        if self._runs and sum(self._runs[-1]) == offset:
            self._runs[-1] = self._runs[-1][0], self._runs[-1][1] + length
        else:
            self._runs.append((offset, length))
