"""A lock in Redis: held by one worker of a fleet, and free again some seconds after that worker was killed."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from ._logging import logger
from ._redis import OnOutage, OutageError, RefusedError, Script, SharedRedis, at_end_of_child
from ._shared_lock import SharedLock
from .errors import ConfigurationError, SharedStateError

HOLDING: Final = "the tokens of all workers"
_LONG: Final = 0.1  # an outage that takes longer than this to notice is not looked for again at once
_BREATH: Final = 1.0

# That a lock is one's own already bears that the answer was lost, and the script sent twice.
# One that never ends is nobody's: it was written by another hand.
_TAKE = Script("""
local holder = redis.pcall('get', KEYS[1])
if type(holder) == 'string' and holder ~= ARGV[1] and redis.call('pttl', KEYS[1]) >= 0 then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
return 1
""")
_RENEW = Script("""
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('pexpire', KEYS[1], ARGV[2]) end
return 0
""")
DELETE_IF_SAME = Script("""
if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end
return 0
""")


class GuardedRedis:
    """A Redis that may be away: tells so once, and is not asked by each caller when asking takes long.

    Args:
        redis: Where to ask.
        policy: What is done meanwhile.
    """

    def __init__(self, redis: SharedRedis, policy: OnOutage) -> None:
        self._redis = redis
        self.policy: OnOutage = policy
        self._is_away = False
        self._outage = OutageError("")  # the last one
        self._told: type[OutageError] | None = None  # what kind of them was logged
        self._silent_until = 0.0

    def command(self, *args: bytes | str | int | float) -> Any:
        """Send a command.

        Raises:
            OutageError: Redis is away, or was a moment ago.
        """
        return self._ask(lambda: self._redis.command(*args))

    def run(self, script: Script, key: str, *args: bytes | str | int | float, beside: tuple[str, ...] = ()) -> Any:
        """Run a script on `key`, and on those `beside` it.

        Raises:
            OutageError: Redis is away, or was a moment ago.
        """
        return self._ask(lambda: self._redis.run(script, (key, *beside), args))

    def _ask(self, ask: Callable[[], Any]) -> Any:
        began = time.monotonic()
        if began < self._silent_until:
            raise self._outage.again()
        try:
            answer = ask()
        except OutageError as error:
            now, self._outage = time.monotonic(), error.again()
            if now - began > _LONG:
                self._silent_until = now + _BREATH
            self._is_away = True
            if self._told is not type(error):
                self._told = type(error)
                logger.warning(
                    "Redis at %s %s: tokens are used on until they end, and then %s",
                    self._redis.address,
                    error if isinstance(error, RefusedError) else f"cannot be used ({error})",
                    "none can be bought" if self.must_fail else "each process buys its own",
                )
            raise
        if self._is_away:
            self._is_away, self._told = False, None
            logger.warning("Redis at %s can be used again", self._redis.address)
        return answer

    @property
    def must_fail(self) -> bool:
        """Whether nobody may go on alone in this outage: the policy says so, or it is a wrong setting."""
        return self.policy == "fail" or isinstance(self._outage, RefusedError)

    def unusable(self) -> SharedStateError | ConfigurationError:
        """Return the error for whoever needs Redis now."""
        return self._redis.unusable(self._outage, HOLDING)

    @property
    def address(self) -> str:
        """Where it is, in words without a secret."""
        return self._redis.address


class Keeper(threading.Thread):
    """Holds a lock in Redis for as long as it is needed, and then gives it back.

    Args:
        redis: Where the lock is.
        key: Its key there.
        holder: Its value, which is nobody else's.
        lease: Seconds after which it is free when this process was killed.
        is_abandoned: Says whether its holder will never give it back.
    """

    running: Final[set[Keeper]] = set()

    def __init__(
        self, redis: GuardedRedis, key: str, holder: str, lease: float, is_abandoned: Callable[[], bool]
    ) -> None:
        super().__init__(name="gigachat-sdk token lock", daemon=True)
        self._redis, self._key, self._holder, self._lease = redis, key, holder, lease
        self._is_abandoned = is_abandoned
        self._is_over = threading.Event()
        self.process: int = os.getpid()

    def run(self) -> None:
        """Renew the lease until told to finish."""
        try:
            while not self._is_over.wait(self._lease / 3) and not self._is_abandoned():
                with suppress(OutageError):
                    self._redis.run(_RENEW, self._key, self._holder, int(self._lease * 1000))
            with suppress(OutageError):  # the lease ends by itself
                self._redis.run(DELETE_IF_SAME, self._key, self._holder)
        finally:
            Keeper.running.discard(self)

    def begin(self) -> None:
        """Start.

        Raises:
            RuntimeError: There are too many threads; the lock was given back.
        """
        at_end_of_child(_finish_all)
        Keeper.running.add(self)
        try:
            self.start()
        except BaseException:  # too many threads
            Keeper.running.discard(self)
            with suppress(OutageError):
                self._redis.run(DELETE_IF_SAME, self._key, self._holder)
            raise

    def finish(self) -> None:
        """Have the lock given back; this does not wait for it."""
        self._is_over.set()


@dataclass
class Hold:
    """The lock is held: in Redis, by a keeper; or only in this process, while Redis is away and the policy bears it."""

    keeper: Keeper | None = None


class RedisLock(SharedLock[Hold]):
    """A lock between the workers of a fleet.

    Args:
        redis: Where it is.
        place: Names it within this process.
        key: Returns its key in Redis; asked in a thread.
        lease: Seconds after which it is free when its holder was killed.
        taken: Called when it was taken.
    """

    def __init__(
        self, redis: GuardedRedis, place: str, key: Callable[[], str], lease: float, taken: Callable[[], None]
    ) -> None:
        self._redis, self._key, self._lease, self._taken = redis, key, lease, taken
        super().__init__(place)

    def acquire(self, *, wait: bool = True) -> bool:
        """Take the lock; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
            SharedStateError: Redis is away, the lock is needed, and the policy says fail.
            ConfigurationError: Redis refuses what it is asked with, such as the password.
        """
        try:
            return super().acquire(wait=wait)
        except (SharedStateError, ConfigurationError):
            if wait:
                raise
        return False

    async def aacquire(self, *, wait: bool = True) -> bool:
        """Take the lock for this task; without `wait` only if it is free now. Return whether it was taken.

        Raises:
            DeadlineError: The deadline of the call came first.
            SharedStateError: Redis is away, the lock is needed, and the policy says fail.
            ConfigurationError: Redis refuses what it is asked with, such as the password.
        """
        try:
            return await super().aacquire(wait=wait)
        except (SharedStateError, ConfigurationError):
            if wait:
                raise
        return False

    def _take(self) -> Hold | None:
        holder, key, is_away = secrets.token_hex(16), self._key(), False
        is_taken: Any = False
        try:
            is_taken = self._redis.run(_TAKE, key, holder, int(self._lease * 1000))
        except OutageError:
            is_away = True
        if is_away and self._redis.must_fail:
            raise self._redis.unusable()
        if not (is_away or is_taken):
            return None
        self._taken()
        if is_away:
            return Hold()
        keeper = Keeper(self._redis, key, holder, self._lease, self.is_abandoned)
        keeper.begin()
        return Hold(keeper)

    def _give_back(self, held: Hold) -> None:
        if held.keeper is not None:
            held.keeper.finish()

    def _forget(self, held: Hold) -> None:
        """Do nothing: the keeper is a thread of the parent's."""


def _finish_all(seconds: float = 1.0) -> None:
    """Give back, at the end of the process, what its last moments have held."""
    for keeper in list(Keeper.running):
        if keeper.process == os.getpid():
            keeper.finish()
            keeper.join(seconds)


atexit.register(_finish_all)
