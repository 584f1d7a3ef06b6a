"""What is held and waited for when processes die, stand still, fork or end, and when answers are lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis
from redis_account import Account, in_thread, until
from redis_server import RedisServer

import gigachat_sdk._redis_keeper as keeper_module
from gigachat_sdk import LimiterTimeoutError, RedisLimiter, SharedStateError
from gigachat_sdk._redis import OutageError, connect
from gigachat_sdk._redis_tick import TICK, Tick

pytestmark = pytest.mark.redis
numbers = count()


@pytest.fixture
def account(redis_server: RedisServer) -> Account:
    return Account(redis_server, f"leases-{next(numbers)}")


def test_slots_of_a_killed_process_come_back_when_their_lease_ends(account: Account) -> None:
    limiter, tickets, slots = account.limiter(2), [f"{'f' * 16}:{number}" for number in range(2)], list[Any]()
    account.redis.zadd(account.key("held"), dict.fromkeys(tickets, account.now() + 10**9))
    thread = in_thread(lambda: slots.append(limiter.acquire()))
    until(lambda: account.waiting() == 1)
    ends = account.now() + 200_000
    account.redis.zadd(account.key("held"), dict.fromkeys(tickets, ends))
    thread.join()
    assert account.now() >= ends
    with slots.pop() as slot:
        assert slot.has_waited


CHILD = """
import multiprocessing, sys
from gigachat_sdk import RedisLimiter, RedisTokenStore, _redis, _redis_keeper, _redis_lock

url, namespace, method = sys.argv[1:]
_redis._SECONDS_TO_ANSWER = _redis_keeper.FAREWELL = 30.0
_redis_lock._finish_all.__defaults__ = (30.0,)


def work():
    slots.append(RedisLimiter(url, 1, 3600, namespace=namespace).acquire())
    assert RedisTokenStore(url, namespace=namespace).lock("oauth:1").acquire()
    assert store.keys(f"{{{namespace}}}:*:held") and store.keys(f"{{{namespace}}}:lock:*")


import redis
slots, store = [], redis.Redis.from_url(url)
if __name__ == "__main__":
    child = multiprocessing.get_context(method).Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_children_of_multiprocessing_give_back_what_they_hold(account: Account, method: str, tmp_path: Path) -> None:
    account.limiter()
    (tmp_path / "child.py").write_text(CHILD)
    command = [sys.executable, str(tmp_path / "child.py"), account.server.url, account.namespace, method]
    subprocess.run(command, check=True, timeout=180)
    assert account.held() == 0
    assert account.redis.keys(f"{{{account.namespace}}}:lock:*") == []


def test_tickets_of_a_killed_process_are_skipped_and_go(account: Account) -> None:
    account.redis.zadd(account.key("waiting"), {f"{'f' * 16}:{number}": number for number in range(200)})
    with account.limiter(timeout=30).acquire() as slot:
        assert not slot.has_waited
    assert account.waiting() == 0


def test_places_are_kept_for_whoever_came_before_and_is_alive(account: Account) -> None:
    limiter, tickets = account.limiter(2), {f"{'f' * 16}:1": 1, f"{'e' * 16}:1": 2}
    dies = account.now() + 1_200_000  # a second after this process was last seen
    account.redis.zadd(account.key("waiting"), tickets)
    account.redis.zadd(account.key("seen"), {"f" * 16: dies - 1_000_000, "e" * 16: account.now() + 10**9})
    with limiter.acquire():
        assert account.now() >= dies
        assert account.waiting() == 1  # the other one's, whose place is free
        impatient = account.limiter(2, timeout=0.1)
        with pytest.raises(LimiterTimeoutError):
            impatient.acquire()


def test_a_heartbeat_keeps_a_slot_longer_than_its_lease(account: Account) -> None:
    limiter = account.limiter(1, 1)
    with limiter.acquire():
        [(ticket, ends)] = account.redis.zrange(account.key("held"), 0, -1, withscores=True)
        until(lambda: account.redis.zscore(account.key("held"), ticket) > ends + 500_000)
        until(lambda: account.now() > ends)
        assert account.redis.zscore(account.key("held"), ticket) is not None


def test_what_redis_forgets_of_the_waiting_is_told_again(account: Account) -> None:
    limiter, order = account.limiter(), list[str]()

    def wait(name: str) -> None:
        with limiter.acquire():
            order.append(name)

    slot = limiter.acquire()
    threads = []
    for number, name in enumerate(("first", "second"), 1):
        threads.append(in_thread(lambda name=name: wait(name)))
        until(lambda number=number: account.waiting() == number)
    tickets = account.redis.zrange(account.key("waiting"), 0, -1, withscores=True)
    account.redis.delete(account.key("waiting"), account.key("seen"))
    until(lambda: account.redis.zrange(account.key("waiting"), 0, -1, withscores=True) == tickets)
    slot.release()
    for thread in threads:
        thread.join()
    assert order == ["first", "second"]


def test_an_answer_that_is_lost(account: Account) -> None:
    """The slot was given and nobody was told: it is found at the next tick, or given back when nobody wants it."""
    losing = threading.Event()

    class Lossy(redis.Redis):
        def execute_command(self, *args: Any, **options: Any) -> Any:
            answer = super().execute_command(*args, **options)
            if losing.is_set():
                losing.clear()
                super().execute_command(*args, **options)  # as a client does that tries again by itself
            return super().execute_command(*args, **options) if args[0] == "EVALSHA" else answer

    with Lossy.from_url(account.server.url, decode_responses=True) as client:
        limiter = RedisLimiter(client, 2, namespace=account.namespace)
        losing.set()
        slots = [limiter.acquire() for _ in range(2)]
        assert account.held() == 2
        del slots
        account.redis.zadd(account.key("held"), {f"{limiter._keeper.name}:99": account.now() + 10**9})
        with limiter.acquire(), limiter.acquire():
            assert account.redis.zscore(account.key("held"), f"{limiter._keeper.name}:99") is None
        until(lambda: not limiter._keeper.buckets["*"].is_busy)  # or it would connect again with a closed client
    assert account.held() == 0


def test_the_thread_ends_when_there_is_nothing_to_do(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "LINGER", 0.01)
    limiter = account.limiter()
    for _ in range(3):
        with limiter.acquire():
            assert limiter._keeper._thread is not None
        until(lambda: limiter._keeper._thread is None)
        assert account.held() == 0


def test_a_ticket_keeps_its_place_when_it_is_told_twice(account: Account) -> None:
    ticket, shared, places = f"{'f' * 16}:1", connect(account.server.url), []
    account.redis.zadd(account.key("held"), {f"{'e' * 16}:1": account.now() + 10**9})
    tick = Tick("f" * 16, 1, 30, False, "", True, True, gone=[], held=[], line=[(ticket, 0)], succeeded=0, refused=[])
    for _ in range(2):
        shared.run(TICK, [account.key(name) for name in ("state", "held", "waiting", "seen")], tick.arguments())
        places.append(account.redis.zscore(account.key("waiting"), ticket))
    assert places[0] == places[1] > 0


def test_the_end_of_a_program_gives_all_back(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_module, "FAREWELL", 30.0)
    limiter, idle = account.limiter(), account.limiter()

    def wait_in_vain() -> None:
        with pytest.raises(SharedStateError):
            limiter.acquire()

    assert idle.held == 0
    slot = limiter.acquire()
    in_thread(wait_in_vain)
    until(lambda: account.waiting() == 1)
    [waiter] = limiter._keeper.buckets["*"].waiters.values()
    keeper_module._say_farewell()
    assert (account.held(), account.waiting()) == (0, 0)
    slot.release()
    waiter.settle(OutageError("the end of the program"))  # there, this thread would just be gone


CHILD = """
import os, sys, threading
from gigachat_sdk import RedisLimiter, _redis, _redis_keeper
_redis._SECONDS_TO_ANSWER = _redis_keeper.FAREWELL = 30.0
limiter = RedisLimiter(sys.argv[1], 2, namespace=sys.argv[2])
slot = limiter.acquire()
child = os.fork()
if child == 0:
    slot.release()
    assert limiter.held == 0
    with limiter.acquire():
        assert limiter.held == 1
    impatient = RedisLimiter(sys.argv[1], 1, namespace=sys.argv[2], timeout=0.1)
    try:
        impatient.acquire()
    except TimeoutError:
        limiter.acquire().release()
        sys.exit(3)
    sys.exit(4)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert limiter.held == 1
for _ in range(2):
    threading.Thread(target=limiter.acquire, daemon=True).start()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_child_has_slots_of_its_own_and_the_end_gives_all_back(account: Account) -> None:
    arguments = [sys.executable, "-c", CHILD, account.server.url, account.namespace]
    subprocess.run(arguments, check=True, timeout=180)
    assert (account.held(), account.waiting()) == (0, 0)
