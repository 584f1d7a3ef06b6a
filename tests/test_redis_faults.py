"""A setting that is wrong is told as such, under either policy; a Redis that is away is not taken for one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
import trustme
from kept_port import KeptPort
from redis import exceptions
from redis_account import until
from redis_server import PASSWORD, RedisServer

import gigachat_sdk._redis as redis_module
import gigachat_sdk._redis_faults as faults_module
import gigachat_sdk._redis_lock as lock_module
from gigachat_sdk import AccessToken, ConfigurationError, RedisLimiter, RedisTokenStore, SharedStateError
from gigachat_sdk._redis import OutageError, RefusedError, connect
from gigachat_sdk._redis_faults import fault_of

POLICIES = ["fail", "local"]
NO_TLS = "does not speak TLS at this port"


class Secure(RedisServer):
    """A server with a second port, for TLS."""

    def __init__(self, folder: Path) -> None:
        self.authority = str(folder / "ca.pem")
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        certificate = authority.issue_cert("127.0.0.1")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        self._port_for_tls = KeptPort()
        self.tls_port = self._port_for_tls.number
        super().__init__(
            *("--tls-port", str(self.tls_port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", str(folder / "cert.pem"), "--tls-key-file", str(folder / "key.pem")),
            *("--tls-ca-cert-file", self.authority),
        )

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._port_for_tls.close()


@pytest.fixture(autouse=True)
def _all_answer_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a server that is asked whether it speaks TLS take its time; who tests one that never answers says so."""
    monkeypatch.setitem(faults_module._TIMES, "socket_timeout", 30.0)
    monkeypatch.setitem(faults_module._TIMES, "socket_connect_timeout", 30.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    with Secure(tmp_path_factory.mktemp("tls")) as running:
        running.skip_settling()
        for user, rights in {
            "reader": ["~*", "+@all", "-@scripting", "-get"],
            "stranger": ["~other*", "+@all"],
        }.items():
            running.client.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", *rights)
        yield running


WRONG = {
    "redis://:wrong@127.0.0.1:{port}/0": "refuses these credentials (invalid username-password pair",
    "redis://nobody:secret@127.0.0.1:{port}/0": "refuses these credentials (invalid username-password pair",
    "redis://127.0.0.1:{port}/0": "asks for a password: give it in the address",
    "redis://127.0.0.1:{port}/0?protocol=2": "asks for a password: give it in the address",
    "redis://reader:{password}@127.0.0.1:{port}/0": "does not let this user do what is needed (",
    "redis://stranger:{password}@127.0.0.1:{port}/0": "does not let this user do what is needed (",
    "redis://:{password}@127.0.0.1:{port}/99": "has no such database (DB index is out of range): check the number",
    "rediss://:{password}@127.0.0.1:{port}/0": f"{NO_TLS}: its address begins with redis://",
    "redis://:{password}@127.0.0.1:{tls_port}/0": "speaks TLS at this port: its address begins with rediss://",
    "rediss://:{password}@127.0.0.1:{tls_port}/0": "has a TLS certificate that is not accepted (",
}


@pytest.mark.redis
@pytest.mark.parametrize(("url", "told"), WRONG.items())
@pytest.mark.parametrize("policy", POLICIES)
def test_a_wrong_setting_is_an_error_under_either_policy(
    server: Secure, policy: Any, url: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told.startswith(NO_TLS):  # found out by waiting in vain for an answer to the handshake
        monkeypatch.setattr(redis_module, "_SECONDS_TO_ANSWER", 0.5)
    url = url.format(port=server.port, tls_port=server.tls_port, password=PASSWORD)
    store = RedisTokenStore(url, on_outage=policy)
    limiter = RedisLimiter(url, 1, on_outage=policy)
    for ask in (lambda: store.get("oauth:1"), store.lock("oauth:1").acquire, limiter.acquire):
        with pytest.raises(ConfigurationError) as caught:
            ask()
        port = server.tls_port if str(server.tls_port) in url else server.port
        assert str(caught.value).startswith(f"Redis at 127.0.0.1:{port} {told}")
        assert PASSWORD not in str(caught.value)
        assert caught.value.__cause__ is caught.value.__context__ is None
    assert not store.lock("oauth:1").acquire(wait=False)


@pytest.mark.redis
@pytest.mark.anyio
async def test_tasks_are_told_too(server: Secure) -> None:
    url = f"redis://:wrong@{server.address}"
    with pytest.raises(ConfigurationError, match="refuses these credentials"):
        await RedisLimiter(url, 1, on_outage="local").aacquire()
    store = RedisTokenStore(url, on_outage="local")
    with pytest.raises(ConfigurationError, match="refuses these credentials"):
        await store.aget("oauth:1")
    assert not await store.alock("oauth:1").acquire(wait=False)


@pytest.mark.redis
def test_tls_that_is_set_up_well(server: Secure) -> None:
    url = f"rediss://:{PASSWORD}@127.0.0.1:{server.tls_port}/0?ssl_ca_certs={server.authority}"
    shared = connect(url)
    assert shared.command("PING")
    shared.disconnect()


@pytest.fixture
def looks_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store ask again however long an attempt has taken that failed."""
    monkeypatch.setattr(lock_module, "_LONG", 60.0)


@pytest.mark.redis
@pytest.mark.usefixtures("looks_again_at_once")
@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_mended_at_the_server_is_noticed(server: Secure, policy: Any, caplog: pytest.LogCaptureFixture) -> None:
    url = f"redis://late-{policy}:{PASSWORD}@{server.address}"
    limiter, store = RedisLimiter(url, 1, on_outage=policy), RedisTokenStore(url, on_outage=policy)
    with pytest.raises(ConfigurationError, match="refuses these credentials"):
        limiter.acquire()
    token = AccessToken("token", None)
    store.set("oauth:1", token)
    assert store.get("oauth:1") == token  # a valid one is used on
    assert caplog.messages == [
        f"Redis at {server.address} refuses these credentials (invalid username-password pair or user is disabled): "
        "check the user and password in the address: tokens are used on until they end, and then none can be bought"
    ]
    server.client.execute_command("ACL", "SETUSER", f"late-{policy}", "on", f">{PASSWORD}", "~*", "+@all")
    slot = None
    while slot is None:
        with suppress(ConfigurationError):  # until it is tried again, which it is four times a second
            slot = limiter.acquire()
    slot.release()
    store.set("oauth:1", token)
    assert store.get("oauth:1") == token
    assert caplog.messages[1:] == [f"Redis at {server.address} can be used again"]


@pytest.mark.redis
@pytest.mark.usefixtures("looks_again_at_once")
def test_an_outage_that_becomes_a_wrong_setting_and_the_other_way_round(caplog: pytest.LogCaptureFixture) -> None:
    with RedisServer() as server:
        url = f"redis://:wrong@{server.address}"
        limiter, store = RedisLimiter(url, 1, on_outage="local"), RedisTokenStore(url, on_outage="local")
        server.stop()
        slot = limiter.acquire()
        assert store.get("oauth:1") is None
        assert [message.count("cannot be used (ConnectionError") for message in caplog.messages] == [1, 1]
        server.start()
        until(lambda: isinstance(limiter._keeper._outage, RefusedError))
        for ask in (limiter.acquire, lambda: store.get("oauth:1")):
            with pytest.raises(ConfigurationError, match="refuses these credentials"):
                ask()
        server.stop()
        until(lambda: not isinstance(limiter._keeper._outage, RefusedError))
        slot.release()
        limiter.acquire().release()
        assert store.get("oauth:1") is None
        assert [message.count("each process limits itself") for message in caplog.messages] == [1, 0, 0, 0]
        assert [message.count("each process buys its own") for message in caplog.messages] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (exceptions.AuthenticationError("AUTH <password> called without any password configured"), "refuses these"),
        (exceptions.AuthenticationError("Authentication required."), "asks for a password"),
        (exceptions.AuthenticationWrongNumberOfArgsError("wrong number"), "refuses these credentials (wrong number)"),
        (exceptions.ResponseError("The user executing the script can't run this command"), "does not let this user"),
        (exceptions.ResponseError("ACL failure in script: User x has no permissions"), "does not let this user"),
        (exceptions.ResponseError("invalid DB index"), "has no such database"),
        (exceptions.ResponseError("SELECT is not allowed in cluster mode"), "has no such database"),
        (exceptions.MovedError("1 127.0.0.1:6379"), "is a node of a cluster: give a redis.cluster.RedisCluster"),
        (
            exceptions.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value"),
            "has keys of another program under these names: choose another namespace",
        ),
        (exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'"), ""),
        (exceptions.ReadOnlyError("You can't write against a read only replica"), ""),
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), ""),
        (exceptions.ConnectionError("max number of clients reached"), ""),
        (exceptions.TimeoutError("Timeout reading from socket"), ""),
    ],
)
def test_what_is_a_fault_and_what_passes(error: Exception, told: str) -> None:
    fault = fault_of(error, object())
    assert fault.startswith(told)
    assert bool(fault) == bool(told)


@pytest.mark.redis
def test_a_server_without_a_password_is_told_from_one_that_is_away(
    server: Secure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_module, "_SECONDS_TO_ANSWER", 0.5)
    server.client.execute_command("ACL", "SETUSER", "default", "nopass")
    try:
        with pytest.raises(RefusedError, match=f"^{NO_TLS}"):
            connect(f"rediss://{server.address}").command("PING")
    finally:
        server.client.execute_command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_server_that_hangs_is_away_and_nothing_else(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_module, "_SECONDS_TO_ANSWER", 0.05)
    monkeypatch.setitem(faults_module._TIMES, "socket_timeout", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        shared = connect(f"{scheme}://127.0.0.1:{hanging.getsockname()[1]}")
        with pytest.raises(OutageError, match=r"^TimeoutError") as caught:
            shared.command("PING")
    assert not isinstance(caught.value, RefusedError)
    assert isinstance(shared.unusable(caught.value, "all there is"), SharedStateError)


def test_a_server_that_cuts_off_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Any]()
    monkeypatch.setattr(faults_module, "_answers", asked.append)
    error = exceptions.ConnectionError("Connection closed by server.")
    assert fault_of(error, redis.Redis()) == ""
    assert len(asked) == 1
    assert fault_of(error, redis.Redis(unix_socket_path="/run/redis.sock")) == ""
    assert fault_of(exceptions.ConnectionError("Error 111 connecting to"), redis.Redis()) == ""
    assert len(asked) == 1
