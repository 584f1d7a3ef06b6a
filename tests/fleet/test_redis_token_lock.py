"""The lock of `RedisTokenStore`, and managers that renew a token under it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import Any

import anyio
import pytest

import gigachat_sdk._redis_lock as lock_module
import gigachat_sdk._shared_lock as shared_lock_module
from gigachat_sdk import (
    AsyncOAuthTokenManager,
    InternalServerError,
    OAuthTokenManager,
)
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._redis_lock import Keeper
from gigachat_sdk.testing import Emulator, Reply

from .conftest import NOW, Stores, until

pytestmark = pytest.mark.redis
OAUTH = "/api/v2/oauth"
NAME = "oauth:1f0c"


# ---- the lock ----


def test_the_lock_is_held_by_one_worker(fleet: Stores) -> None:
    one, other = fleet.worker().lock(NAME), fleet.worker().lock(NAME)
    assert one.acquire()
    assert not other.acquire(wait=False)
    one.release()
    assert other.acquire()
    assert fleet.server.client.pttl(fleet.key("lock")) > 5000
    other.release()
    until(lambda: fleet.keys() == [])


def test_a_holder_without_an_end_is_nobody(fleet: Stores) -> None:
    lock = fleet.worker().lock(NAME)
    assert lock.acquire()
    redis_, key = fleet.server.client, fleet.key("lock")
    lock.release()
    until(lambda: fleet.keys() == [])
    redis_.set(key, "written by hand")
    assert lock.acquire(wait=False)
    assert redis_.pttl(key) > 5000
    lock.release()


@pytest.mark.anyio
async def test_the_lock_is_held_by_one_task(fleet: Stores) -> None:
    one, other = fleet.worker().alock(NAME), fleet.worker().alock(NAME)
    assert await one.acquire()
    assert not await other.acquire(wait=False)
    one.release()
    assert await other.acquire()
    other.release()


def test_the_lock_is_renewed_while_it_is_held(fleet: Stores) -> None:
    lock = fleet.worker(lease=1).lock(NAME)
    assert lock.acquire()
    key, redis_ = fleet.key("lock"), fleet.server.client
    holder = redis_.get(key)
    for _ in range(3):
        until(lambda: redis_.pttl(key) < 800)
        until(lambda: redis_.pttl(key) > 900)
    assert redis_.get(key) == holder
    lock.release()
    until(lambda: redis_.get(key) is None)


def test_a_lock_that_another_worker_has_taken_over_is_left_to_it(fleet: Stores) -> None:
    lock = fleet.worker(lease=1).lock(NAME)
    assert lock.acquire()
    (keeper,) = Keeper.running
    fleet.server.client.set(fleet.key("lock"), "another")
    lock.release()
    keeper.join(30)
    assert fleet.server.client.get(fleet.key("lock")) == "another"


def test_taking_it_twice_with_one_answer_lost_is_taking_it_once(fleet: Stores) -> None:
    guarded = fleet.worker()._redis
    key = f"{{{fleet.namespace}}}:x"
    assert guarded.run(lock_module._TAKE, key, "me", 1000) == guarded.run(lock_module._TAKE, key, "me", 1000) == 1
    assert guarded.run(lock_module._TAKE, key, "you", 1000) == 0


@pytest.mark.parametrize("looks", [True, False], ids=["this process wants it", "others may want it"])
def test_the_lock_of_a_task_whose_loop_was_closed_comes_back(fleet: Stores, looks: bool) -> None:
    store, loop = fleet.worker(lease=1), asyncio.new_event_loop()
    side = store.alock(NAME)
    assert loop.run_until_complete(side.acquire())
    until(lambda: fleet.server.client.pttl(fleet.key("lock")) < 800)
    until(lambda: fleet.server.client.pttl(fleet.key("lock")) > 900)  # a loop that only stands still is not gone
    loop.close()
    if looks:
        assert store.lock(NAME).acquire()
        side.release()
        assert not fleet.worker().lock(NAME).acquire(wait=False)
        store.lock(NAME).release()
    until(lambda: fleet.keys() == [])


@pytest.mark.parametrize("same", [True, False], ids=["the same store", "another store"])
def test_the_thread_of_a_closed_loop_waits_for_the_next_holder(
    fleet: Stores, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    """The keeper gave the lock back before anybody of this process wanted it."""
    monkeypatch.setattr(shared_lock_module, "_SLICE", 0.001)
    store, loop = fleet.worker(lease=1), asyncio.new_event_loop()
    side = store.alock(NAME)
    assert loop.run_until_complete(side.acquire())
    loop.close()
    until(lambda: fleet.keys() == [])
    next_store = store if same else fleet.worker()
    thread = threading.Thread(target=next_store.lock(NAME).acquire)
    thread.start()
    thread.join()
    holder = fleet.server.client.get(fleet.key("lock"))
    for late in (lambda: None, side.release):  # the task ends as it is collected
        late()
        for other in (store, next_store):
            with running(Deadline(0.05)), pytest.raises(DeadlineError):
                other.lock(NAME).acquire()
    assert len(Keeper.running) == 1
    assert fleet.server.client.get(fleet.key("lock")) == holder
    next_store.lock(NAME).release()
    until(lambda: fleet.keys() == [])


HOLDER = """
import sys
from gigachat_sdk import RedisTokenStore
lock = RedisTokenStore(sys.argv[1], namespace=sys.argv[2], lease=1).lock(sys.argv[3])
assert lock.acquire()
print("held", flush=True)
sys.stdin.readline()
if sys.argv[4] == "leave":
    lock.release()
"""


@pytest.mark.parametrize("ending", ["killed", "leave", "forget"])
def test_the_lock_of_a_worker_that_has_ended_comes_back(fleet: Stores, ending: str) -> None:
    lock = fleet.worker(lease=1).lock(NAME)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, fleet.server.url, fleet.namespace, NAME, ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "held\n"
        assert not lock.acquire(wait=False)
        if ending == "killed":
            worker.kill()
        else:
            worker.communicate("\n")
    if ending != "killed":
        assert fleet.keys() == []  # the end of a process gives back what it holds
    assert lock.acquire()
    lock.release()


def test_a_child_of_a_fork_leaves_the_lock_to_its_parent(fleet: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = fleet.worker().lock(NAME)
    assert lock.acquire()
    (keeper,) = Keeper.running
    lock.leave_to_parent()  # what happens in the child
    lock.release()
    monkeypatch.setattr(lock_module.os, "getpid", lambda: -1)
    lock_module._finish_all()
    assert not keeper._is_over.is_set()
    monkeypatch.undo()
    assert len(fleet.keys()) == 1
    keeper.finish()
    keeper.join(30)


# ---- managers ----


def test_a_fleet_buys_one_token(fleet: Stores) -> None:
    with Emulator(oauth_delay=0.2) as emulator:
        emulator.on(OAUTH, lambda request: Reply(json={"access_token": "one", "expires_at": NOW + 1800}, delay=0.2))
        results: list[str] = []

        def work() -> None:
            manager = OAuthTokenManager(
                emulator.credentials, auth_url=emulator.auth_url, clock=fleet.clock, token_store=fleet.worker()
            )
            results.append(manager.get_token().value)
            manager.close()

        async def awork() -> None:
            manager = AsyncOAuthTokenManager(
                emulator.credentials, auth_url=emulator.auth_url, clock=fleet.clock, token_store=fleet.worker()
            )
            results.append((await manager.get_token()).value)
            await manager.aclose()

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(awork)

        threads = [threading.Thread(target=work) for _ in range(8)]
        threads.append(threading.Thread(target=lambda: asyncio.run(main())))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == ["one"] * 12
        assert emulator.oauth_requests == 1


def test_a_fleet_leaves_a_failing_endpoint_in_peace_together(fleet: Stores) -> None:
    with Emulator() as emulator:
        options = {"auth_url": emulator.auth_url, "clock": fleet.clock, "max_retries": 0}
        managers = [
            OAuthTokenManager(emulator.credentials, token_store=fleet.worker(clock=time.time), **options)
            for _ in range(4)
        ]
        emulator.reply(OAUTH, Reply.error(500, "x", headers={"Retry-After": "60"}), times=9)
        for number, manager in enumerate(managers):
            with pytest.raises(InternalServerError, match="asked again in" if number else "x"):
                manager.get_token()
            manager.close()
        assert emulator.oauth_requests == 1


def test_others_go_on_with_the_old_token_while_one_worker_renews_it(fleet: Stores) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def answer(request: Any) -> Reply:
        first = emulator.oauth_requests == 1
        if not first:
            begun.set()
            assert may_end.wait(60)
        return Reply(json={"access_token": "old" if first else "new", "expires_at": fleet.clock.now + 1800})

    with Emulator() as emulator:
        emulator.on(OAUTH, answer)
        managers = [
            OAuthTokenManager(
                emulator.credentials, auth_url=emulator.auth_url, clock=fleet.clock, token_store=fleet.worker()
            )
            for _ in range(5)
        ]
        assert [manager.get_token().value for manager in managers] == ["old"] * 5
        fleet.clock.now += 1800 - 50
        refresher = threading.Thread(target=managers[0].get_token)
        refresher.start()
        assert begun.wait(60)
        for _ in range(50):
            assert [manager.get_token().value for manager in managers] == ["old"] * 5
        may_end.set()
        refresher.join()
        for manager in managers:
            until(lambda manager=manager: manager.get_token().value == "new")
        assert emulator.oauth_requests == 2
        for manager in managers:
            manager.close()


def test_a_thread_that_cannot_be_started_leaves_nothing_locked(fleet: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: Keeper) -> None:
        raise RuntimeError("can't start new thread")

    lock = fleet.worker().lock("oauth:1")
    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "start", start)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            lock.acquire()
    assert not Keeper.running
    assert fleet.keys() == []
    assert fleet.worker().lock("oauth:1").acquire(wait=False)
    assert lock.acquire(wait=False) is False
