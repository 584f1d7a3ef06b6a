"""Redis as the place that workers share: connecting, running scripts, and telling that it is away.

redis-py is used in its sync form only: its asyncio form knows no trio. What waits for Redis does so in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha1
from importlib.util import find_spec
from typing import Any, Literal, Protocol, get_args

from .errors import ConfigurationError, ConfigurationTypeError, SharedStateError
from .types.http import scrub_url

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
        reason = ""
        try:
            return send()
        except Exception as error:
            if not is_outage(error):
                raise
            reason = f"{type(error).__name__}: {error}"
        raise OutageError(reason)  # here, as no error of redis-py shall stand in its context

    def disconnect(self) -> None:
        """Close idle connections of a client that was made here; the next command connects again."""
        if self._is_own:
            client: Any = self._client
            client.connection_pool.disconnect(inuse_connections=False)

    def unusable(self, reason: str, holding: str) -> SharedStateError:
        """Return the error for a call that Redis is needed for.

        Args:
            reason: The text of the `OutageError`.
            holding: What Redis holds for the workers, such as "the slots of all workers".
        """
        return SharedStateError(
            f"Redis at {self.address}, which holds {holding}, cannot be used ({reason}). "
            'Start it, or go on without it while it is away: on_outage="local"'
        )


def connect(given: str | RedisClient, name: str = "url") -> SharedRedis:
    """Return the Redis at a URL, or the one that a ready client is for. Nothing is sent yet.

    A client that is made here gives a server that does not answer up after a second; a ready one is used as it is.

    Args:
        given: `redis://`, `rediss://` (TLS) or `unix://` address, or a `redis.Redis` / `redis.cluster.RedisCluster`.
        name: What the argument is called, for errors.

    Raises:
        ConfigurationError: redis-py is not installed, or `given` is no address of a Redis.
    """
    if find_spec("redis") is None:
        raise ConfigurationError("redis-py is needed and not installed: pip install 'gigachat-sdk[redis]'")
    import redis
    from redis.backoff import NoBackoff
    from redis.cluster import RedisCluster
    from redis.retry import Retry

    if isinstance(given, redis.Redis | RedisCluster):
        client: RedisClient = given
        return SharedRedis(client, _address(given), is_own=False)
    if not isinstance(given, str):
        raise ConfigurationTypeError(
            f"{name}: expected a redis:// address, a redis.Redis or a redis.cluster.RedisCluster, "
            f"got {type(given).__module__}.{type(given).__qualname__}; asyncio's clients know no threads and no trio"
        )
    # One more attempt at once: a server or a firewall closes connections that were idle for long.
    retry = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
    kind: Any = redis.Redis  # `from_url` has no types in all versions
    made: RedisClient | None
    try:
        made = kind.from_url(
            given,
            retry=retry,
            socket_timeout=_SECONDS_TO_ANSWER,
            socket_connect_timeout=_SECONDS_TO_ANSWER,
        )
    except Exception:  # of several kinds; its text has parts of the address in it, the password maybe
        made = None
    if made is None:
        scheme, mark, rest = given.partition("://")
        shown = scrub_url(f"{scheme}{mark}{rest.rpartition('@')[2]}")  # a password may have a slash in it
        raise ConfigurationError(
            f"{name}: {shown!r} is no address of a Redis; they look like 'redis://:password@host:6379/0', "
            "'rediss://...' over TLS, or 'unix:///path'"
        )
    return SharedRedis(made, _address(made), is_own=True)


def _address(client: Any) -> str:
    pool = getattr(client, "connection_pool", None)
    if pool is None:
        node = client.get_default_node()
        return f"{node.host}:{node.port} (a cluster)"
    settings: dict[str, Any] = pool.connection_kwargs
    if "path" in settings:
        return f"unix://{settings['path']}"
    return f"{settings['host']}:{settings.get('port', 6379)}" if "host" in settings else "the address of its client"


def is_outage(error: BaseException) -> bool:
    """Say whether an error means that Redis cannot be used: not there, not ready, or not willing."""
    from redis.exceptions import RedisError

    return isinstance(error, RedisError | OSError)


def text(value: Any) -> str:
    """Return text of an answer, which is `bytes` unless the client decodes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def key_prefix(namespace: Any) -> str:
    """Return what the names of an object's keys begin with: a hash tag, so that a cluster keeps them on one node.

    Raises:
        ConfigurationError: The namespace is empty, or has a brace in it.
    """
    if not isinstance(namespace, str):
        raise ConfigurationTypeError(f"namespace: expected a name, got {type(namespace).__name__}")
    if not namespace or "{" in namespace or "}" in namespace:
        raise ConfigurationError(f"namespace: {namespace!r} cannot begin the names of keys; give a name without braces")
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
