"""The thread that speaks with Redis for a limiter, and does what the policy says while Redis is away."""

from __future__ import annotations

import atexit
import os
import secrets
import threading
import time
import weakref
from contextlib import suppress

from ._logging import logger
from ._redis import OutageError, RefusedError, at_end_of_child
from ._redis_bucket import Bucket, Settings, Waiter
from ._redis_tick import PROCESS_NAME_LENGTH, TICK, Answer

RETRY = 0.25  # seconds between two attempts while Redis is away
NEWS = 2.0  # seconds for which a failure stands for those who come later: longer than an attempt takes
LINGER = 2.0  # seconds without anything to do after which the thread ends, and its connection is closed
FAREWELL = 1.0  # seconds that the end of the program waits for slots to be given back


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


class Keeper:
    """Speaks with Redis for one limiter in one process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name: str = secrets.token_hex(PROCESS_NAME_LENGTH // 2)
        self.process: int = os.getpid()
        self._alarm = threading.Lock()  # locked while there is no news; a primitive, so that waking takes no lock
        self._alarm.acquire()
        self._starting = threading.Lock()
        self._has_left = threading.Lock()
        self._has_left.acquire()
        self._thread: threading.Thread | None = None
        self._prober: threading.Thread | None = None
        self._is_leaving = self._has_warned = False
        self.buckets: dict[str, Bucket] = {
            name: Bucket(settings, name, self.name, self.wake) for name in settings.limits
        }
        _keepers.add(self)
        at_end_of_child(_say_farewell)

    def wake(self) -> None:
        """Say that there is news."""
        with suppress(RuntimeError):  # it was said already
            self._alarm.release()

    def enter(self, waiter: Waiter) -> None:
        """Take somebody into the line.

        Raises:
            RuntimeError: There are too many threads; he has to leave.
        """
        waiter.bucket.arrivals.append(waiter)
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="gigachat-sdk-limiter", daemon=True)
                thread.start()
                self._thread = thread  # only now, as there may be too many threads
        self.wake()

    def say_farewell(self, seconds: float) -> None:
        """Give everything back, as the program ends."""
        if self._thread is not None and self.process == os.getpid():
            self._is_leaving = True
            self.wake()
            self._has_left.acquire(timeout=seconds)

    # ---- in the thread ----

    def _run(self) -> None:
        pause = LINGER
        while self._alarm.acquire(timeout=pause) or not self._has_ended():
            now = time.monotonic()
            for bucket in self.buckets.values():
                bucket.take_in(now)
            if self._is_leaving:
                self._give_all_back(now)
            pause = min(self._pause(), self._manage_without(now))

    def _has_ended(self) -> bool:
        with self._starting:
            if any(bucket.is_busy for bucket in self.buckets.values()):
                return False
            self._thread = None
        self.settings.redis.disconnect()
        return True

    def _pause(self) -> float:
        """Tell what there is to tell; return the seconds until there is more."""
        pauses = [LINGER]
        for bucket in self.buckets.values():
            if bucket.is_back:
                bucket.tell_all()
            elif bucket.outage is not None:
                continue
            now = time.monotonic()
            if (bucket.is_busy or bucket.is_back) and bucket.next_tick <= now:
                self._tell(bucket, now)
            if bucket.is_busy and bucket.outage is None:
                pauses.append(max(0.0, bucket.next_tick - now))
        return min(pauses)

    def _tell(self, bucket: Bucket, now: float) -> None:
        tick = bucket.tick(now)
        try:
            answer = Answer.read(self.settings.redis.run(TICK, bucket.keys, tick.arguments()))
            bucket.apply(tick, answer, time.monotonic())
        except Exception as error:  # whatever it is, nobody else could tell those who wait
            outage = _outage_of(error)
            # A refusal may concern this limit's keys only; those of the others are refused when they are told of.
            for affected in [bucket] if isinstance(outage, RefusedError) else self.buckets.values():
                _note_failure(affected, outage)
        else:
            if bucket.outage is not None:
                self._note_recovery(bucket)

    def _give_all_back(self, now: float) -> None:
        for bucket in self.buckets.values():
            bucket.leave_all()
            if bucket.gone and bucket.outage is None:
                self._tell(bucket, now)
        self._is_leaving = False
        self._has_left.release()

    # ---- while Redis is away ----

    @property
    def _outage(self) -> OutageError | None:
        """What keeps a limit from Redis: one that concerns them all, if there is one."""
        outages = [bucket.outage for bucket in self.buckets.values() if bucket.outage is not None]
        return min(outages, key=lambda outage: isinstance(outage, RefusedError), default=None)

    def _note_recovery(self, bucket: Bucket) -> None:
        before = type(self._outage)
        bucket.outage, bucket.is_back = None, False
        if type(self._outage) is not before:
            self._has_warned = False
            logger.info("Redis at %s can be used again", self.settings.redis.address)

    def _warn_once(self, outage: OutageError) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Redis at %s cannot be used (%s); until it can, each process limits itself: %s at a time",
                self.settings.redis.address,
                outage,
                ", ".join(f"{name}: {bucket.local_limit}" for name, bucket in self.buckets.items()),
            )

    def _manage_without(self, now: float) -> float:
        """Do what the policy says for those who wait; return the seconds until it has to be done again."""
        for bucket in self.buckets.values():
            if bucket.outage is not None:
                self._manage(bucket, bucket.outage, now)
        if not self._is_probe_wanted():
            return LINGER
        if self._prober is None or not self._prober.is_alive():
            prober = threading.Thread(target=self._probe, name="gigachat-sdk-redis-probe", daemon=True)
            with suppress(RuntimeError):  # too many threads: later, then
                prober.start()
                self._prober = prober
        return RETRY

    def _manage(self, bucket: Bucket, outage: OutageError, now: float) -> None:
        must_fail = self.settings.on_outage == "fail" or isinstance(outage, RefusedError)
        if not must_fail:
            self._warn_once(outage)
        if now - bucket.began > self.settings.lease:
            bucket.gone.clear()  # their leases are over
        for waiter in list(bucket.waiters.values()):
            if bucket.failed + NEWS < waiter.arrived:
                break  # it may be back by now: let it be tried
            if must_fail:
                bucket.refuse(waiter, outage)
            elif len(bucket.held) < bucket.local_limit:
                bucket.give(waiter, 0)
            else:
                waiter.has_waited = True

    # ---- in a thread of its own, as each attempt may take its time ----

    def _is_probe_wanted(self) -> bool:
        return any(bucket.is_busy for bucket in self.buckets.values() if bucket.outage is not None)

    def _probe(self) -> None:
        """Try until Redis is back, or nobody needs it."""
        pause = threading.Event()
        while self._is_probe_wanted():
            self._try_again()
            self.wake()
            pause.wait(RETRY)

    def _try_again(self) -> None:
        """Say of each limit that Redis cannot be used for whether it seems to be back."""
        away = [bucket for bucket in self.buckets.values() if bucket.outage is not None and not bucket.is_back]
        for bucket in away:
            outage = self._ask(bucket)
            if outage is None:
                bucket.is_back = True
            elif isinstance(outage, RefusedError):
                _note_failure(bucket, outage)
            else:  # which takes its time, and concerns all of them
                for affected in away:
                    _note_failure(affected, outage)
                return

    def _ask(self, bucket: Bucket) -> OutageError | None:
        try:
            self.settings.redis.run(TICK, bucket.keys, bucket.sign_of_life().arguments())
        except Exception as error:
            return _outage_of(error)
        return None


def _outage_of(error: Exception) -> OutageError:
    return error.again() if isinstance(error, OutageError) else OutageError(repr(error))


def _note_failure(bucket: Bucket, outage: OutageError) -> None:
    bucket.failed = time.monotonic()
    if bucket.outage is None:
        bucket.began = bucket.failed
    bucket.outage, bucket.is_back = outage, False


@atexit.register
def _say_farewell() -> None:
    ends = time.monotonic() + FAREWELL
    for keeper in list(_keepers):
        keeper.say_farewell(max(0.0, ends - time.monotonic()))
