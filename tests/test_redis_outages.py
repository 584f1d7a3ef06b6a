"""Redis goes away and comes back: the policy holds, and nobody has to do anything."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anyio.lowlevel
import pytest
import redis
from redis_account import Account, leave_once_answered, until
from redis_server import PASSWORD, RedisServer

import gigachat_sdk._redis_keeper as keeper_module
from gigachat_sdk import ConfigurationError, LimiterTimeoutError, RedisLimiter, SharedStateError

pytestmark = pytest.mark.redis
HELD = "{gigachat}:limit:*:held"
STATE = "{gigachat}:limit:*:state"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A server that the test may stop."""
    with RedisServer() as running:
        running.skip_settling()
        yield running


@pytest.fixture
def nobody() -> Iterator[RedisServer]:
    """A server that does not run yet."""
    with RedisServer() as running:
        running.stop()
        yield running


class Waiting(threading.Thread):
    """Somebody who waits for a slot."""

    def __init__(self, limiter: RedisLimiter) -> None:
        super().__init__(daemon=True)
        self.limiter = limiter
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        try:
            self.outcome = self.limiter.acquire()
        except Exception as error:
            self.outcome = error

    def result(self) -> Any:
        self.join(60)
        return self.outcome


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "gigachat_sdk"]


def test_whoever_waits_or_comes_is_told_at_once(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    limiter = RedisLimiter(server.url, 1)
    slot = limiter.acquire()
    waiting = [Waiting(limiter) for _ in range(3)]
    until(lambda: server.client.zcard("{gigachat}:limit:*:waiting") == 3)
    server.stop()
    errors = [waiter.result() for waiter in waiting] + [Waiting(limiter).result() for _ in range(3)]
    for error in errors:
        assert isinstance(error, SharedStateError)
        assert str(error).startswith(
            f"Redis at {server.address}, which holds the slots of all workers, cannot be used ("
        )
        assert PASSWORD not in str(error)
        assert error.__cause__ is error.__context__ is None
    assert len({id(error) for error in errors}) == 6
    assert limiter.held == 1  # the request in flight goes on

    server.start()
    impatient = RedisLimiter(server.url, 1, timeout=0.2)
    until(lambda: server.client.zcard(HELD) == 1)  # told by the one that holds it
    with pytest.raises(LimiterTimeoutError):
        impatient.acquire()
    slot.release()
    until(lambda: server.client.zcard(HELD) == 0)
    with limiter.acquire():
        assert server.client.zcard(HELD) == 1
    assert records(caplog) == [("INFO", f"Redis at {server.address} can be used again")]


@pytest.mark.anyio
async def test_a_task_is_told_too(nobody: RedisServer) -> None:
    limiter = RedisLimiter(nobody.url, 1)
    with pytest.raises(SharedStateError):
        await limiter.aacquire()
    nobody.start()
    nobody.skip_settling()
    slot = None
    while slot is None:
        with suppress(SharedStateError):  # until it is tried again, which it is four times a second
            slot = await limiter.aacquire()
        await anyio.lowlevel.checkpoint()
    slot.release()


def test_each_process_limits_itself(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    options: Any = {"on_outage": "local", "local_limit": {"*": 2}}
    one, other = RedisLimiter(server.url, 3, **options), RedisLimiter(server.url, 3, **options)
    before = [one.acquire() for _ in range(3)]
    waiting = Waiting(other)
    until(lambda: server.client.zcard("{gigachat}:limit:*:waiting") == 1)
    server.stop()
    meanwhile = [waiting.result(), other.acquire()]
    late = Waiting(other)
    until(lambda: other.waiting == 1)
    assert (one.held, other.held) == (3, 2)
    meanwhile.pop(0).release()
    meanwhile.append(late.result())
    late = Waiting(one)  # has more than its local limit already
    until(lambda: one.waiting == 1)
    until(lambda: [level for level, _ in records(caplog)] == ["WARNING"] * 2)
    assert records(caplog)[0][1].startswith(f"Redis at {server.address} cannot be used (")
    assert records(caplog)[0][1].endswith("; until it can, each process limits itself: *: 2 at a time")
    assert PASSWORD not in caplog.text

    server.start()
    until(lambda: [level for level, _ in records(caplog)][2:] == ["INFO"] * 2)
    until(lambda: server.client.zcard(HELD) == 5)  # what was taken meanwhile counts, too
    for slot in [*before, *meanwhile][:2]:
        slot.release()
    until(lambda: server.client.zcard(HELD) == 3)
    assert late.outcome is None
    before[2].release()
    slot = late.result()
    assert server.client.zcard(HELD) == 3
    slot.release()


def test_a_restart_without_data_gives_nothing_out_before_all_have_told_what_they_hold(server: RedisServer) -> None:
    limiter, other = RedisLimiter(server.url, 2), RedisLimiter(server.url, 2)
    slots = [limiter.acquire(), limiter.acquire()]
    server.stop()
    server.start()
    waiting = Waiting(other)
    until(lambda: server.client.exists(STATE))
    epoch, quiet_until = map(int, server.client.hmget(STATE, "epoch", "quiet_until"))
    assert epoch + 1_000_000 < quiet_until <= epoch + 3_000_000
    until(lambda: server.client.zcard(HELD) == 2)
    slots[0].release()
    slot = waiting.result()
    seconds, microseconds = server.client.time()
    assert seconds * 1_000_000 + microseconds >= quiet_until
    assert server.client.zcard(HELD) == 2
    slot.release()


def test_who_gives_up_meanwhile_is_told_why(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.stop()
    server.start()
    limiter = RedisLimiter(server.url, 3, timeout=1)
    leave_once_answered(monkeypatch, limiter)
    with pytest.raises(LimiterTimeoutError) as caught:
        limiter.acquire()
    assert re.fullmatch(
        rf"no slot became free in 1 s: Redis at {re.escape(server.address)} is new to this limit, "
        r"was just started, stood still or has lost its data, "
        r"and gives out none for (?:[0-2]\.\d|3\.0) s more, until all processes have told which slots they hold; "
        "give a longer timeout",
        str(caught.value),
    )


def test_who_gives_up_before_redis_has_answered_is_told_so() -> None:
    class Slow(redis.Redis):
        def execute_command(self, *args: Any, **options: Any) -> Any:
            may_answer.wait(60)
            raise redis.TimeoutError

    may_answer = threading.Event()
    with Slow() as client:
        limiter = RedisLimiter(client, 3, timeout=0.01)
        with pytest.raises(LimiterTimeoutError, match=r"in 0\.01 s: Redis at localhost:6379 has not answered yet$"):
            limiter.acquire()
        may_answer.set()
        until(lambda: limiter._keeper._outage)


def test_data_that_are_deleted_under_way(redis_server: RedisServer) -> None:
    keys = [f"{{deleted}}:limit:*:{name}" for name in ("state", "held")]
    limiter = RedisLimiter(redis_server.url, 1, namespace="deleted")
    with limiter.acquire():
        redis_server.client.delete(*keys)
        until(lambda: redis_server.client.zcard(keys[1]) == 1)
        epoch, quiet_until = map(int, redis_server.client.hmget(keys[0], "epoch", "quiet_until"))
        assert quiet_until == epoch + 3_000_000


def test_whoever_is_new_after_a_loss_waits_for_those_who_hold_slots(redis_server: RedisServer) -> None:
    account = Account(redis_server, "flushed")
    holder, stranger = account.limiter(1), account.limiter(1)
    slot = holder.acquire()
    redis_server.client.delete(*(account.key(name) for name in ("state", "held")))
    waiting = Waiting(stranger)
    until(lambda: account.redis.hget(account.key("state"), "quiet_until"))
    account.redis.hset(account.key("state"), "quiet_until", account.now() + 10**9)  # the holder may stand still
    until(lambda: account.held() == 1)
    assert account.redis.zrange(account.key("held"), 0, -1) == list(holder._keeper.buckets["*"].held)
    assert waiting.outcome is None
    slot.release()
    until(lambda: account.held() == 0)
    assert waiting.outcome is None
    ends = account.now() + 100_000
    account.redis.hset(account.key("state"), "quiet_until", ends)
    with waiting.result():
        assert account.now() >= ends


@pytest.mark.parametrize(("has_known", "pause"), [(False, 1_500_000), (True, 3_000_000)])
def test_what_was_not_there_is_waited_for(redis_server: RedisServer, has_known: bool, pause: int) -> None:
    redis_server.settle()
    account = Account(redis_server, f"new-{has_known}")
    limiter = account.limiter()
    if has_known:
        limiter.acquire().release()
        until(lambda: not limiter._keeper.buckets["*"].is_busy)
    account.redis.delete(account.key("state"))
    waiting = Waiting(limiter)
    until(lambda: account.redis.exists(account.key("state")))
    epoch, quiet_until = map(int, account.redis.hmget(account.key("state"), "epoch", "quiet_until"))
    assert quiet_until == epoch + pause
    account.redis.hset(account.key("state"), "quiet_until", 0)
    waiting.result().release()


def test_keys_of_another_program(redis_server: RedisServer) -> None:
    account = Account(redis_server, "of-another")
    account.redis.set(account.key("held"), "a text")
    with pytest.raises(ConfigurationError, match="has keys of another program under these names"):
        account.limiter().acquire()


def threads_that_cannot_start(monkeypatch: pytest.MonkeyPatch, name: str) -> list[None]:
    """Let the first thread of a name not start."""
    failed = list[None]()

    class Thread(threading.Thread):
        def start(self) -> None:
            if self.name == name and not failed:
                failed.append(None)
                raise RuntimeError("can't start new thread")
            super().start()

    monkeypatch.setattr(keeper_module.threading, "Thread", Thread)
    return failed


def test_a_thread_that_cannot_be_started(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = RedisLimiter(server.url, 1, timeout=30)
    failed = threads_that_cannot_start(monkeypatch, "gigachat-sdk-limiter")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        limiter.acquire()
    assert failed
    assert limiter.waiting == 0
    with limiter.acquire():
        assert limiter.held == 1


def test_redis_is_noticed_though_a_thread_could_not_be_started(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RedisLimiter(server.url, 1, on_outage="local")
    failed = threads_that_cannot_start(monkeypatch, "gigachat-sdk-redis-probe")
    server.stop()
    with limiter.acquire():
        until(lambda: failed)
        server.start()
        until(lambda: server.client.zcard(HELD) == 1)


def test_a_server_that_does_not_tell_its_uptime(redis_server: RedisServer) -> None:
    client = redis_server.client
    client.execute_command("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~*", "+@all", "-info")
    url = f"redis://worker:{PASSWORD}@{redis_server.address}"
    limiter = RedisLimiter(url, 1, timeout=0.1, namespace="secretive")
    with pytest.raises(LimiterTimeoutError):
        limiter.acquire()
    until(lambda: client.exists("{secretive}:limit:*:state"))
    epoch, quiet_until = map(int, client.hmget("{secretive}:limit:*:state", "epoch", "quiet_until"))
    assert quiet_until == epoch + 3_000_000


def test_slots_that_nobody_gave_back_before_the_lease_was_over(server: RedisServer) -> None:
    limiter = RedisLimiter(server.url, 1, 1)
    slot = limiter.acquire()
    server.stop()
    until(lambda: limiter._keeper._outage)
    slot.release()
    until(lambda: not limiter._keeper.buckets["*"].is_busy and not limiter._keeper._prober.is_alive())
    limiter._keeper.buckets["*"].failed = 0.0  # long ago, so that it is tried again
    with pytest.raises(SharedStateError):
        limiter.acquire()


def test_after_a_long_time_redis_is_tried_before_anybody_is_on_his_own(server: RedisServer) -> None:
    limiter = RedisLimiter(server.url, 1, on_outage="local")
    server.stop()
    limiter.acquire().release()
    until(lambda: limiter.held == 0)
    limiter._keeper.buckets["*"].failed = 0.0
    with limiter.acquire():  # it was tried, and is still away
        assert limiter._keeper.buckets["*"].failed > 0.0


def test_a_client_with_an_error_of_its_own(server: RedisServer) -> None:
    class Broken(redis.Redis):
        def execute_command(self, *args: Any, **options: Any) -> Any:
            raise ZeroDivisionError("a bug")

    with Broken.from_url(server.url) as client:
        limiter = RedisLimiter(client, 1)
        with pytest.raises(SharedStateError, match=r"cannot be used \(ZeroDivisionError\('a bug'\)\)"):
            limiter.acquire()


def test_the_end_of_a_program_does_not_wait_for_a_redis_that_is_away(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "FAREWELL", 30.0)
    limiter = RedisLimiter(server.url, 2)
    slot = limiter.acquire()
    keeper = limiter._keeper
    server.stop()
    until(lambda: keeper._outage)
    keeper_module._say_farewell()
    assert limiter.held == 0
    slot.release()
    with pytest.raises(SharedStateError):
        limiter.acquire()  # as a hook that runs later may
    keeper_module._say_farewell()
