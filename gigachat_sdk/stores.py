"""Where tokens are kept: one object serves sync and async clients at the same time.

A store knows tokens by name (a digest of the auth address, the credentials and the scope, which shows none of them),
and hands out the lock under which a token is renewed. Methods beginning with `a` are the async twins.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from pydantic import SecretStr

from ._concurrency import AsyncLock, AsyncTurns, Lock
from ._token_failures import TokenFailure, concerns_everybody, next_failure
from .errors import APIError
from .types.tokens import AccessToken


@runtime_checkable
class RefreshLock(Protocol):
    """Held by the one thread that renews a token."""

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken."""
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...


@runtime_checkable
class AsyncRefreshLock(Protocol):
    """Held by the one task that renews a token."""

    async def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken."""
        ...

    def release(self) -> None:
        """Give the lock back."""
        ...


@runtime_checkable
class TokenStore(Protocol):
    """What a token manager needs of a store; implement it to keep tokens elsewhere.

    `get` is called before every request, so let it be quick; the rest is called when a token is bought or refused.
    A store that several processes share also has locks that work between them. It may have the methods of
    `SharesFailures` and `SealsTokens` too, which managers use where they are there.

    `MemoryTokenStore` keeps tokens in the process, `FileTokenStore` for the processes of one machine, and
    `RedisTokenStore` for those of many.

    Example:
        >>> store = MemoryTokenStore()
        >>> store.set("oauth:1f0c...", AccessToken("eyJ...", expires_at=1706026848.0))
        >>> store.get("oauth:1f0c...")
        AccessToken(value=[hidden], expires_at=1706026848.0)
    """

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        ...

    def set(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`."""
        ...

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`: another caller may have renewed it."""
        ...

    def lock(self, name: str) -> RefreshLock:
        """Return the lock under which threads renew the token `name`."""
        ...

    async def aget(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        ...

    async def aset(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`."""
        ...

    async def adelete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        ...

    def alock(self, name: str) -> AsyncRefreshLock:
        """Return the lock under which tasks renew the token `name`."""
        ...


@runtime_checkable
class SharesFailures(Protocol):
    """What a store may have besides: it tells other processes that the endpoint has refused to give a token just now.

    Within a process managers do so themselves. Trouble on the way to the endpoint, such as a proxy that is down or a
    timeout, is never told to others. Keeping a token forgets its failures.
    """

    def get_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none; `now` in Unix seconds."""
        ...

    def set_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`; `now` in Unix seconds."""
        ...

    async def aget_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`."""
        ...

    async def aset_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`."""
        ...


@runtime_checkable
class SealsTokens(Protocol):
    """What a store may have besides: it encrypts what it keeps with a key made of the credentials."""

    def sealed_with(self, secret: SecretStr) -> TokenStore:
        """Return the same store for the tokens of `secret`: the authorization key, or the password."""
        ...


class MemoryTokenStore:
    """Keeps tokens in this process; the default, and one store is shared by all clients of a process.

    Clients with the same auth address, credentials and scope share one token, however many there are. Threads renew it
    once; tasks of an event loop renew it once. A sync and an async client that start at the same moment may do so once
    each, since a thread must not wait for a task of its own loop.
    """

    def __init__(self) -> None:
        self._tokens: dict[str, AccessToken] = {}
        self.renew_locks()
        _memory_stores[id(self)] = self

    def renew_locks(self) -> None:
        """Forget all locks: in the child of a fork one may be held by a thread that only the parent has (internal)."""
        self._locks: dict[str, Lock] = {}
        self._async_turns: dict[str, AsyncTurns] = {}
        self._guard = threading.Lock()

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        return self._tokens.get(name)

    def set(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`."""
        self._tokens[name] = token

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        with self._guard:
            kept = self._tokens.get(name)
            if kept is not None and kept.value == token.value:
                del self._tokens[name]

    def lock(self, name: str) -> Lock:
        """Return the lock under which threads renew the token `name`."""
        return self._locks.setdefault(name, Lock())

    async def aget(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        return self.get(name)

    async def aset(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`."""
        self.set(name, token)

    async def adelete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        self.delete(name, token)

    def alock(self, name: str) -> AsyncLock:
        """Return the lock under which tasks renew the token `name`, for one of them."""
        return AsyncLock(self._async_turns.setdefault(name, AsyncTurns()))

    def __repr__(self) -> str:
        return f"MemoryTokenStore({len(self._tokens)} tokens)"


# By their ids: a subclass may have no hash.
_memory_stores: Final[weakref.WeakValueDictionary[int, MemoryTokenStore]] = weakref.WeakValueDictionary()


def _after_fork() -> None:
    for store in list(_memory_stores.values()):
        store.renew_locks()


_register_at_fork: Any = getattr(os, "register_at_fork", dict)  # Windows has no fork
_register_at_fork(after_in_child=_after_fork)

process_store: MemoryTokenStore = MemoryTokenStore()
"""The store of clients that name none."""


@dataclass
class Failures:
    """What is known of attempts to renew one token that failed (internal)."""

    count: int = 0  # of this process, for ever: whoever waited meanwhile can tell that there was one
    last: TokenFailure | None = None
    pause_until: float = 0.0  # no early refresh before

    def heard(self, failure: TokenFailure, now: float) -> None:
        """Remember a failure, perhaps one of another process."""
        self.last = failure
        self.pause_until = now + failure.seconds_left(now, is_early=True)


_failures: weakref.WeakKeyDictionary[Any, dict[str, Failures]] = weakref.WeakKeyDictionary()


def failures_of(store: TokenStore, name: str) -> Failures:
    """Return what all managers share that keep the token `name` in `store` (internal)."""
    try:
        return _failures.setdefault(store, {}).setdefault(name, Failures())
    except TypeError:  # a store that cannot be referred to weakly: its managers share less
        return Failures()


class KnownFailures:
    """What one manager knows of attempts to renew its token that failed (internal).

    What the endpoint answers it would answer to all who need the token. That it could not be reached, or not in time,
    may be due to this manager's own proxy, network or timeout: others are to find that out for themselves.

    Args:
        store: Where the token is kept.
        name: What it is called there.
    """

    def __init__(self, store: TokenStore, name: str) -> None:
        self._shared = failures_of(store, name)
        self._own = Failures()

    @property
    def counts(self) -> tuple[int, int]:
        """How many there were in this process; to be given to `since` later."""
        return self._shared.count, self._own.count

    def since(self, counts: tuple[int, int]) -> TokenFailure | None:
        """Return one that has come since there were `counts`; None where there is none, or a success after it."""
        for known, count in zip((self._shared, self._own), counts, strict=True):
            if known.count > count and known.last is not None:
                return known.last
        return None

    def succeeded(self) -> None:
        """Forget them: somebody has a new token."""
        self._shared.last = self._own.last = None

    def heard(self, noted: TokenFailure | None, now: float) -> None:
        """Remember what another process has noted in the store."""
        last = self._shared.last
        if noted is not None and (last is None or last.failed_at < noted.failed_at):
            self._shared.heard(noted, now)

    def failed(self, error: APIError, now: float) -> TokenFailure | None:
        """Remember a failure of this manager; return what other processes are to be told, None for nothing."""
        is_for_all = concerns_everybody(error)
        known = self._shared if is_for_all else self._own
        failure = next_failure(known.last, error, now)
        known.count += 1
        known.heard(failure, now)
        return failure if is_for_all else None

    def hold_early(self, until: float) -> None:
        """Let nobody renew the token, while it is valid, before `until` (Unix seconds)."""
        self._shared.pause_until = until

    def is_too_early(self, now: float) -> bool:
        """Say whether a token that is valid yet should not be renewed now."""
        return now < max(self._shared.pause_until, self._own.pause_until)

    def refuse_during_pause(self, now: float) -> None:
        """Raise the error of the last attempt, while it is too early for another one."""
        for known in (self._shared, self._own):
            last = known.last
            if last is not None and last.seconds_left(now):
                raise last.refusal(now)
