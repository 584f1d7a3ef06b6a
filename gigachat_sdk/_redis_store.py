"""Tokens in Redis, for the processes of many machines; encrypted, under names that tell nothing."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import Any, Final

from pydantic import SecretStr

from ._concurrency import async_ask_in_thread, async_tell_in_thread
from ._constants import TOKEN_FAILURE_MEMORY
from ._deadline import shortened
from ._headers import Hidden
from ._redis import OnOutage, OutageError, RedisClient, Script, check_on_outage, connect, key_prefix
from ._redis_lock import DELETE_IF_SAME, GuardedRedis, RedisLock
from ._sealing import Keys, keys_of
from ._shared_lock import TaskSide
from ._token import Freshness, freshness
from ._token_failures import TokenFailure, failure_document, failure_of
from .errors import ConfigurationError, ConfigurationTypeError
from .types.tokens import AccessToken

_LONGEST_LIFE: Final = 86_400.0  # seconds that a token without an end is kept
_LEASES: Final = (1.0, 300.0)

_KEEP = Script("""
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return redis.call('del', KEYS[2])
""")
# What another program has put there, of another type, is nothing, and will be replaced.
_READ = Script("""
local value = redis.pcall('get', KEYS[1])
return type(value) == 'string' and value or false
""")
_READ_FAILURE = Script("""
local value = redis.pcall('get', KEYS[1])
return {type(value) == 'string' and value or false, redis.call('pttl', KEYS[1])}
""")


class _Entry:
    """What this process knows of one token."""

    def __init__(self, name: str, secret: SecretStr, redis: GuardedRedis, prefix: str, lease: float) -> None:
        self._name, self._secret, self._prefix = name, secret, prefix
        self._keys: Keys | None = None
        self.token: AccessToken | None = None
        self.wanted = 0  # how often it was wanted from Redis itself, and which of these looks it is from
        self.seen = 0
        self._refused = ""
        place = f"redis:{redis.address}:{prefix}:{name}"
        self.lock = RedisLock(redis, place, lambda: self.key("lock"), lease, self.want)

    @property
    def keys(self) -> Keys:
        """How it is encrypted; the first time takes a moment."""
        keys = self._keys
        if keys is None:
            keys = self._keys = keys_of(self._secret, self._name)
        return keys

    def key(self, kind: str) -> str:
        """Return the name of a key in Redis."""
        return f"{self._prefix}{kind}:{self.keys.label}"

    def want(self) -> None:
        """Whoever has the lock has to look into Redis before it buys another token."""
        self.wanted += 1

    def keep(self, token: AccessToken) -> None:
        """Remember a token that was just bought."""
        self.token, self._refused = token, ""

    def found(self, token: AccessToken | None, wanted: int) -> AccessToken | None:
        """Remember what Redis has, unless what is here is better: it may have lost it."""
        here = self.token
        if token is not None and token.value == self._refused:
            token = None
        if token is None or (here is not None and _end(here) > _end(token)):
            token = here
        self.token, self.seen = token, wanted
        return token

    def drop(self, token: AccessToken) -> bool:
        """Forget a token that was refused; return whether that is news."""
        is_news, self._refused = self._refused != token.value, token.value
        here = self.token
        if here is not None and here.value == token.value:
            self.token = None
        return is_news


class RedisTokenStore:
    """Keeps tokens in Redis, so that all processes of all machines that share an account buy one token together.

    What is kept is encrypted (Fernet) with a key that scrypt makes of the credentials; names of keys hold digests that
    need the same effort to guess at. A value that cannot be read is ignored and replaced. Redis is asked when a process
    has no token, when its token is about to end or was refused; never for a request with a token that is fresh.

    Tokens are renewed under a lock in Redis. A worker that is killed meanwhile leaves it behind for `lease` seconds. A
    token endpoint that answers with an error is left in peace by all together. While Redis is away a token that is
    still valid is used on; whoever has none gets what `on_outage` says.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` address, or a `redis.Redis` / `redis.cluster.RedisCluster`. Give
            a ready client a `socket_timeout` and a `socket_connect_timeout`: it has none by itself, and a thread that
            asks a Redis which never answers could wait for ever. (With an address they are 1 s. Tasks end at their
            deadline, and when they are cancelled, in any case.)
        namespace: What the names of all keys begin with, in braces: a cluster keeps them on one node.
        on_outage: What to do without Redis and without a valid token: `"fail"` raises `SharedStateError`; `"local"`
            lets each process buy a token of its own, with a warning, until Redis is back. A wrong setting (a Redis
            that refuses the password, the user's ACL, the number of the database, TLS) is no outage: it is a
            `ConfigurationError` under either policy, until it is mended here or there.
        lease: Seconds after which the lock of a killed worker is free again, 1 to 300.
        clock: Gives the time in Unix seconds.

    Raises:
        ConfigurationError: The extra is not installed, or a setting makes no sense.

    Example:
        >>> store = RedisTokenStore("redis://:password@redis.example.com:6379/0")
        >>> client = Client(token_store=store)
    """

    def __init__(
        self,
        url: str | RedisClient,
        *,
        namespace: str = "gigachat",
        on_outage: OnOutage = "fail",
        lease: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        hidden = Hidden(url=url)
        del url  # it may hold a password
        if find_spec("cryptography") is None:
            raise ConfigurationError("cryptography is needed and not installed: pip install 'gigachat-sdk[redis]'")
        self._redis = GuardedRedis(connect(hidden["url"]), check_on_outage(on_outage))
        self._prefix: str = key_prefix(namespace)
        self._lease: float = _checked_lease(lease)
        self._clock = clock
        self._secret: SecretStr | None = None
        self._sealed: dict[str, RedisTokenStore] = {}
        self._entries: dict[str, _Entry] = {}

    def sealed_with(self, secret: SecretStr) -> RedisTokenStore:
        """Return the same store, encrypted with a key made of `secret`; managers ask for it with the credentials.

        A store that was not asked so makes the keys of the names of tokens.
        """
        digest = hashlib.sha256(secret.get_secret_value().encode()).hexdigest()
        sealed = self._sealed.get(digest)
        if sealed is None:
            made = copy(self)
            made._secret, made._sealed, made._entries = secret, {}, {}
            sealed = self._sealed.setdefault(digest, made)
        return sealed

    def get(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none. Redis is asked unless one is at hand.

        Raises:
            DeadlineError: The deadline of the call came first.
            SharedStateError: Redis is away, there is no valid token here, and the policy says fail.
            ConfigurationError: Redis refuses what it is asked with, and there is no valid token here.
        """
        entry = self._entry(name)
        if self._is_at_hand(entry):
            return entry.token
        shortened(None)  # who has no time left does not ask
        return self._look(entry)

    def set(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name` until it ends; while Redis is away, in this process."""
        entry = self._entry(name)
        entry.keep(token)
        life = _LONGEST_LIFE if token.expires_at is None else token.expires_at - self._clock()
        if life > 0:
            sealed = entry.keys.seal_token(token)
            with suppress(OutageError):  # a warning was logged
                self._redis.run(
                    _KEEP, entry.key("token"), sealed, math.ceil(life * 1000), beside=(entry.key("failure"),)
                )

    def delete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        entry = self._entry(name)
        entry.drop(token)
        with suppress(OutageError):
            sealed = self._redis.run(_READ, entry.key("token"))
            kept = entry.keys.unseal_token(sealed)
            if kept is not None and kept.value == token.value:
                self._redis.run(DELETE_IF_SAME, entry.key("token"), sealed)

    def lock(self, name: str) -> RedisLock:
        """Return the lock under which threads of all workers renew the token `name`."""
        return self._entry(name).lock

    def get_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none; `now` in Unix seconds."""
        entry, answer = self._entry(name), list[Any]([None, 0])
        with suppress(OutageError):
            answer = self._redis.run(_READ_FAILURE, entry.key("failure"))
        failure = failure_of(entry.keys.unseal(answer[0]))
        if failure is None:
            return None
        age = failure.pause + TOKEN_FAILURE_MEMORY - int(answer[1] or 0) / 1000  # by the clock of the server
        return replace(failure, failed_at=now - max(age, 0.0))

    def set_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`; `now` in Unix seconds."""
        entry = self._entry(name)
        sealed = entry.keys.seal(failure_document(failure))
        life = math.ceil((failure.pause + TOKEN_FAILURE_MEMORY) * 1000)
        with suppress(OutageError):
            self._redis.command("SET", entry.key("failure"), sealed, "PX", life)

    async def aget(self, name: str) -> AccessToken | None:
        """Return the token `name`, expired or not; None where there is none. Redis is asked unless one is at hand.

        Raises:
            DeadlineError: The deadline of the call came first.
            SharedStateError: Redis is away, there is no valid token here, and the policy says fail.
            ConfigurationError: Redis refuses what it is asked with, and there is no valid token here.
        """
        entry = self._entry(name)
        return entry.token if self._is_at_hand(entry) else await async_ask_in_thread(partial(self._look, entry))

    async def aset(self, name: str, token: AccessToken) -> None:
        """Keep `token` under `name`, until it ends; while Redis is away, in this process."""
        self._entry(name).keep(token)  # the thread may never start: this task may be cancelled
        await async_tell_in_thread(partial(self.set, name, token))

    async def adelete(self, name: str, token: AccessToken) -> None:
        """Forget the token `name` if it still is `token`."""
        if self._entry(name).drop(token):  # of the many tasks that were refused with it one tells Redis
            await async_tell_in_thread(partial(self.delete, name, token))

    def alock(self, name: str) -> TaskSide:
        """Return the lock under which tasks of all workers renew the token `name`."""
        return TaskSide(self.lock(name))

    async def aget_failure(self, name: str, now: float) -> TokenFailure | None:
        """Return the last failure to buy the token `name`, None where there is none."""
        return await async_ask_in_thread(partial(self.get_failure, name, now))

    async def aset_failure(self, name: str, failure: TokenFailure, now: float) -> None:
        """Note a failure to buy the token `name`."""
        await async_tell_in_thread(partial(self.set_failure, name, failure, now))

    def __repr__(self) -> str:
        return f"RedisTokenStore({self._redis.address!r})"

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            secret = SecretStr(name) if self._secret is None else self._secret
            made = _Entry(name, secret, self._redis, self._prefix, self._lease)
            entry = self._entries.setdefault(name, made)
        return entry

    def _is_at_hand(self, entry: _Entry) -> bool:
        state = freshness(entry.token, self._clock())
        return state is Freshness.FRESH or (state is Freshness.AGEING and entry.seen == entry.wanted)

    def _look(self, entry: _Entry) -> AccessToken | None:
        """Ask Redis."""
        wanted, is_away, sealed = entry.wanted, False, None
        try:
            sealed = self._redis.run(_READ, entry.key("token"))
        except OutageError:
            is_away = True
        if not is_away:
            return entry.found(entry.keys.unseal_token(sealed), wanted)
        entry.seen = wanted
        if self._redis.must_fail and freshness(entry.token, self._clock()) is Freshness.EXPIRED:
            raise self._redis.unusable()
        return entry.token


def _end(token: AccessToken) -> float:
    return math.inf if token.expires_at is None else token.expires_at


def _checked_lease(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ConfigurationTypeError(f"lease: expected seconds, got {type(given).__name__}")
    shortest, longest = _LEASES
    if not shortest <= given <= longest:
        raise ConfigurationError(f"lease: give {shortest:g} to {longest:g} seconds, not {given!r}")
    return float(given)
