"""How a Redis is named, reached, and told to be away."""

from __future__ import annotations

import gc
import importlib.util
import os
import socket
import sys
import traceback
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kept_port import KeptPort
from left_behind import end_limiters
from redis.cluster import RedisCluster
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel
from redis_server import PASSWORD, PATIENCE, RedisServer

from gigachat_sdk import ConfigurationError, RedisLimiter, RedisTokenStore, SharedStateError
from gigachat_sdk._redis import (
    OutageError,
    Script,
    SharedRedis,
    at_end_of_child,
    check_on_outage,
    connect,
    is_outage,
    key_prefix,
    text,
)

NOWHERE = f"redis://me:{PASSWORD}@127.0.0.1:1/0"
ECHO = Script("return {KEYS[1], ARGV[1]}")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("http://host:6379", "url: 'http://host:6379' is no address of a Redis; they look like"),
        ("localhost:6379", "url: 'localhost:6379' is no address of a Redis"),
        ("unix://", "url: 'unix://' is no address of a Redis"),
        ("redis://[::1/0", "url: '[hidden]' is no address of a Redis"),
        (f"redis://:{PASSWORD}@host:port/0", "url: 'redis://[hidden]@host:port/0' is no address of a Redis"),
        (f"redis://:{PASSWORD}", "url: '[hidden]' is no address of a Redis"),
        (f"default:{PASSWORD}", "url: '[hidden]' is no address of a Redis"),
        (f"default:{PASSWORD}@localhost:6379", "url: '[hidden]@localhost:6379' is no address of a Redis"),
        (f"user:{PASSWORD}@host/0", "url: '[hidden]@host/0' is no address of a Redis"),
        (f":{PASSWORD}@host:6379", "url: '[hidden]@host:6379' is no address of a Redis"),
        (f"{PASSWORD}@host", "url: '[hidden]@host' is no address of a Redis"),
        (f"redis//:{PASSWORD}@host", "url: '[hidden]@host' is no address of a Redis"),
        (f"redis:/:{PASSWORD}@host", "url: '[hidden]@host' is no address of a Redis"),
        (f"host/0?password=p@{PASSWORD}", "url: '[hidden]' is no address of a Redis"),
        (f"host/0?db=1&{PASSWORD}", "url: 'host/0?db=[hidden]&[hidden]' is no address of a Redis"),
        (f"host/0?password={PASSWORD}", "url: 'host/0?password=[hidden]' is no address of a Redis"),
        (5, "url: expected a redis:// address, a redis.Redis or a redis.cluster.RedisCluster, got builtins.int"),
        (None, "url: expected a redis:// address"),
    ],
)
def test_what_is_no_redis_is_refused_without_its_password(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(given)
    assert str(caught.value).startswith(message)
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__cause__ is caught.value.__context__ is None


@pytest.mark.parametrize("start", ["redis://user:1", "redis://:1", "rediss://:1", "unix://:1"])
@pytest.mark.parametrize("mark", ["/", "#", "?", "?x=", "["])
@pytest.mark.parametrize("end", ["@host:6379/0", "@/run/redis.sock"])
def test_an_unescaped_password_is_explained(start: str, mark: str, end: str) -> None:
    with pytest.raises(ConfigurationError, match=r"; escape special characters of the password, as in %2F") as caught:
        connect(f"{start}{mark}{PASSWORD}{end}")
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "redis://localhost/0?foo=bar",
            "url: 'redis://localhost/0?foo=[hidden]' has a parameter that redis-py does not ",
        ),
        (
            f"rediss://:{PASSWORD}@h?pasword={PASSWORD}",
            "url: 'rediss://[hidden]@h?pasword=[hidden]' has a ",
        ),
        (
            "redis://localhost?protocol=9",
            "url: 'redis://localhost?protocol=[hidden]' has a parameter with a value that ",
        ),
        ("redis://localhost?db=x", "url: 'redis://localhost?db=[hidden]' is no address of a Redis"),
    ],
)
@pytest.mark.parametrize("kind", [RedisTokenStore, partial(RedisLimiter, n=3)])
def test_wrong_parameters_are_refused_at_once(kind: Any, url: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(url=url)
    assert str(caught.value).startswith(message)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host/0?username=a@b&password=c@d",
        "redis://user:p%2Fw%23@host:6379/0",
        "redis://user:p@w@host:6379/0",
        "unix://user:pw@/run/redis.sock?db=1",
        "rediss://[::1]:6379?ssl_cert_reqs=none",
        "redis://",
    ],
)
def test_addresses_that_are_right(url: str) -> None:
    assert connect(url).address


@pytest.mark.parametrize("kind", [RedisTokenStore, partial(RedisLimiter, n=3)])
@pytest.mark.parametrize(
    "options",
    [
        {"url": f"default:{PASSWORD}@localhost:6379"},
        {"url": NOWHERE, "namespace": "{"},
        {"url": NOWHERE, "lease": 9999},
    ],
)
def test_no_frame_of_a_traceback_shows_the_password(kind: Any, options: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind(**options)
    _, *frames = traceback.walk_tb(caught.tb)
    assert frames
    for frame, _ in frames:
        assert PASSWORD not in repr({name: value for name, value in frame.f_locals.items() if name != "self"})


def test_the_asyncio_client_is_refused() -> None:
    import redis.asyncio

    with pytest.raises(ConfigurationError, match=r"got redis\.asyncio\.client\.Redis; asyncio's clients know no"):
        connect(redis.asyncio.Redis())


def test_redis_py_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk._redis.find_spec", lambda name: None)
    assert importlib.util.find_spec("redis") is not None
    with pytest.raises(ConfigurationError, match=r"pip install 'gigachat-sdk\[redis\]'"):
        RedisLimiter("redis://localhost", 1)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (NOWHERE, "127.0.0.1:1"),
        (f"unix:///run/redis.sock?password={PASSWORD}&db=1", "unix:///run/redis.sock"),
        (redis.Redis(host="host", port=1, password=PASSWORD), "host:1"),
        (redis.Redis(unix_socket_path="/run/redis.sock"), "unix:///run/redis.sock"),
        ("redis://", "localhost:6379"),
        ("redis:///2", "localhost:6379"),
        (redis.Redis(connection_pool=redis.ConnectionPool(connection_class=redis.Connection)), "localhost:6379"),
        (Sentinel([("host", 1)]).master_for("main"), "the address that Sentinel has for main"),
    ],
)
def test_messages_name_the_address(given: Any, address: str) -> None:
    shared = connect(given)
    assert shared.address == address
    assert repr(shared) == f"SharedRedis({address!r})"


def test_a_server_that_is_not_there() -> None:
    shared = connect(NOWHERE)
    with pytest.raises(OutageError, match=r"^ConnectionError: Error 111 connecting to 127\.0\.0\.1:1") as caught:
        shared.command("PING")
    assert caught.value.__cause__ is caught.value.__context__ is None
    error = shared.unusable(caught.value, "all there is")
    assert isinstance(error, SharedStateError)
    assert str(error).startswith(
        "Redis at 127.0.0.1:1, which holds all there is, cannot be used (ConnectionError: Error 111"
    )
    assert 'on_outage="local"' in str(error)


def test_an_error_of_the_program_stays_one() -> None:
    class Broken:
        def execute_command(self, *args: Any, **options: Any) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        SharedRedis(Broken(), "nowhere", is_own=False).command("PING")


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (redis.ConnectionError(), True),
        (redis.TimeoutError(), True),
        (redis.AuthenticationError(), True),
        (redis.ReadOnlyError(), True),
        (ConnectionResetError(), True),
        (RedisClusterException(), True),
        (ValueError(), False),
    ],
)
def test_what_is_an_outage(error: Exception, is_one: bool) -> None:
    assert is_outage(error) is is_one


def test_names_of_keys() -> None:
    assert key_prefix("gigachat") == "{gigachat}:"
    for wrong in ("", "a{b", "a}b", "a\udc80", 5):
        with pytest.raises(ConfigurationError, match=r"^namespace: "):
            key_prefix(wrong)


def test_what_is_done_at_the_end_of_a_child_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()

    def finalize(instance: None, farewell: Any, *, exitpriority: int) -> None:
        asked.append(farewell)

    def farewell() -> None:
        asked.clear()

    for name in ("multiprocessing.util", "billiard.util"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Finalize=finalize))
    at_end_of_child(farewell)
    at_end_of_child(farewell)
    assert asked == [farewell] * 2
    monkeypatch.setattr(os, "getpid", lambda: -1)  # in the child of a fork
    at_end_of_child(farewell)
    assert asked == [farewell] * 4
    monkeypatch.delitem(sys.modules, "multiprocessing.util")
    monkeypatch.delitem(sys.modules, "billiard.util")
    at_end_of_child(test_policies)
    assert len(asked) == 4


def test_policies() -> None:
    assert [check_on_outage(policy) for policy in ("fail", "local")] == ["fail", "local"]
    with pytest.raises(ConfigurationError, match="on_outage: 'wait' is no policy"):
        check_on_outage("wait")


@pytest.mark.redis
def test_a_script_is_sent_once(redis_server: RedisServer) -> None:
    shared = connect(redis_server.url)
    redis_server.client.script_flush()
    redis_server.client.config_resetstat()
    for _ in range(3):
        assert [text(part) for part in shared.run(ECHO, ["{a}:key"], ["value"])] == ["{a}:key", "value"]
    stats: Any = redis_server.client.info("commandstats")
    assert (stats["cmdstat_evalsha"]["calls"], stats["cmdstat_eval"]["calls"]) == (3, 1)
    shared.disconnect()
    assert text(shared.command("ECHO", "still there")) == "still there"
    shared.disconnect()


@pytest.mark.redis
def test_what_is_dropped_lets_go_of_its_connections(redis_server: RedisServer) -> None:
    shared = connect(redis_server.url)
    shared.command("PING")
    client: Any = shared._client
    connections = list(client.connection_pool._available_connections)
    assert [connection._sock is None for connection in connections] == [False]
    del shared  # and not the client: what closes it must not depend on which of a ring of garbage is the first
    gc.collect()
    assert [connection._sock for connection in connections] == [None]


@pytest.mark.redis
def test_the_port_of_a_server_that_is_stopped_is_given_to_nobody_else() -> None:
    with RedisServer() as server:
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))
        with socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
            other.bind(("127.0.0.1", server.port))
        server.start()
        assert server.client.ping()


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    """A cluster of one node, which refuses scripts whose keys belong to several slots."""
    with KeptPort() as bus, RedisServer("--cluster-enabled", "yes", "--cluster-port", str(bus.number)) as server:
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        server.wait_until(lambda: "cluster_state:ok" in str(server.client.execute_command("CLUSTER", "INFO")))
        server.settle()
        client = RedisCluster(host="127.0.0.1", port=server.port, password=PASSWORD, socket_timeout=PATIENCE)
        yield client
        end_limiters()
        client.close()


@pytest.mark.redis
def test_a_cluster(cluster: RedisCluster) -> None:
    shared = connect(cluster)
    shared.disconnect()  # it is somebody else's
    assert shared.address.endswith(" (a cluster)")
    limiter = RedisLimiter(cluster, {"GigaChat-2-Max": 1, "*": 2}, timeout=10)
    slots = [limiter.acquire(), limiter.acquire(), limiter.acquire("GigaChat-2-Max")]
    assert limiter.held == 3
    del slots
    with limiter.acquire("GigaChat-2-Max"):
        assert limiter.held == 1
