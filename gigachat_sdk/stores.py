"""Where tokens are kept: one object serves sync and async clients at the same time.

A store knows tokens by name (a digest of the auth address, the credentials and the scope, which shows none of them),
and hands out the lock under which a token is renewed. Methods beginning with `a` are the async twins.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pydantic import SecretStr

from ._concurrency import AsyncLock, Lock
from ._token_failures import TokenFailure
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
    """What a store may have besides: it tells other processes that a token could not be bought just now.

    Within a process managers do so themselves. Keeping a token forgets its failures.
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
        self._locks: dict[str, Lock] = {}
        self._async_locks: dict[str, AsyncLock] = {}
        self._guard = threading.Lock()
        self._process = os.getpid()

    def _renew_locks(self) -> None:
        """After a fork a lock may be held by a thread that only the parent has."""
        if self._process != os.getpid():
            self._locks, self._async_locks, self._guard = {}, {}, threading.Lock()
            self._process = os.getpid()

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none."""
        return self._tokens.get(name)

    def set(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`."""
        self._tokens[name] = token

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        self._renew_locks()
        with self._guard:
            kept = self._tokens.get(name)
            if kept is not None and kept.value == token.value:
                del self._tokens[name]

    def lock(self, name: str) -> Lock:
        """Return the lock under which threads renew the token `name`."""
        self._renew_locks()
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
        """Return the lock under which tasks renew the token `name`."""
        self._renew_locks()
        return self._async_locks.setdefault(name, AsyncLock())

    def __repr__(self) -> str:
        return f"MemoryTokenStore({len(self._tokens)} tokens)"


process_store: MemoryTokenStore = MemoryTokenStore()
"""The store of clients that name none."""


@dataclass
class Failures:
    """What the managers of one token know of attempts to renew it that failed (internal)."""

    count: int = 0  # of this process, for ever: whoever waited meanwhile can tell that there was one
    last: TokenFailure | None = None
    pause_until: float = 0.0  # no early refresh before

    def told(self, failure: TokenFailure) -> None:
        """Remember a failure of this process."""
        self.count += 1
        self.last = failure


_failures: weakref.WeakKeyDictionary[Any, dict[str, Failures]] = weakref.WeakKeyDictionary()


def failures_of(store: TokenStore, name: str) -> Failures:
    """Return what all managers share that keep the token `name` in `store` (internal)."""
    try:
        return _failures.setdefault(store, {}).setdefault(name, Failures())
    except TypeError:  # a store that cannot be referred to weakly: its managers share less
        return Failures()
