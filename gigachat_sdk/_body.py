"""Bodies of requests that are read while they are sent, so that a file of any size costs no memory."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_buffer

PIECE = 64 * 1024  # bytes
TEXT_MODE = "it gives text; open it in binary mode, as in open(path, 'rb')"


class Body(Protocol):
    """A source of a body's bytes.

    Attributes:
        size: How many bytes there are; None where nobody knows before the end.
    """

    size: int | None

    def read(self) -> bytes:
        """Return the next piece, of at most 64 KiB; nothing at the end. May wait for a disk."""
        ...

    def rewind(self) -> bool:
        """Go back to where the body began; False if what was read cannot be read again."""
        ...


def named(error: OSError, argument: str, path: Any, advice: str = "") -> OSError:
    """Return an error of a file that says which argument it is about, of the same class and with the same facts."""
    return OSError(error.errno, f"{argument}: {error.strerror or error}{advice}", path)


class BufferFile:
    """Bytes that are read like a file; they are not copied."""

    def __init__(self, content: bytes | bytearray | memoryview[int]) -> None:
        view = memoryview(content)
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self._at = 0

    def __len__(self) -> int:
        return len(self._view)

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`."""
        piece = bytes(self._view[self._at : self._at + size])
        self._at += len(piece)
        return piece

    def seek(self, position: int, /) -> None:
        """Go to a position, counted from the beginning."""
        self._at = position

    def close(self) -> None:
        """Let go of the bytes, so that their owner may resize them."""
        self._view.release()


class FileSource:
    """An open binary file from where it stands to its end; whoever opened it closes it.

    Args:
        file: What is read. Only `read(size)` is needed, and `seek(position)` where `start` is given.
        argument: What the user's argument is called, for messages.
        path: What an `OSError` names as the file.
        start: Where it began, to go back there; None if it cannot go back.
        size: How many bytes there should be; None where nobody knows.
    """

    def __init__(self, file: Any, argument: str, path: Any, *, start: int | None, size: int | None) -> None:
        self.size: int | None = size
        self._file = file
        self._argument = argument
        self._path = path
        self._start = start
        self._taken = 0
        self._is_begun = False
        self._is_at_end = False

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; nothing at the end.

        Raises:
            OSError: Reading failed.
            InvalidRequestError: It is longer or shorter than it was when it was measured, or gives no bytes.
        """
        if self._is_at_end:  # a terminal would wait for more
            return b""
        left = None if self.size is None else self.size - self._taken
        piece = self._next(size if left is None else min(size, left) or 1)
        self._taken += len(piece)
        if left is not None and (len(piece) > left or (left and not piece)):
            raise self._changed(left, piece)
        self._is_at_end = not piece
        return piece

    def _next(self, size: int) -> bytes:
        self._is_begun = True
        try:
            piece: Any = self._file.read(size)
        except Exception as error:  # whatever an object of the user's raises, it is no failure of the connection
            cause = error
        else:
            if is_buffer(piece):
                return bytes(piece)
            raise self._no_bytes(piece)
        if isinstance(cause, OSError) and cause.errno is not None:
            raise named(cause, self._argument, self._path)
        text = f"{self._argument}: it cannot be read: {type(cause).__name__}: {cause}"
        raise InvalidRequestError(text, param=self._argument) from cause

    def _no_bytes(self, piece: object) -> InvalidRequestError:
        if isinstance(piece, str):
            text = TEXT_MODE
        elif piece is None:
            text = "its read() gives None, since it does not wait for data; open it in blocking mode"
        else:
            text = f"its read() gives a {type(piece).__name__}, and bytes are due"
        return InvalidRequestTypeError(f"{self._argument}: {text}", param=self._argument)

    def _changed(self, left: int, piece: bytes) -> InvalidRequestError:
        how = f"shorter: {left} bytes are missing" if not piece else "longer"
        return InvalidRequestError(
            f"{self._argument}: it was changed while it was being sent: it had {self.size} bytes, and became {how}; "
            "the request was broken off",
            param=self._argument,
        )

    def rewind(self) -> bool:
        """Go back to where it began; False if what was read cannot be read again."""
        if not self._is_begun:
            return True
        if self._start is None:
            return False
        try:
            self._file.seek(self._start)
        except Exception:  # of an object of the user's
            return False
        self._taken = 0
        self._is_at_end = False
        return True


class FramedBody:
    """A file between bytes that frame it: the body of an upload."""

    def __init__(self, head: bytes, source: FileSource, tail: bytes) -> None:
        self.size: int | None = None if source.size is None else len(head) + source.size + len(tail)
        self._head = BytesIO(head)
        self._source = source
        self._tail = BytesIO(tail)

    def read(self) -> bytes:
        """Return the next piece, of at most 64 KiB; nothing at the end."""
        piece = bytearray()
        for part in (self._head, self._source, self._tail):
            while len(piece) < PIECE and (read := part.read(PIECE - len(piece))):
                piece += read
        return bytes(piece)

    def rewind(self) -> bool:
        """Go back to where the body began; False if what was read of the file cannot be read again."""
        if not self._source.rewind():
            return False
        self._head.seek(0)
        self._tail.seek(0)
        return True
