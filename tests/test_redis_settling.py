"""When Redis gives out nothing for a while: what it knows is of another time, or nobody could tell it anything."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from redis_account import Account, leave_once_answered, until
from redis_server import RedisServer

from gigachat_sdk import LimiterTimeoutError, RedisLimiter
from gigachat_sdk._redis import connect
from gigachat_sdk._redis_tick import TICK, Answer, Tick

pytestmark = pytest.mark.redis
numbers = count()
ME, OTHER = "f" * 16, "e" * 16
SECOND = 1_000_000


@pytest.fixture
def account(redis_server: RedisServer) -> Account:
    """One whose limit is known for long, to a server that has run for long."""
    redis_server.settle()
    account = Account(redis_server, f"settling-{next(numbers)}")
    account.redis.hset(account.key("state"), "epoch", 1)
    return account


def tick(account: Account, lease: float = 30, before: Callable[[Any], Any] = lambda together: None) -> Answer:
    """Ask for one slot of two, all at one moment of the server's clock; `before` may send something at that moment."""
    told = Tick(ME, 2, lease, False, "", False, True, gone=[], held=[], line=[(f"{ME}:1", 0)], succeeded=0, refused=[])
    keys = [account.key(name) for name in ("state", "held", "waiting", "seen")]
    with account.redis.pipeline(transaction=True) as together:
        before(together)
        for tick in (told._replace(whole=True, line=[], waits=False), told._replace(whole=True)):
            together.eval(TICK.source, len(keys), *keys, *tick.arguments())
        return Answer.read(together.execute()[-1])


# What was when: seconds before, and from, the moment at which it runs.
AS_IT_WAS = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('HSET', KEYS[1], 'ticked', string.format('%.0f', now - ARGV[1] * 1000000))
if ARGV[2] ~= '' then
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[2] * 1000000), ARGV[3])
end
"""


def test_a_server_that_is_the_same_gives_out_at_once(account: Account) -> None:
    for _ in range(2):
        answer = tick(account)
        assert (answer.mine, answer.quiet) == ({f"{ME}:1"}, 0)
    assert account.redis.hget(account.key("state"), "server") == account.redis.info("server")["run_id"]


def test_data_of_another_server_are_waited_with(account: Account) -> None:
    account.redis.hset(account.key("state"), "server", "0" * 40)
    answer = tick(account)
    assert answer.mine == set()
    assert 1 < answer.quiet <= 1.5
    until(lambda: tick(account).quiet < answer.quiet)  # which ends


def test_a_restart_with_old_data_gives_nothing_out_before_all_have_told_what_they_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with RedisServer("--save", "3600 1000", "--dbfilename", "old.rdb") as server:
        server.skip_settling()
        account = Account(server, "gigachat")
        holder, stranger = RedisLimiter(server.url, 1), RedisLimiter(server.url, 1, timeout=0.7)
        holder.acquire().release()
        until(lambda: account.held() == 0)
        server.client.save()
        slot = holder.acquire()
        server.stop()
        server.start()
        assert server.client.hget(account.key("state"), "epoch") == "1"
        leave_once_answered(monkeypatch, stranger)
        with pytest.raises(LimiterTimeoutError, match=r"was just started, .* gives out none for [0-3]\.\d s more"):
            stranger.acquire()
        until(lambda: account.held() == 1)
        assert account.redis.zrange(account.key("held"), 0, -1) == list(holder._keeper.buckets["*"].held)
        slot.release()


@pytest.mark.parametrize(
    ("silent", "ends", "lease", "quiet"),
    [
        (31, -1, 30, 1.5),  # stood still, and all leases are over
        (29.5, 0.5, 30, 1.5),  # nearly all of them
        (0.7, -0.1, 1, 1.5),  # a short lease
        (20, 10, 30, 0),  # a process was killed; its lease goes on
        (1, -0.1, 30, 0),  # others have spoken: it could have been renewed
        (0.3, -0.1, 1, 0),
        (3600, None, 30, 0),  # nobody held anything
    ],
)
def test_whoever_could_not_renew_his_lease_is_waited_for(
    account: Account, silent: float, ends: float | None, lease: float, quiet: float
) -> None:
    keys, given = [account.key("state"), account.key("held")], [silent, "" if ends is None else ends, f"{OTHER}:1"]
    answer = tick(account, lease, before=lambda together: together.eval(AS_IT_WAS, len(keys), *keys, *given))
    assert quiet - 0.3 < answer.quiet <= quiet
    assert answer.mine == (set() if quiet else {f"{ME}:1"})


def test_a_clock_that_is_set_back_changes_nothing(account: Account) -> None:
    now, ahead = account.now(), 600 * SECOND
    clock = {"epoch": now + ahead, "clock": now + ahead, "quiet_until": now + ahead, "ticked": now + ahead}
    account.redis.hset(account.key("state"), mapping=clock)
    account.redis.zadd(account.key("held"), {f"{OTHER}:1": now + ahead + 20 * SECOND})
    account.redis.zadd(account.key("seen"), {OTHER: now + ahead - 2 * SECOND})
    account.redis.zadd(account.key("waiting"), {f"{OTHER}:2": 1})  # died before
    answer = tick(account)
    assert (answer.mine, answer.held, answer.quiet) == ({f"{ME}:1"}, 2, 0)
    assert account.waiting() == 0
    ends = account.redis.zscore(account.key("held"), f"{OTHER}:1")
    assert now + 20 * SECOND <= ends < now + 25 * SECOND


def test_another_epoch_is_not_waited_for_until_the_clock_is_there_again(account: Account) -> None:
    account.redis.hset(account.key("state"), "epoch", account.now() + 600 * SECOND)
    told = Tick(ME, 2, 30, False, "2", False, False, gone=[], held=[], line=[], succeeded=0, refused=[])
    keys = [account.key(name) for name in ("state", "held", "waiting", "seen")]
    answer = Answer.read(connect(account.server.url).run(TICK, keys, told.arguments()))
    assert 2 < answer.quiet <= 3
