"""`RedisTokenStore` while Redis is away: a token that is valid is used on, and the policy says what else."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
import redis
from kept_port import KeptPort
from redis_server import PASSWORD

import gigachat_sdk._redis_lock as lock_module
from gigachat_sdk import (
    AccessToken,
    OAuthTokenManager,
    RateLimitError,
    RedisTokenStore,
    SharedStateError,
)
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._redis import OutageError
from gigachat_sdk._redis_lock import Keeper
from gigachat_sdk._token_failures import TokenFailure
from gigachat_sdk.testing import Emulator
from gigachat_sdk.types.http import Headers, ResponseInfo

from .conftest import NOW, Stores, until

pytestmark = pytest.mark.redis
OLD = AccessToken("old-token", NOW + 600)
FAILURE = TokenFailure(2, NOW, 2.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))
NAME = "oauth:1f0c"


def test_without_redis_and_without_a_token_there_is_an_error(away: Stores, caplog: pytest.LogCaptureFixture) -> None:
    store = away.worker()
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        for _ in range(3):
            with pytest.raises(
                SharedStateError, match=r"which holds the tokens of all workers, cannot be used"
            ) as caught:
                store.get(NAME)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__context__ is None
    assert len(caplog.records) == 1
    assert "tokens are used on until they end, and then none can be bought" in caplog.text
    lock = store.lock(NAME)
    with pytest.raises(SharedStateError):
        lock.acquire()
    assert not lock.acquire(wait=False)
    away.server.start()
    assert store.get(NAME) is None
    assert caplog.messages[1:] == [f"Redis at {away.server.address} can be used again"]
    assert lock.acquire()
    lock.release()


@pytest.mark.anyio
async def test_tasks_are_told_too(away: Stores) -> None:
    store = away.worker()
    with pytest.raises(SharedStateError):
        await store.aget(NAME)
    lock = store.alock(NAME)
    with pytest.raises(SharedStateError):
        await lock.acquire()
    assert not await lock.acquire(wait=False)


def test_a_token_that_is_valid_is_used_on_without_redis(away: Stores) -> None:
    store = away.worker()
    store.set_failure(NAME, FAILURE, NOW)
    assert store.get_failure(NAME, NOW) is None
    store.set(NAME, OLD)  # just bought: not lost
    away.clock.now += 550
    store._entries[NAME].want()
    assert store.get(NAME) == OLD
    store.delete(NAME, OLD)
    with pytest.raises(SharedStateError):
        store.get(NAME)


def test_each_process_buys_its_own_meanwhile_if_asked(away: Stores, caplog: pytest.LogCaptureFixture) -> None:
    with Emulator() as emulator, caplog.at_level(logging.WARNING, "gigachat_sdk"):
        managers = [
            OAuthTokenManager(
                emulator.credentials,
                auth_url=emulator.auth_url,
                token_store=away.worker(on_outage="local", clock=time.time),
            )
            for _ in range(2)
        ]
        tokens = [manager.get_token() for manager in managers for _ in range(5)]
        assert emulator.oauth_requests == len({token.value for token in tokens}) == 2
        assert [message.count("and then each process buys its own") for message in caplog.messages] == [1, 1]
        away.server.start()
        for manager in managers:
            manager.invalidate(manager.get_token())
        assert len({manager.get_token().value for manager in managers}) == 1
        assert emulator.oauth_requests == 3
        for manager in managers:
            manager.close()


def test_a_lock_that_is_held_while_redis_goes_away(away: Stores) -> None:
    away.server.start()
    store = away.worker(lease=1)
    assert store.lock(NAME).acquire()
    (keeper,) = Keeper.running
    away.server.stop()
    until(lambda: store._redis._is_away)  # it was to be renewed
    store.lock(NAME).release()
    keeper.join(30)
    assert not keeper.is_alive()
    assert not Keeper.running


def test_the_child_of_a_fork_forgets_a_lock_without_redis(away: Stores) -> None:
    lock = away.worker(on_outage="local").lock(NAME)
    assert lock.acquire()
    lock.release()
    assert lock.acquire()
    lock.leave_to_parent()
    assert lock.acquire()
    lock.release()


def test_a_redis_that_is_slow_to_refuse_is_not_asked_by_each_caller(
    fleet: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = fleet.worker(), 1000.0

    def hang(*args: Any) -> Any:
        nonlocal now
        now += 1.0
        raise OutageError("no answer")

    monkeypatch.setattr(lock_module.time, "monotonic", lambda: now)
    monkeypatch.setattr(store._redis._redis, "run", hang)
    for _ in range(10):
        with pytest.raises(SharedStateError, match="no answer"):
            store.get(NAME)
    assert now == 1001.0
    now += 1.0
    with pytest.raises(SharedStateError):
        store.get(NAME)
    assert now == 1003.0


@pytest.fixture
def silent() -> Iterator[RedisTokenStore]:
    """A store at a ready client without timeouts, whose Redis accepts and says nothing."""
    with KeptPort() as port, socket.create_server(("127.0.0.1", port.number)):
        client = redis.Redis(port=port.number, socket_timeout=None)
        yield RedisTokenStore(client)
        client.connection_pool.disconnect()


STEPS: dict[str, Callable[[RedisTokenStore], Any]] = {
    "a look": lambda store: store.aget(NAME),
    "a token": lambda store: store.aset(NAME, AccessToken("new-token")),
    "a refusal": lambda store: store.adelete(NAME, OLD),
    "a failure": lambda store: store.aset_failure(NAME, FAILURE, NOW),
    "a look at failures": lambda store: store.aget_failure(NAME, NOW),
    "the lock": lambda store: store.alock(NAME).acquire(),
}


@pytest.mark.anyio
@pytest.mark.parametrize("step", STEPS)
async def test_a_task_that_is_cancelled_does_not_wait_for_a_redis_that_never_answers(
    silent: RedisTokenStore, step: str
) -> None:
    with anyio.move_on_after(0.05) as scope:
        await STEPS[step](silent)
    assert scope.cancelled_caught


@pytest.mark.anyio
@pytest.mark.parametrize("step", STEPS)
async def test_a_task_waits_for_such_a_redis_until_its_deadline(silent: RedisTokenStore, step: str) -> None:
    is_late = False
    with running(Deadline(0.05)):
        try:
            await STEPS[step](silent)
        except DeadlineError:
            is_late = True
    assert is_late is (step in {"a look", "a look at failures", "the lock"})
    if step == "a token":
        assert await silent.aget(NAME) == AccessToken("new-token")  # what was bought is not lost


def test_a_thread_that_has_no_time_left_does_not_ask(silent: RedisTokenStore) -> None:
    with running(Deadline(-1)), pytest.raises(DeadlineError):
        silent.get(NAME)


@pytest.mark.anyio
async def test_of_many_tasks_that_were_refused_with_a_token_one_tells_redis(
    fleet: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, threads = fleet.worker(), list[int]()
    await store.aset(NAME, OLD)
    real = store.delete

    def delete(name: str, token: AccessToken) -> None:
        threads.append(threading.get_ident())
        real(name, token)

    monkeypatch.setattr(store, "delete", delete)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(store.adelete, NAME, OLD)
    assert len(threads) == 1
    assert await fleet.worker().aget(NAME) is None
