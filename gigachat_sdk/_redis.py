"""Redis as the place that workers share: connecting, running scripts, and telling that it is away.

redis-py is used in its sync form only: its asyncio form knows no trio. What waits for Redis does so in a thread.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

from ._headers import Hidden
from ._redis_address import made_client
from ._redis_faults import fault_of
from .errors import ConfigurationError, ConfigurationTypeError, SharedStateError

OnOutage = Literal["fail", "local"]

# Redis answers in a millisecond. One that takes longer than this is away, and callers wait for the news.
_SECONDS_TO_ANSWER = 1.0


class RedisClient(Protocol):
    """What is used of a client of redis-py: `redis.Redis` and `redis.cluster.RedisCluster` have it."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command and return its answer."""
        ...


class OutageError(Exception):
    """Redis cannot be used now (internal; users see a `SharedStateError`, or a warning). Its text is the reason."""

    def again(self) -> OutageError:
        """Return it without a traceback, which would hold frames."""
        return type(self)(*self.args)


class RefusedError(OutageError):
    """Redis is there, and a setting is wrong, so no policy applies. Its text goes on from "Redis at ..."."""


class Script:
    """A Lua script, known to the server by its digest once it has run there."""

    def __init__(self, source: str) -> None:
        self.source: str = source
        self.digest: str = sha1(source.encode(), usedforsecurity=False).hexdigest()


class SharedRedis:
    """A Redis that workers share; safe to use from several threads, and in a child of a fork.

    Args:
        client: A client of redis-py.
        address: Where it is, in words without a secret.
        is_own: Whether it was made here, and may be disconnected.
    """

    def __init__(self, client: RedisClient, address: str, *, is_own: bool) -> None:
        self._client = client
        self._is_own = is_own
        self.address: str = address
        if is_own:
            # Before the sockets are garbage themselves: Python would complain of each.
            weakref.finalize(self, _disconnect, client)

    def __repr__(self) -> str:
        return f"SharedRedis({self.address!r})"  # redis-py's own repr has shown passwords

    def command(self, *args: bytes | str | int | float) -> Any:
        """Send a command and return the answer as redis-py does.

        Raises:
            OutageError: Redis cannot be reached, or refuses.
        """
        return self._do(partial(self._client.execute_command, *args))

    def run(self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int | float]) -> Any:
        """Run a script and return its answer; text in it is `bytes` or `str`, as the client is set: see `text`.

        It may run twice when its answer is lost and the client tries again, so write it to bear that.

        Args:
            script: What to run.
            keys: All keys that it uses, with one hash tag.
            args: What it finds in `ARGV`.

        Raises:
            OutageError: Redis cannot be reached, or refuses.
        """
        return self._do(partial(self._run, script, keys, args))

    def _run(self, script: Script, keys: Sequence[str], args: Sequence[bytes | str | int | float]) -> Any:
        from redis.exceptions import NoScriptError

        try:
            return self._client.execute_command("EVALSHA", script.digest, len(keys), *keys, *args)
        except NoScriptError:  # a server that has just started, or another node of a cluster
            return self._client.execute_command("EVAL", script.source, len(keys), *keys, *args)

    def _do(self, send: Callable[[], Any]) -> Any:
        try:
            return send()
        except Exception as error:
            if not is_outage(error):
                raise
            fault = fault_of(error, self._client)
            outage = RefusedError(fault) if fault else OutageError(f"{type(error).__name__}: {error}")
        raise outage  # here, as no error of redis-py shall stand in its context

    def disconnect(self) -> None:
        """Close idle connections of a client that was made here; the next command connects again."""
        if self._is_own:
            _disconnect(self._client)

    def unusable(self, outage: OutageError, holding: str) -> SharedStateError | ConfigurationError:
        """Return the error for a call that Redis is needed for.

        Args:
            outage: Why it cannot be used.
            holding: What Redis holds for the workers, such as "the slots of all workers".
        """
        if isinstance(outage, RefusedError):
            return ConfigurationError(f"Redis at {self.address} {outage}")
        return SharedStateError(
            f"Redis at {self.address}, which holds {holding}, cannot be used ({outage}). "
            'Start it, or go on without it while it is away: on_outage="local"'
        )


def _disconnect(client: Any) -> None:
    client.connection_pool.disconnect(inuse_connections=False)


def connect(given: str | RedisClient, name: str = "url") -> SharedRedis:
    """Return the Redis at a URL, or the one that a ready client is for. Nothing is sent yet.

    A client that is made here gives a server that does not answer up after a second; a ready one is used as it is.

    Args:
        given: `redis://`, `rediss://` (TLS) or `unix://` address, or a `redis.Redis` / `redis.cluster.RedisCluster`.
        name: What the argument is called, for errors.

    Raises:
        ConfigurationError: redis-py is not installed, or `given` is no address of a Redis.
    """
    hidden = Hidden(address=given)
    del given  # it may hold a password
    if find_spec("redis") is None:
        raise ConfigurationError("redis-py is needed and not installed: pip install 'gigachat-sdk[redis]'")
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    if isinstance(hidden["address"], redis.Redis | RedisCluster):
        return SharedRedis(hidden["address"], _address(hidden["address"]), is_own=False)
    if not isinstance(hidden["address"], str):
        raise ConfigurationTypeError(
            f"{name}: expected a redis:// address, a redis.Redis or a redis.cluster.RedisCluster, "
            f"got {_kind(hidden['address'])}; asyncio's clients know no threads and no trio"
        )
    # One more attempt at once: a server or a firewall closes connections that were idle for long.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    made = made_client(
        hidden, name, retry=retry, socket_timeout=_SECONDS_TO_ANSWER, socket_connect_timeout=_SECONDS_TO_ANSWER
    )
    return SharedRedis(made, _address(made), is_own=True)


def _kind(given: object) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"


def _address(client: Any) -> str:
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        node = client.get_default_node()
        return f"{node.host}:{node.port} (a cluster)"
    settings: dict[str, Any] = pool.connection_kwargs
    if "path" in settings:
        return f"unix://{settings['path']}"
    if "host" not in settings and hasattr(pool, "service_name"):
        return f"the address that Sentinel has for {pool.service_name}"
    return f"{settings.get('host', 'localhost')}:{settings.get('port', 6379)}"


def at_end_of_child(farewell: Callable[[], None]) -> None:
    """Have something done when this process ends, should it be a child of `multiprocessing` or `billiard` (Celery).

    Those end with `os._exit`, which knows no `atexit`. Call it in that process; once counts.
    """
    for name in ("multiprocessing.util", "billiard.util"):
        library: Any = sys.modules.get(name)
        if library is not None and _at_end.get((name, farewell)) != os.getpid():
            _at_end[name, farewell] = os.getpid()
            library.Finalize(None, farewell, exitpriority=100)


_at_end: dict[tuple[str, Callable[[], None]], int] = {}


def is_outage(error: BaseException) -> bool:
    """Say whether an error means that Redis cannot be used: not there, not ready, or not willing."""
    from redis.exceptions import RedisClusterException, RedisError

    return isinstance(error, RedisError | RedisClusterException | OSError)


def text(value: Any) -> str:
    """Return text of an answer, which is `bytes` unless the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def key_prefix(namespace: Any) -> str:
    """Return what the names of an object's keys begin with: a hash tag, so that a cluster keeps them on one node.

    Raises:
        ConfigurationError: The namespace is empty, or has a brace or a lone surrogate in it.
    """
    if not isinstance(namespace, str):
        raise ConfigurationTypeError(f"namespace: expected a name, got {type(namespace).__name__}")
    if not namespace or any("\ud800" <= letter <= "\udfff" or letter in "{}" for letter in namespace):
        raise ConfigurationError(
            f"namespace: {namespace!r} cannot begin the names of keys; give a name without braces and surrogates"
        )
    return f"{{{namespace}}}:"


def check_on_outage(given: Any) -> OnOutage:
    """Return the policy for times without Redis.

    Raises:
        ConfigurationError: There is none of that name.
    """
    if given not in get_args(OnOutage):
        raise ConfigurationError(f'on_outage: {given!r} is no policy; give "fail" or "local"')
    policy: OnOutage = given
    return policy
