"""Tokens in a file, for all processes of one machine."""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from ._concurrency import async_in_thread
from ._deadline import Deadline, DeadlineError, no_deadline, running
from ._file_lock import SAFELY, FileLock, trouble_with
from ._logging import logger
from ._shared_lock import TaskSide
from ._token import is_end
from ._token_failures import TokenFailure, failure_document, failure_of
from .errors import ConfigurationError, ConfigurationTypeError
from .types._narrow import is_dict, is_path
from .types.tokens import AccessToken

_FORMAT: Final = "gigachat-sdk tokens 1"
_MOST_BYTES: Final = 1_000_000  # a token has about 2 000
_PATIENCE: Final = 5.0  # seconds that a change waits for those of other processes, which take milliseconds
_KEPT_FOR: Final = 86_400.0  # seconds after its end in which a token stays in the file
_NO_FILE: Final = -1  # stands for a lock where its file cannot be used
_VISIBLE_ASCII = re.compile(r"[!-~]+")

_Signature = tuple[int, ...] | None


@dataclass
class _Content:
    """What the file says, or said when its signature was this."""

    signature: _Signature = None
    tokens: dict[str, AccessToken] = field(default_factory=dict[str, AccessToken])
    failures: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])


class _UntrustedError(Exception):
    """Why the file is not read."""


class FileTokenStore:
    """Keeps tokens in a file, so that all processes of a machine that share an account buy one token together.

    The file is for its owner alone (mode 0600) and is replaced as a whole. What is no such file is not read: one of
    another user, one that others may read, a link, anything that was not written here. It is ignored with a warning,
    and replaced when a token is saved; but a folder, a device, a pipe or a socket never is. Where a token cannot be
    saved (no space, no permission), the process that has bought it goes on with it, and a warning says why.

    Tokens are renewed under a lock between processes: a file beside the first one, `<path>.<digits>.lock`. A process
    that is killed gives it back at once. A token endpoint that answers with an error is left in peace by all together.

    Args:
        path: The file; `~` stands for the home folder. A folder that is missing is made, for its owner alone (0700).
            Put it on a disk of this machine: locks of network folders cannot be relied on.

    Raises:
        ConfigurationError: At the path is a folder, a device, a pipe or a socket; or its folder cannot be made.

    Example:
        >>> store = FileTokenStore("~/.cache/gigachat/tokens.json")
        >>> client = Client(token_store=store)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path: str = str(_checked(path))
        self._changes = FileLock(f"{self._path}.lock")
        self._locks: dict[str, _RefreshLock] = {}
        self._keys: dict[str, str] = {}
        self._content = _Content()
        self._unsaved: dict[str, AccessToken] = {}
        self._refused: dict[str, set[str]] = {}  # values of tokens that could perhaps not be taken out of the file

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none. The file is read if it has changed."""
        return self._chosen(name, self._current() or self._read())

    def set(self, name: str, token: AccessToken) -> None:
        """Save `token` under `name`; where that fails, keep it in this process."""
        self._unsaved[name] = token  # from here on it cannot be lost
        if self._change(partial(_put, self._key(name), token), "the token is kept in this process alone"):
            self._unsaved.pop(name, None)
            self._refused.pop(name, None)

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        self._refused.setdefault(name, set()).add(token.value)
        unsaved = self._unsaved.get(name)
        if unsaved is not None and unsaved.value == token.value:
            del self._unsaved[name]
        kept = self._read().tokens.get(self._key(name))
        if kept is not None and kept.value == token.value:
            self._change(partial(_remove, self._key(name), token), "other processes may find a refused token there")

    def lock(self, name: str) -> FileLock:
        """Return the lock under which threads of all processes renew the token `name`."""
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks.setdefault(name, _RefreshLock(f"{self._path}.{self._key(name)[:16]}.lock"))
        return lock

    def get_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none; `now` in Unix seconds."""
        return failure_of((self._current() or self._read()).failures.get(self._key(name)))

    def set_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`; `now` in Unix seconds."""
        document = failure_document(failure)
        self._change(partial(_put_failure, self._key(name), document), "other processes do not know of a failure")

    async def aget(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        content = self._current()
        return self._chosen(name, await async_in_thread(self._read) if content is None else content)

    async def aset(self, name: str, token: AccessToken) -> None:
        """Save `token` under `name`; where that fails, keep it in this process."""
        self._unsaved[name] = token  # the thread may never start: this task may be cancelled
        await async_in_thread(partial(self.set, name, token))

    async def adelete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        await async_in_thread(partial(self.delete, name, token))

    def alock(self, name: str) -> TaskSide:
        """Return the lock under which tasks of all processes renew the token `name`."""
        return TaskSide(self.lock(name))

    async def aget_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none."""
        return await async_in_thread(partial(self.get_failure, name, now))

    async def aset_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`."""
        await async_in_thread(partial(self.set_failure, name, failure, now))

    def __repr__(self) -> str:
        return f"FileTokenStore({self._path!r})"

    def __reduce__(self) -> tuple[type[FileTokenStore], tuple[str]]:
        return FileTokenStore, (self._path,)

    def _key(self, name: str) -> str:
        """Return what a token is called in the file: a digest, as Redis stores derive keys from what names hold."""
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = sha256(name.encode()).hexdigest()
        return key

    def _chosen(self, name: str, content: _Content) -> AccessToken | None:
        kept, unsaved = content.tokens.get(self._key(name)), self._unsaved.get(name)
        if kept is not None and kept.value in self._refused.get(name, ()):
            kept = None
        if kept is None or unsaved is None:
            return kept or unsaved
        return kept if _end(kept) >= _end(unsaved) else unsaved

    # ---- the file ----

    def _current(self) -> _Content | None:
        """Return what the file says if it was read and has not changed since: two microseconds, on any loop."""
        content = self._content
        try:
            signature = _signature(os.lstat(self._path))
        except OSError:
            signature = None
        return content if content.signature == signature else None

    def _read(self) -> _Content:
        content, trouble, is_precious = _Content(), "", False
        try:
            facts = os.lstat(self._path)
            content.signature = _signature(facts)
            if stat.S_ISLNK(facts.st_mode):
                raise _UntrustedError("it is a link")
            trouble = _precious(facts)
            is_precious = bool(trouble)
            if not is_precious:  # opening alone does something to some devices
                content = _parsed(self._path)
        except FileNotFoundError:
            content.signature = None
        except (OSError, _UntrustedError) as error:
            trouble = str(error)
        if trouble and content.signature != self._content.signature:
            outcome = "it is left as it is" if is_precious else "it will be replaced"
            logger.warning("tokens are not read from %s, %s: %s", self._path, outcome, trouble)
        self._content = content
        return content

    def _change(self, change: Callable[[_Content], None], consequence: str) -> bool:
        """Read, change and replace the file, one process at a time; say whether that went well."""
        is_locked = False
        try:
            try:
                with no_deadline(), running(Deadline(_PATIENCE)):  # what was bought is saved, late or not
                    is_locked = self._changes.acquire()
            except DeadlineError:  # a process stands still there: the file stays whole all the same
                logger.warning("the lock of %s is held for very long, going on without it", self._path)
            content = self._read()
            change(content)
            self._write(content)
        except OSError as error:
            logger.warning("%s cannot be written, %s: %s", self._path, consequence, error)
            return False
        finally:
            if is_locked:
                self._changes.release()
        return True

    def _write(self, content: _Content) -> None:
        now = time.time()
        document = {
            "format": _FORMAT,
            "tokens": {
                key: {"value": token.value, "expires_at": token.expires_at}
                for key, token in content.tokens.items()
                if _end(token) > now - _KEPT_FOR
            },
            "failures": content.failures,
        }
        temporary = f"{self._path}.tmp"
        for place in (self._path, temporary):
            _refuse_precious(place)
        with suppress(FileNotFoundError):
            os.unlink(temporary)  # noqa: PTH108  # of a process that was killed; a link is removed, not followed
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | SAFELY, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                _set_mode(descriptor, 0o600)  # the umask may have taken too much
                json.dump(document, file)
            os.replace(temporary, self._path)  # noqa: PTH105  # atomic on every system
        except BaseException:
            os.unlink(temporary)  # noqa: PTH108  # as above
            raise


class _RefreshLock(FileLock):
    """The lock of one token; where its file cannot be used, each process buys a token of its own."""

    def _take(self) -> int | None:
        try:
            return super()._take()
        except OSError as error:
            logger.warning("processes cannot share a token, each buys its own: %s", error)
            return _NO_FILE

    def _give_back(self, held: int) -> None:
        if held != _NO_FILE:
            super()._give_back(held)

    def _forget(self, held: int) -> None:
        if held != _NO_FILE:
            super()._forget(held)


def _leave_mode(descriptor: int, mode: int) -> None:
    """Do nothing: on Windows it is the folder that protects a file."""


_set_mode: Callable[[int, int], None] = getattr(os, "fchmod", _leave_mode)


def _checked(path: object) -> Path:
    """Return an absolute path whose folder is there."""
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
                trouble = trouble or _precious(file.lstat())
            if not trouble:
                return file
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no such home
            trouble = str(error)
    raise ConfigurationError(f"path: tokens cannot be kept in {given!r}: {trouble}")


def _precious(facts: os.stat_result) -> str:
    """Say why what lies at a path must not be replaced by a file; nothing where it may be."""
    if stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode):
        return ""
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return f"it is {kinds.get(stat.S_IFMT(facts.st_mode), 'a device')}, and a file is needed"


def _refuse_precious(path: str) -> None:
    """Refuse to replace what is no file: the superuser may replace devices.

    Raises:
        OSError: There is such a thing at the path.
    """
    with suppress(FileNotFoundError):
        trouble = _precious(os.lstat(path))
        if trouble:
            raise OSError(errno.EPERM, trouble, path)


def _signature(facts: os.stat_result) -> _Signature:
    """Return what changes when a file does."""
    return (facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_mode)


def _parsed(path: str) -> _Content:
    """Read a file of tokens.

    Raises:
        OSError: It cannot be opened, or is a link.
        _UntrustedError: It is not to be trusted, or makes no sense.
    """
    descriptor = os.open(path, os.O_RDONLY | SAFELY)
    try:
        facts = os.fstat(descriptor)
        trouble = trouble_with(facts)
        if trouble is None and sys.platform != "win32" and facts.st_mode & 0o077:
            trouble = f"others may read or write it (mode {facts.st_mode & 0o777:o})"
        data = os.read(descriptor, _MOST_BYTES + 1) if trouble is None else b""
    finally:
        os.close(descriptor)
    if trouble is None and len(data) > _MOST_BYTES:
        trouble = "it is larger than any file of tokens"
    if trouble is not None:
        raise _UntrustedError(trouble)
    document: object = None
    with suppress(ValueError, RecursionError):
        document = json.loads(data)
    if not is_dict(document) or document.get("format") != _FORMAT:
        raise _UntrustedError("its content is no file of tokens")
    content = _Content(_signature(facts))
    tokens, failures = document.get("tokens"), document.get("failures")
    for key, entry in (tokens if is_dict(tokens) else {}).items():
        token = _token(entry)
        if token is not None:
            content.tokens[key] = token
    for key, entry in (failures if is_dict(failures) else {}).items():
        if is_dict(entry):
            content.failures[key] = entry
    return content


def _token(entry: object) -> AccessToken | None:
    value, end = (entry.get("value"), entry.get("expires_at")) if is_dict(entry) else (None, None)
    if not isinstance(value, str) or not _VISIBLE_ASCII.fullmatch(value):
        return None
    return AccessToken(value, end) if is_end(end) else None


def _end(token: AccessToken) -> float:
    return math.inf if token.expires_at is None else token.expires_at


def _put(key: str, token: AccessToken, content: _Content) -> None:
    content.tokens[key] = token
    content.failures.pop(key, None)


def _remove(key: str, token: AccessToken, content: _Content) -> None:
    kept = content.tokens.get(key)
    if kept is not None and kept.value == token.value:
        del content.tokens[key]


def _put_failure(key: str, document: dict[str, Any], content: _Content) -> None:
    content.failures[key] = document
