"""Where a download goes: a file that stands under its name only when it is complete."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_path


class PartFile:
    """A file that is written beside its target and takes its place when it is complete.

    Everything here may wait for a disk. What is no ordinary file (`/dev/null`, a pipe) is written to as it is.

    Args:
        path: The target.
        token: Letters that no other file beside the target has in its name.

    Raises:
        InvalidRequestError: `path` is no path.
    """

    def __init__(self, path: Any, token: str) -> None:
        if not (isinstance(path, str) or is_path(path)):
            raise InvalidRequestTypeError(f"path: expected a path, got {type(path).__name__}", param="path")
        self._given = os.fspath(path)
        self._token = token
        self._file: BinaryIO | None = None
        self._target: Path | None = None
        self._part: Path | None = None
        self._is_discarded = False

    def open(self) -> None:
        """Open it for writing.

        Raises:
            OSError: It cannot be: a directory is missing or not writable, or the target is a directory.
        """
        wrong: Exception
        try:
            self._open()
        except OSError as error:
            wrong = OSError(error.errno, error.strerror, self._given)
        except ValueError as error:
            wrong = InvalidRequestError(f"path: this is no path: {error}", param="path")
        else:
            if self._is_discarded:  # by a caller who was cancelled while a thread was in here
                self.discard()
            return
        raise wrong

    def _open(self) -> None:
        if not self._given:  # pathlib takes it for the working directory
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if os.path.basename(self._given) in ("", ".", ".."):  # noqa: PTH119  # a directory's; pathlib drops the slash
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        path = Path(self._given)
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            mode = None
        if mode is not None and stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if mode is not None and not stat.S_ISREG(mode):
            self._file = path.open("wb")
            return
        target = path.resolve()  # a link stays one
        part = target.with_name(f".gigachat-{self._token}.part")
        self._file = part.open("xb")
        self._part, self._target = part, target
        if mode is not None:
            part.chmod(stat.S_IMODE(mode))

    def write(self, piece: bytes) -> None:
        """Append some bytes."""
        if self._file is not None:
            self._file.write(piece)

    def commit(self) -> None:
        """Put the file under its name, in place of what was there."""
        if self._file is not None:
            self._file.close()
        if self._part is not None and self._target is not None:
            self._part.replace(self._target)
            self._part = None

    def discard(self) -> None:
        """Leave nothing behind, unless it was committed."""
        self._is_discarded = True
        if self._file is not None:
            with suppress(OSError):  # what could not be written is thrown away all the same
                self._file.close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)
