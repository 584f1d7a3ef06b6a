"""`RedisTokenStore`: one token for a fleet, encrypted, and Redis asked as seldom as can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from pydantic import SecretStr
from redis.crc import key_slot
from redis_server import PASSWORD

import gigachat_sdk._redis_store as store_module
from gigachat_sdk import (
    AccessToken,
    ConfigurationError,
    RateLimitError,
    RedisTokenStore,
    TokenStore,
)
from gigachat_sdk._redis_lock import GuardedRedis
from gigachat_sdk._token_failures import TokenFailure
from gigachat_sdk.stores import AsyncRefreshLock, RefreshLock, SealsTokens, SharesFailures
from gigachat_sdk.types.http import Headers, ResponseInfo

from .conftest import NOW, Stores

pytestmark = pytest.mark.redis
OLD, NEW = AccessToken("old-token", NOW + 600), AccessToken("new-token", NOW + 1800)
FAILURE = TokenFailure(2, NOW, 2.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))
NAME = "oauth:1f0c"


class Commands:
    """Counts the commands that go to Redis."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        real = GuardedRedis._ask

        def ask(guarded: GuardedRedis, function: Callable[[], Any]) -> Any:
            self.count += 1
            return real(guarded, function)

        monkeypatch.setattr(GuardedRedis, "_ask", ask)


# ---- what is kept ----


def test_it_is_a_token_store(fleet: Stores) -> None:
    store = fleet.worker()
    assert isinstance(store, TokenStore)
    assert isinstance(store, SharesFailures)
    assert isinstance(store, SealsTokens)
    assert isinstance(store.lock(NAME), RefreshLock)
    assert isinstance(store.alock(NAME), AsyncRefreshLock)
    assert store.lock(NAME) is store.lock(NAME) is not store.lock("other")


@pytest.mark.parametrize("decodes", [False, True])
def test_a_token_of_one_worker_is_that_of_all(fleet: Stores, decodes: bool) -> None:
    client = redis.Redis.from_url(fleet.server.url, decode_responses=decodes)
    one = RedisTokenStore(client, namespace=fleet.namespace, clock=fleet.clock)
    two, three = fleet.worker(), fleet.worker()
    assert one.get(NAME) is None
    two.set(NAME, OLD)
    assert one.get(NAME) == three.get(NAME) == OLD
    assert one.get("other") is None
    one.delete(NAME, NEW)
    assert fleet.worker().get(NAME) == OLD
    one.delete(NAME, OLD)
    assert fleet.worker().get(NAME) is None
    client.close()


@pytest.mark.anyio
async def test_the_async_twins_see_the_same(fleet: Stores) -> None:
    one, other = fleet.worker(), fleet.worker()
    assert await one.aget(NAME) is None
    await one.aset_failure(NAME, FAILURE, NOW)
    assert (await other.aget_failure(NAME, NOW) or OLD) != OLD
    await one.aset(NAME, OLD)
    assert await other.aget(NAME) == other.get(NAME) == await one.aget(NAME) == OLD
    assert await other.aget_failure(NAME, NOW) is None
    await other.adelete(NAME, OLD)
    assert await other.aget(NAME) is None


def test_nothing_in_redis_tells_anything(fleet: Stores) -> None:
    sealed = fleet.worker().sealed_with(SecretStr("s3cr3t"))
    for store in (fleet.worker(), sealed):
        store.set_failure(NAME, FAILURE, NOW)
        store.set(NAME, OLD)
        store.set_failure(NAME, FAILURE, NOW)
        assert store.lock(NAME).acquire()
    keys = fleet.keys()
    assert len(keys) == 6
    assert len({key_slot(key.encode()) for key in keys}) == 1
    texts = [*keys, *(fleet.server.client.get(key) or "" for key in keys)]
    for word in ("old-token", "s3cr3t", "1f0c", "busy", PASSWORD):
        assert word not in str(texts)
    for store in (fleet.worker(), sealed):
        assert repr(store) == f"RedisTokenStore({fleet.server.address!r})"
        assert not any(word in f"{vars(store)}" for word in ("old-token", "s3cr3t", PASSWORD))


def test_stores_are_sealed_with_the_credentials(fleet: Stores) -> None:
    store, other = fleet.worker(), fleet.worker()
    mine, same, foreign = (store.sealed_with(SecretStr(word)) for word in ("mine", "mine", "foreign"))
    assert mine is same is not foreign
    mine.set(NAME, OLD)
    assert foreign.get(NAME) is store.get(NAME) is None
    assert other.sealed_with(SecretStr("mine")).get(NAME) == OLD


def test_a_value_that_cannot_be_read_is_ignored_and_replaced(fleet: Stores) -> None:
    store = fleet.worker()
    store.set(NAME, OLD)
    fleet.server.client.set(fleet.key("token"), "nonsense")
    other = fleet.worker()
    assert other.get(NAME) is None
    other.delete(NAME, OLD)
    other.set(NAME, NEW)
    assert fleet.worker().get(NAME) == NEW


@pytest.mark.parametrize(
    ("expires_at", "seconds"), [(NOW + 600, 600), (NOW + 0.5, 0.5), (None, 86_400)], ids=["usual", "short", "no end"]
)
def test_a_token_is_kept_until_it_ends(fleet: Stores, expires_at: float | None, seconds: float) -> None:
    fleet.worker().set(NAME, AccessToken("x", expires_at))
    left = fleet.server.client.pttl(fleet.key("token")) if seconds > 1 else seconds * 1000
    assert seconds * 1000 - 30_000 < left <= seconds * 1000


def test_a_token_that_has_ended_is_not_kept_there(fleet: Stores) -> None:
    store = fleet.worker()
    store.set(NAME, AccessToken("x", NOW - 1))
    assert fleet.keys() == []
    assert store.get(NAME) == AccessToken("x", NOW - 1)


# ---- when Redis is asked ----


def test_redis_is_not_asked_for_a_fresh_token(fleet: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = fleet.worker(), fleet.worker()
    store.set(NAME, NEW)
    other.get(NAME)
    commands = Commands(monkeypatch)
    for _ in range(100):
        assert store.get(NAME) == other.get(NAME) == NEW
    fleet.clock.now += 1750  # old, and nobody has looked for a newer one yet
    for _ in range(100):
        assert store.get(NAME) == NEW
    assert commands.count == 0
    fleet.clock.now += 50
    assert store.get(NAME) == NEW  # it has ended, and is the manager's to judge
    assert commands.count == 1


def test_whoever_has_the_lock_looks_into_redis(fleet: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = fleet.worker(), fleet.worker()
    store.set(NAME, OLD)
    fleet.clock.now += 550
    other.set(NAME, NEW)
    assert store.get(NAME) == OLD
    assert store.lock(NAME).acquire()
    assert store.get(NAME) == NEW
    store.lock(NAME).release()


def test_a_token_that_redis_has_lost_is_used_on(fleet: Stores) -> None:
    store = fleet.worker()
    store.set(NAME, OLD)
    fleet.server.client.delete(*fleet.keys())
    fleet.clock.now += 550
    assert store.lock(NAME).acquire()
    assert store.get(NAME) == OLD
    store.lock(NAME).release()


def test_a_refused_token_is_not_taken_from_redis_again(fleet: Stores) -> None:
    """It may come back there: another worker that has bought it keeps it later than it was refused."""
    store, other = fleet.worker(), fleet.worker()
    store.set(NAME, OLD)
    store.delete(NAME, OLD)
    other.set(NAME, OLD)
    assert store.get(NAME) is None
    other.set(NAME, NEW)
    assert store.get(NAME) == NEW
    other.delete(NAME, OLD)  # refused long ago
    assert other.get(NAME) == NEW


# ---- failures ----


def test_failures_are_counted_by_the_clock_of_the_server(fleet: Stores) -> None:
    one, other = fleet.worker(), fleet.worker()
    assert one.get_failure(NAME, NOW) is None
    one.set_failure(NAME, FAILURE, NOW)
    found = other.get_failure(NAME, NOW - 5_000)  # this worker's clock is behind
    assert found is not None
    assert (found.count, found.pause, str(found.error)) == (2, 2.0, "busy")
    assert NOW - 5_030 < found.failed_at <= NOW - 5_000
    fleet.server.client.pexpire(fleet.key("failure"), 120_000 + 500)
    found = other.get_failure(NAME, NOW)
    assert found is not None
    assert found.seconds_left(NOW) <= 0.5
    fleet.server.client.persist(fleet.key("failure"))
    assert other.get_failure(NAME, NOW) is not None
    one.set(NAME, NEW)
    assert other.get_failure(NAME, NOW) is None


# ---- settings ----


@pytest.mark.parametrize("lease", [1, 300, 2.5])
def test_leases(lease: float) -> None:
    assert RedisTokenStore("redis://localhost", lease=lease)._lease == lease


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lease": 0.5}, "lease: give 1 to 300 seconds, not 0.5"),
        ({"lease": 301}, "lease: give 1 to 300 seconds, not 301"),
        ({"lease": float("nan")}, "lease: give 1 to 300 seconds, not nan"),
        ({"lease": True}, "lease: expected seconds, got bool"),
        ({"lease": "x"}, "lease: expected seconds, got str"),
        ({"on_outage": "wait"}, "on_outage: 'wait' is no policy"),
        ({"namespace": ""}, "namespace: ''"),
        ({"url": "http://host"}, "url: 'http://host' is no address of a Redis"),
    ],
)
def test_settings_that_make_no_sense(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        RedisTokenStore(**{"url": "redis://localhost", **options})


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'gigachat-sdk\[redis\]'"):
        RedisTokenStore("redis://localhost")


def test_what_another_program_has_put_there_is_replaced(fleet: Stores) -> None:
    one, other = fleet.worker(), fleet.worker()
    one.set(NAME, NEW)
    one.set_failure(NAME, FAILURE, NOW)
    names = [fleet.key("token"), fleet.key("failure")]
    names.append(names[0].replace(":token:", ":lock:"))
    for name in names:
        fleet.server.client.delete(name)
        fleet.server.client.rpush(name, "a list")
    assert other.get(NAME) is None
    assert other.get_failure(NAME, NOW) is None
    other.delete(NAME, NEW)
    assert other.lock(NAME).acquire()
    other.lock(NAME).release()
    other.set(NAME, NEW)
    assert fleet.worker().get(NAME) == NEW
