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
from typing import Any, Final

from ._concurrency import async_ask_in_thread, async_tell_in_thread
from ._deadline import Deadline, DeadlineError, half_of_the_rest, running
from ._file_lock import SAFELY, FileLock, RefreshLock, trouble_with
from ._file_places import checked_place, precious, remove_leftovers, replace
from ._logging import logger
from ._shared_lock import TaskSide
from ._token import is_end
from ._token_failures import TokenFailure, failure_document, failure_of
from .types._narrow import is_dict
from .types.tokens import AccessToken

_FORMAT: Final = "gigachat-sdk tokens 1"
_MOST_BYTES: Final = 1_000_000  # a token has about 2 000
_PATIENCE: Final = 5.0  # seconds that a change waits for those of other processes, which take milliseconds
_KEPT_FOR: Final = 86_400.0  # seconds after its end in which a token stays in the file
_VISIBLE_ASCII = re.compile(r"[!-~]+")

_Signature = tuple[int, ...] | None
_UNREAD: Final[_Signature] = ()  # no file has it, so it is read again
_LASTING: Final = frozenset({errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR})  # errors until somebody mends them


@dataclass
class _Content:
    """What the file says, or said when its signature was this."""

    signature: _Signature = None
    tokens: dict[str, AccessToken] = field(default_factory=dict[str, AccessToken])
    failures: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])

    def copy(self, signature: _Signature) -> _Content:
        """Return one to be changed."""
        return _Content(signature, dict(self.tokens), dict(self.failures))


class _UntrustedError(Exception):
    """Why the file is not read."""


class FileTokenStore:
    """Keeps tokens in a file, so that all processes of a machine that share an account buy one token together.

    The file is for its owner alone (mode 0600) and is replaced as a whole. What is no such file is not read: one of
    another user, one that others may read, a link, anything that was not written here. It is ignored with a warning,
    and replaced when a token is saved; but a folder, a device, a pipe or a socket never is. Where a token cannot be
    saved (no space, no permission), the process that has bought it goes on with it, and a warning says why.

    Tokens are renewed under a lock between processes: a file beside the first one, `<path>.refresh.lock`. A process
    that is killed gives it back at once; one that was stopped keeps it, and after 150 seconds, longer than a purchase
    takes, the others log a warning and buy tokens of their own until it is free. A token endpoint that answers with an
    error is left in peace by all together.
    Accounts that share a file take turns in buying tokens: give each a file of its own where one endpoint is slow.

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
        self._path: str = checked_place(path)
        self._changes = FileLock(f"{self._path}.lock")
        self._refreshes = RefreshLock(f"{self._path}.refresh.lock")  # one: names of files must not tell of passwords
        self._keys: dict[str, str] = {}
        self._content = _Content()
        self._unsaved: dict[str, AccessToken] = {}
        self._refused: dict[str, set[str]] = {}  # values of tokens that could perhaps not be taken out of the file

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none. The file is read if it has changed."""
        return self._chosen(name, self._latest())

    def set(self, name: str, token: AccessToken) -> None:
        """Save `token` under `name`; where that fails, keep it in this process."""
        self._unsaved[name] = token  # from here on it cannot be lost
        if self._change(partial(_put, self._key(name), token), "the token is kept in this process alone"):
            self._unsaved.pop(name, None)
            self._refused.pop(name, None)

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        self._refuse(name, token)
        if self._has(self._latest(), name, token):
            self._change(partial(_remove, self._key(name), token), "other processes may find a refused token there")

    def lock(self, name: str) -> FileLock:
        """Return the lock under which threads of all processes renew the token `name`: the same one for all names."""
        return self._refreshes

    def get_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none; `now` in Unix seconds."""
        return failure_of(self._latest().failures.get(self._key(name)))

    def set_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`; `now` in Unix seconds."""
        document = failure_document(failure)
        self._change(partial(_put_failure, self._key(name), document), "other processes do not know of a failure")

    async def aget(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        return self._chosen(name, await self._alatest())

    async def aset(self, name: str, token: AccessToken) -> None:
        """Save `token` under `name`; where that fails, keep it in this process."""
        self._unsaved[name] = token  # before this task can be cancelled
        await _tell(partial(self.set, name, token))

    async def adelete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        is_news, content = self._refuse(name, token), self._current()
        if is_news and (content is None or self._has(content, name, token)):  # of many tasks one looks
            await _tell(partial(self.delete, name, token))

    def alock(self, name: str) -> TaskSide:
        """Return the lock under which tasks of all processes renew the token `name`."""
        return TaskSide(self.lock(name))

    async def aget_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none."""
        return failure_of((await self._alatest()).failures.get(self._key(name)))

    async def aset_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`."""
        await _tell(partial(self.set_failure, name, failure, now))

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
        if kept is not None:
            if kept.value not in self._refused.get(name, ()):
                self._refused.pop(name, None)  # none of them is in the file any more
            else:
                self._refused[name], kept = {kept.value}, None
        if kept is None or unsaved is None:
            return kept or unsaved
        return kept if _end(kept) >= _end(unsaved) else unsaved

    def _refuse(self, name: str, token: AccessToken) -> bool:
        """Give `token` out no more; return whether that is news."""
        refused = self._refused.setdefault(name, set())
        is_news = token.value not in refused
        refused.add(token.value)
        unsaved = self._unsaved.get(name)
        if unsaved is not None and unsaved.value == token.value:
            del self._unsaved[name]
        return is_news

    def _has(self, content: _Content, name: str, token: AccessToken) -> bool:
        kept = content.tokens.get(self._key(name))
        return kept is not None and kept.value == token.value

    # ---- the file ----

    def _latest(self) -> _Content:
        return self._current() or self._read()

    async def _alatest(self) -> _Content:
        content = self._current()
        return await async_ask_in_thread(self._latest) if content is None else content

    def _current(self) -> _Content | None:
        """Return what the file says if it was read and has not changed since: two microseconds, on any loop."""
        content = self._content
        try:
            signature = _signature(os.lstat(self._path))
        except OSError:
            signature = None
        return content if content.signature == signature else None

    def _read(self) -> _Content:
        content, trouble, outcome = _Content(), "", "it will be replaced"
        try:
            facts = os.lstat(self._path)
            content.signature = _signature(facts)
            if stat.S_ISLNK(facts.st_mode):
                raise _UntrustedError("it is a link")
            trouble = precious(facts)
            if trouble:  # opening alone does something to some devices
                outcome = "it is left as it is"
            else:
                content = _parsed(self._path)
        except FileNotFoundError:
            content.signature = None
        except (OSError, _UntrustedError) as error:
            trouble = str(error)
            if isinstance(error, OSError) and error.errno not in _LASTING:  # no descriptors, no memory: for a moment
                content, outcome = self._content.copy(_UNREAD), "it will be read again"
        if trouble and content.signature != self._content.signature:
            logger.warning("tokens are not read from %s, %s: %s", self._path, outcome, trouble)
        self._content = content
        return content

    def _change(self, change: Callable[[_Content], None], consequence: str) -> bool:
        """Read, change and replace the file, one process at a time; say whether that went well."""
        is_locked = False
        try:
            is_locked = self._lock_changes()
            if is_locked:
                remove_leftovers(self._path)
            content = self._read()
            content = content.copy(content.signature)  # others may be reading that one, and this may go wrong
            change(content)
            self._write(content)
        except OSError as error:
            logger.warning("%s cannot be written, %s: %s", self._path, consequence, error)
            return False
        finally:
            if is_locked:
                self._changes.release()
        return True

    def _lock_changes(self) -> bool:
        """Wait for those who write now, a part of the time that the call has; say whether the lock was got."""
        if self._changes.acquire(wait=False):
            return True
        with suppress(DeadlineError), running(half_of_the_rest()), running(Deadline(_PATIENCE)):
            return self._changes.acquire()
        logger.warning("the lock of %s is not given back in time, going on without it", self._path)
        return False

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
        replace(self._path, document)


async def _tell(change: Callable[[], None]) -> None:
    """Have the file changed in a thread of its own; it goes on alone where it takes too much of the call's time."""
    with running(half_of_the_rest()):
        await async_tell_in_thread(change)


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
