"""Files that are replaced as a whole: where they may lie, and how they are written and taken away."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from ._concurrency import sleep
from ._file_lock import SAFELY
from .errors import ConfigurationError, ConfigurationTypeError
from .types._narrow import is_path

_LEFT_AFTER: Final = 60.0  # seconds after which nobody writes a temporary file any more; it takes milliseconds
_IS_WINDOWS: bool = os.name == "nt"
_READERS_TAKE: Final = 1.0  # seconds at most, and rather a millisecond
_PAUSE: Final = 0.01


def checked_place(path: object) -> str:
    """Return an absolute path whose folder is there.

    Raises:
        ConfigurationError: There is something else, or the folder cannot be made.
        ConfigurationTypeError: It is no path.
    """
    given = os.fspath(path) if is_path(path) else path
    if not isinstance(given, str):
        raise ConfigurationTypeError(f"path: expected the name of a file, got {type(path).__name__}")
    trouble = "it is empty" if not given else "it has a null character in it"
    if given and "\0" not in given:
        try:
            file = Path(given).expanduser().absolute()
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            trouble = "it is a folder, and a file is needed" if file.is_dir() else ""
            with suppress(FileNotFoundError):
                trouble = trouble or precious(file.lstat())
            if not trouble:
                return str(file)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no such home
            trouble = str(error)
    raise ConfigurationError(f"path: tokens cannot be kept in {given!r}: {trouble}")


def precious(facts: os.stat_result) -> str:
    """Say why what lies at a path must not be replaced by a file; nothing where it may be."""
    if stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
        return ""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return f"it is {kinds.get(stat.S_IFMT(facts.st_mode), 'a device')}, and a file is needed"


def replace(path: str, document: dict[str, Any]) -> None:
    """Write JSON to a file for its owner alone, which takes the place of the one that is there in one step.

    Raises:
        OSError: It cannot be written, or what is there is no file: the superuser may replace devices.
    """
    with suppress(FileNotFoundError):
        trouble = precious(os.lstat(path))
        if trouble:
            raise OSError(errno.EPERM, trouble, path)
    # A name of one's own: a writer that did not get the lock must not publish what another one has half written.
    temporary = f"{path}.{os.getpid()}-{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            _set_mode(descriptor, 0o600)  # the umask may have taken too much
            json.dump(document, file)
        _put_in_place(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108  # strings all along
        raise


def remove_leftovers(path: str) -> None:
    """Remove what writers of a file have left that were killed; whoever calls this has the lock of writing.

    A young one stays: it may be that of a writer who did not get the lock in time.
    """
    folder, name = os.path.split(path)
    ours = re.compile(re.escape(name) + r"\.[0-9]+-[0-9a-f]{16}\.tmp")
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if ours.fullmatch(entry.name):
                with suppress(OSError):  # of another user, perhaps
                    facts = entry.stat(follow_symlinks=False)
                    if not precious(facts) and time.time() - facts.st_mtime > _LEFT_AFTER:
                        os.unlink(entry.path)  # noqa: PTH108  # a link is removed, not followed


def _put_in_place(temporary: str, path: str) -> None:
    """Rename a file over another one; Windows refuses that while somebody reads the other one."""
    ends_at = time.monotonic() + _READERS_TAKE
    while True:
        try:
            os.replace(temporary, path)  # noqa: PTH105  # atomic on every system
        except PermissionError:
            if not _IS_WINDOWS or time.monotonic() >= ends_at:
                raise
        else:
            return
        sleep(_PAUSE)


def _leave_mode(descriptor: int, mode: int) -> None:
    """Do nothing: on Windows it is the folder that protects a file."""


_set_mode: Callable[[int, int], None] = getattr(os, "fchmod", _leave_mode)
