"""How many requests a whole fleet of workers has in flight: the limiter that counts in Redis."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ._concurrency import AsyncSignal, LoopRef, Signal, asyncio_loop
from ._deadline import DeadlineError, shortened
from ._headers import Hidden
from ._quota import EVERY_MODEL, check_limits, limit_name
from ._redis import OnOutage, OutageError, RedisClient, check_on_outage, connect, key_prefix
from ._redis_bucket import Bucket, RedisSlot, Settings, Waiter
from ._redis_keeper import Keeper
from .errors import ConfigurationError, ConfigurationTypeError, LimiterTimeoutError
from .limits import check_wait

_LEASES = (1.0, 3600.0)


class RedisLimiter:
    """Lets no more than `n` requests be in flight at a time, in all processes that use one Redis together.

    First come, first served over the whole fleet, by the clock of the server; threads, tasks, sync and async clients
    of a process share one limiter. Make it once a process, with the same `n` and `namespace` everywhere: each process
    goes by its own `n`, and logs a warning once where another one that is at work has a different one. Needs the extra
    `redis`, and Redis 6 or newer, or Valkey; a cluster will do. One thread a process, which runs while there is
    something to do, speaks with Redis; giving a slot back never waits for it.

    The slots of an event loop of asyncio that is closed while its tasks hold them come back within a second or so.
    A process that is killed holds its slots until their lease is over, and loses its places in the line after a
    second. Where a process stands still for longer than the lease, others get its slots although its requests may
    still be in flight. A Redis that knows nothing of a limit (the first time, after a day without requests, after
    `FLUSHALL`) gives out none of its slots for 1.5 seconds, for three where somebody has known the limit before, and
    for up to four where it was just started, with its data or without: all processes tell it meanwhile what they hold.
    It also waits for 1.5 seconds where it has stood still until leases ended. A `timeout` should be longer than that.

    Args:
        url: `redis://`, `rediss://` (TLS) or `unix://` address; or a ready `redis.Redis` or
            `redis.cluster.RedisCluster`, which is used as it is: give it timeouts, or an unreachable Redis hangs.
        n: How many requests; or limits by model, as in `{"GigaChat-2-Max": 2, "*": 10}`. A model that is named has
            its own limit, and its requests do not count among those of `"*"`, which stands for all others; without
            `"*"` nothing limits the others. The version after a colon in a model's name does not count.
        lease: Seconds after which the slots of a killed process come back, 1 to 3600.
        timeout: Seconds that a request waits for a slot, the way to Redis and back included; None for as long as it
            takes (a `deadline` ends that too).
        namespace: What the names of the keys begin with; limiters of one namespace count together.
        on_outage: What happens while Redis cannot be used. `"fail"`: whoever waits or comes gets a
            `SharedStateError` at once, and requests in flight go on. `"local"`: a warning is logged, and each process
            limits itself to `local_limit`, so that the fleet may have up to `n` and `local_limit` times the number of
            processes in flight. Either way it recovers by itself, within a second or so. A wrong setting (a Redis
            that refuses the password, the user's ACL, the number of the database, TLS) is no outage: it is a
            `ConfigurationError` under either policy, until it is mended here or there.
        local_limit: How many requests a process may have in flight while Redis cannot be used; or limits by model,
            1 where none is given. What it already has in flight counts.
        adaptive: Whether a 429 of the service halves the limit in use for the whole fleet, which successes widen
            again slowly, up to `n`.

    Raises:
        ConfigurationError: redis-py is not installed, an address that is none, a limit under 1, a lease or a timeout
            that is no time, or a policy that there is not.

    Example:
        >>> limiter = RedisLimiter("redis://localhost:6379/0", 10, timeout=60)
        >>> client = Client(limiter=limiter)
    """

    def __init__(
        self,
        url: str | RedisClient,
        n: int | Mapping[str, int],
        lease: float = 30,
        timeout: float | None = None,
        *,
        namespace: str = "gigachat",
        on_outage: OnOutage = "fail",
        local_limit: int | Mapping[str, int] = 1,
        adaptive: bool = False,
    ) -> None:
        hidden = Hidden(url=url)
        del url  # it may hold a password
        limits = check_limits("n", n)
        local_limits = check_limits("local_limit", local_limit)
        self._timeout = check_wait("timeout", timeout)
        self._settings = Settings(
            redis=connect(hidden["url"]),
            prefix=key_prefix(namespace),
            limits=limits,
            local_limits={name: local_limits.get(limit_name(local_limits, name) or "", 1) for name in limits},
            lease=_check_lease(lease),
            on_outage=check_on_outage(on_outage),
            is_adaptive=adaptive,
        )
        self._keepers: dict[int, Keeper] = {}

    @property
    def limits(self) -> Mapping[str, int]:
        """The limits by model; `"*"` stands for every model that is not named."""
        return dict(self._settings.limits)

    @property
    def held(self) -> int:
        """How many slots this process holds now."""
        return sum(bucket.in_use for bucket in self._keeper.buckets.values())

    @property
    def waiting(self) -> int:
        """How many requests of this process wait for a slot now."""
        return sum(bucket.waiting for bucket in self._keeper.buckets.values())

    def acquire(self, model: str | None = None) -> RedisSlot:
        """Wait for a slot for a request to `model` (None for requests that name none), in a thread.

        Raises:
            LimiterTimeoutError: None became free in time.
            SharedStateError: Redis cannot be used, and the policy is `"fail"`.
            ConfigurationError: Redis refuses what it is asked with, such as the password.
        """
        bucket = self._bucket(model)
        if bucket is None:
            return RedisSlot(None, "", 0, has_waited=False)
        seconds, signal = shortened(self._timeout), Signal()
        waiter = self._enter(bucket, signal)
        try:
            signal.wait(seconds)
        except BaseException:
            _give_up(waiter)
            raise
        return self._slot_of(waiter, seconds)

    async def aacquire(self, model: str | None = None) -> RedisSlot:
        """Wait for a slot for a request to `model`, in a task.

        Raises:
            LimiterTimeoutError: None became free in time.
            SharedStateError: Redis cannot be used, and the policy is `"fail"`.
            ConfigurationError: Redis refuses what it is asked with, such as the password.
        """
        bucket = self._bucket(model)
        if bucket is None:
            return RedisSlot(None, "", 0, has_waited=False)
        seconds, signal = shortened(self._timeout), AsyncSignal()
        waiter = self._enter(bucket, signal, asyncio_loop())
        try:
            await signal.wait(seconds)
        except BaseException:
            _give_up(waiter)
            raise
        return self._slot_of(waiter, seconds)

    @property
    def _keeper(self) -> Keeper:
        """The one of this process: in the child of a fork slots, waiters and the thread are the parent's."""
        process = os.getpid()
        return self._keepers.get(process) or self._keepers.setdefault(process, Keeper(self._settings))

    def _bucket(self, model: str | None) -> Bucket | None:
        name = limit_name(self._settings.limits, model)
        return None if name is None else self._keeper.buckets[name]

    def _enter(self, bucket: Bucket, signal: Signal | AsyncSignal, loop: LoopRef | None = None) -> Waiter:
        waiter = Waiter(bucket, signal, loop)
        try:
            self._keeper.enter(waiter)
        except BaseException:
            _give_up(waiter)
            raise
        return waiter

    def _slot_of(self, waiter: Waiter, seconds: float | None) -> RedisSlot:
        bucket, outcome = waiter.bucket, waiter.leave()
        if isinstance(outcome, OutageError):
            raise self._settings.redis.unusable(outcome, "the slots of all workers")
        if outcome is not None:
            return outcome
        if self._timeout is None or seconds != self._timeout:
            raise DeadlineError
        raise LimiterTimeoutError(self._no_slot(bucket, self._timeout))

    def _no_slot(self, bucket: Bucket, seconds: float) -> str:
        among = "" if bucket.name == EVERY_MODEL else f" for {bucket.name}"
        known, others, redis = bucket.known, bucket.waiting, f"Redis at {self._settings.redis.address}"
        if not known.epoch:
            reason = f"{redis} has not answered yet"
        elif known.quiet:
            reason = (
                f"{redis} is new to this limit, was just started, stood still or has lost its data, and gives out none "
                f"for {known.quiet:.1f} s more, until all processes have told which slots they hold; "
                "give a longer timeout"
            )
        else:
            reason = f"{known.held} of {known.places} {'is' if known.held == 1 else 'are'} held in all processes"
            if others:
                reason += f", and {others} other request{' waits' if others == 1 else 's wait'} in this one"
            reason += "; a stream holds its slot until it is closed"
        return f"no slot{among} became free in {seconds:g} s: {reason}"

    def __repr__(self) -> str:
        limits = ", ".join(f"{name}: {limit}" for name, limit in self._settings.limits.items())
        return f"RedisLimiter({self._settings.redis.address!r}, {limits}; {self.held} held, {self.waiting} waiting)"


def _give_up(waiter: Waiter) -> None:
    outcome = waiter.leave()
    if isinstance(outcome, RedisSlot):  # it came at the same moment
        outcome.release()


def _check_lease(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ConfigurationTypeError(f"lease: expected seconds, got {type(given).__name__}")
    shortest, longest = _LEASES
    if not shortest <= given <= longest:
        raise ConfigurationError(f"lease: {given!r} s is no lease; give {shortest:g} to {longest:g} seconds")
    return float(given)
