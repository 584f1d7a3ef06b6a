"""`_config.py`: arguments before environment before defaults, and every mistake told when the client is built."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from gigachat_sdk import AccessToken, ConfigurationError, StaticTokenManager
from gigachat_sdk._config import ClientConfig, check_timeout, resolve
from gigachat_sdk._settings import Arguments, Environment, check_names
from gigachat_sdk.types.client_options import BaseClientOptions

KEY = "YTpzM2NyM3QtdmFsdWU="
SECRET = "s3cr3t-value"


def config(environment: Mapping[str, str] | None = None, *, is_async: bool = False, **arguments: Any) -> ClientConfig:
    variables = {f"GIGACHAT_{name}": value for name, value in (environment or {}).items()}
    return resolve(Arguments(arguments), Environment(variables), is_async=is_async)


def keyed(environment: Mapping[str, str] | None = None, **arguments: Any) -> ClientConfig:
    return config(environment, **{"access_token": "t", **arguments})


def refusal(environment: Mapping[str, str] | None = None, **arguments: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        config(environment, **{"access_token": "t", **arguments})
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate with its key: good as a client certificate and as a bundle of roots."""
    authority = trustme.CA()
    issued = authority.issue_cert("a@example.com")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(issued.private_key_and_cert_chain_pem.bytes() + authority.cert_pem.bytes())
    return file


# name, what to read, the default, (value in the environment, what it becomes), (argument, what it becomes)
SETTINGS: list[tuple[str, Any, Any, tuple[str, Any], tuple[Any, Any]]] = [
    (
        "base_url",
        lambda c: c.base_url,
        "https://api.giga.chat/v1",
        ("http://env/v1/", "http://env/v1"),
        ("http://a", "http://a"),
    ),
    (
        "auth_url",
        lambda c: c.auth_url,
        "https://ngw.devices.sberbank.ru:9443/api/v2/oauth",
        ("http://env/oauth?a=1", "http://env/oauth?a=1"),
        ("http://a/oauth", "http://a/oauth"),
    ),
    ("model", lambda c: c.model, "GigaChat", ("GigaChat-2", "GigaChat-2"), ("GigaChat-2-Max", "GigaChat-2-Max")),
    ("scope", lambda c: c.auth.scope, "GIGACHAT_API_PERS", ("GIGACHAT_API_B2B",) * 2, ("GIGACHAT_API_CORP",) * 2),
    ("verify_ssl_certs", lambda c: c.tls.verify, True, ("no", False), (True, True)),
    (
        "timeout",
        lambda c: c.timeout,
        httpx.Timeout(120, connect=10),
        ("2.5", httpx.Timeout(2.5)),
        (30, httpx.Timeout(30, connect=10)),
    ),
    ("max_retries", lambda c: c.retry.max_retries, 2, ("5", 5), (0, 0)),
    ("http2", lambda c: c.http2, "auto", ("on", True), (False, False)),
    (
        "proxy",
        lambda c: c.proxy and c.proxy.get_secret_value(),
        None,
        ("http://env:3128", "http://env:3128"),
        ("https://a:1", "https://a:1"),
    ),
]


@pytest.mark.parametrize(("name", "read", "default", "env", "arg"), SETTINGS, ids=[row[0] for row in SETTINGS])
def test_argument_wins_over_environment_and_environment_over_default(
    name: str, read: Any, default: Any, env: tuple[str, Any], arg: tuple[Any, Any]
) -> None:
    variables = {name.upper(): env[0]}
    assert read(keyed()) == default
    assert read(keyed({name.upper(): ""})) == default  # an empty variable is not set
    assert read(keyed(variables)) == env[1]
    assert read(keyed(variables, **{name: arg[0]})) == arg[1]
    if name != "timeout":  # where None has a meaning of its own
        assert read(keyed(variables, **{name: None})) == env[1]


@pytest.mark.parametrize("name", ["ca_bundle_file", "cert_file", "key_file"])
def test_files_come_from_arguments_or_the_environment(pem: Path, name: str) -> None:
    beside = {"cert_file": pem} if name == "key_file" else {}
    assert getattr(keyed().tls, name) is None
    assert getattr(keyed({name.upper(): str(pem)}, **beside).tls, name) == str(pem)
    assert getattr(keyed({name.upper(): "/absent"}, **beside, **{name: pem}).tls, name) == str(pem)


def test_the_password_of_a_key_comes_from_either_and_is_hidden(pem: Path) -> None:
    found = keyed({"KEY_FILE_PASSWORD": SECRET, "CERT_FILE": str(pem)})
    assert found.tls.key_file_password == SecretStr(SECRET)
    assert SECRET not in repr(found.tls)


@pytest.mark.parametrize("value", ["true", "True", "TRUE", " true ", "1", "yes", "YES", "on", "On"])
def test_ways_to_say_true(value: str) -> None:
    assert keyed({"VERIFY_SSL_CERTS": value}).tls.verify is True
    assert keyed({"HTTP2": value}).http2 is True


@pytest.mark.parametrize("value", ["false", "False", "0", "no", "No", "off", "OFF"])
def test_ways_to_say_false(value: str) -> None:
    assert keyed({"VERIFY_SSL_CERTS": value}).tls.verify is False
    assert keyed({"HTTP2": value}).http2 is False


@pytest.mark.parametrize("value", ["auto", "AUTO", " Auto "])
def test_http2_may_be_left_to_the_client(value: str) -> None:
    assert keyed({"HTTP2": value}).http2 == "auto"
    assert keyed(http2=value.strip().lower()).http2 == "auto"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VERIFY_SSL_CERTS", "nein"),
        ("VERIFY_SSL_CERTS", "2"),
        ("VERIFY_SSL_CERTS", "auto"),
        ("HTTP2", "2"),
        ("TIMEOUT", "soon"),
        ("TIMEOUT", "0"),
        ("TIMEOUT", "-1"),
        ("TIMEOUT", "nan"),
        ("TIMEOUT", "inf"),
        ("MAX_RETRIES", "two"),
        ("MAX_RETRIES", "1.5"),
        ("MAX_RETRIES", "-1"),
        ("BASE_URL", "api.giga.chat/v1"),
        ("AUTH_URL", "ftp://host"),
        ("PROXY", "host:3128"),
        ("CA_BUNDLE_FILE", "/absent.pem"),
    ],
)
def test_a_bad_variable_is_named(name: str, value: str) -> None:
    error = refusal({name: value})
    wanted = f"GIGACHAT_{name}"
    assert str(error).startswith(f"{wanted}: ")
    assert not isinstance(error, TypeError)


KIND, VALUE = True, False


@pytest.mark.parametrize(
    ("arguments", "words", "is_kind"),
    [
        ({"verify_ssl_certs": "no"}, "verify_ssl_certs: expected True or False, got str", KIND),
        ({"verify_ssl_certs": 0}, "verify_ssl_certs: expected True or False, got int", KIND),
        ({"http2": "yes"}, "http2: expected True, False or 'auto'", KIND),
        ({"http2": 2}, "http2: expected True, False or 'auto', got 2", KIND),
        ({"model": 5}, "model: expected a string, got int", KIND),
        ({"model": ""}, "model: the value is empty", VALUE),
        ({"base_url": b"http://a"}, "base_url: expected a string, got bytes", KIND),
        ({"base_url": Path("a")}, "base_url: expected a string", KIND),
        ({"ca_bundle_file": 5}, "ca_bundle_file: expected a string, got int", KIND),
        ({"credentials": b"YTph", "access_token": None}, "credentials: expected a string, got bytes", KIND),
        ({"access_token": 5}, "access_token: expected a string, got int", KIND),
        ({"access_token": ""}, "access_token: the value is empty", VALUE),
        ({"access_token": "a\n"}, "access_token: there is white space", VALUE),
        ({"access_token": AccessToken("a b")}, "access_token: there is white space inside", VALUE),
        ({"credentials": "not base64!"}, "credentials: there is white space inside", VALUE),
        ({"credentials": "not-base64"}, "credentials: this is not base64", VALUE),
        ({"credentials": ""}, "credentials: the value is empty", VALUE),
        ({"credentials": KEY, "user": "u"}, "credentials, user: these are two ways", VALUE),
        ({"user": "u"}, "user: password is missing beside it", VALUE),
        ({"password": "p"}, "password: user is missing beside it", VALUE),
        ({"user": "a:b", "password": "p"}, "user: a user name cannot hold a colon", VALUE),
        ({"key_file": "/a"}, "key_file: it belongs to a certificate; give cert_file as well", VALUE),
        ({"cert_file": "/absent"}, "cert_file: there is no file '/absent'", VALUE),
        ({"ssl_context": True}, "ssl_context: expected an ssl.SSLContext, got bool", KIND),
        ({"max_retries": "2"}, "max_retries: expected a", KIND),
        ({"max_retries": True}, "max_retries: expected a", KIND),
        ({"max_retries": 1.5}, "max_retries: expected a", KIND),
        ({"max_retries": -1}, "max_retries: give 0 (never) or more, not -1", VALUE),
        ({"retry_statuses": 500}, "retry_statuses: expected a set of statuses, got int", KIND),
        ({"retry_statuses": {200}}, "retry_statuses: expected HTTP statuses", VALUE),
        ({"retry_lost": 1}, "retry_lost: expected True or False, got int", KIND),
        ({"proxy": 5}, "proxy: expected a string, got int", KIND),
        ({"default_headers": "a"}, "default_headers: expected a dict of strings, got str", KIND),
        ({"default_headers": {"a": 1}}, "default_headers: expected strings", KIND),
        ({"default_headers": {"a": "1\n2"}}, "default_headers: the value of 'a' holds", VALUE),
        ({"default_query": "a=1"}, "default_query: expected a dict", KIND),
        ({"default_query": {"a": object()}}, "default_query: 'a' cannot be a object", KIND),
        ({"ca_bundle_file": "a\0b"}, "ca_bundle_file: 'a\\x00b' cannot be read: embedded null byte", VALUE),
        ({"ca_bundle_file": "\ud800"}, "ca_bundle_file: '\\ud800' cannot be read: 'utf-8' codec can't", VALUE),
        ({"middleware": [None]}, "middleware: expected a list of functions, got None in it", KIND),
        ({"middleware": [5]}, "middleware: expected a function, got int", KIND),
        ({"middleware": len}, "middleware: expected a list of functions, got builtin_function_or_method", KIND),
        (
            {"token_manager": StaticTokenManager, "access_token": None},
            "token_manager: expected an object, got the class StaticTokenManager; make one of it",
            KIND,
        ),
        ({"allow_pickle_secrets": "no"}, "allow_pickle_secrets: expected True or False, got str", KIND),
        ({"allow_pickle_secrets": 1}, "allow_pickle_secrets: expected True or False, got int", KIND),
        pytest.param(
            {"max_concurrency": -(10**5000)},
            "max_concurrency: give a number over 0, not a number of more than 20 digits",
            VALUE,
            id="concurrency",
        ),
        pytest.param(
            {"max_event_bytes": -(10**5000)},
            "max_event_bytes: give a number over 0, not a number of more than 20 digits",
            VALUE,
            id="bytes",
        ),
        ({"default_query": {"a": 10**25}}, "default_query: 'a' cannot be a number of more than 20 digits", VALUE),
        ({"http2": "h" * 1000}, "http2: expected True, False or 'auto', got str", KIND),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], words: str, is_kind: bool) -> None:
    error = refusal(**arguments)
    assert words in str(error)
    assert isinstance(error, TypeError) is is_kind


@pytest.mark.parametrize("name", ["verify_ssl_certs", "ca_bundle_file", "cert_file", "key_file", "key_file_password"])
def test_a_ready_context_and_settings_of_one_contradict(name: str) -> None:
    error = refusal(ssl_context=ssl.create_default_context(), **{name: True if name.startswith("v") else "x"})
    assert str(error) == f"{name}: an ssl_context is used as it is; set it there"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verify_ssl_certs", False),
        ("ca_bundle_file", "x"),
        ("cert_file", "x"),
        ("key_file", "x"),
        ("key_file_password", "x"),
        ("ssl_context", ssl.create_default_context()),
        ("proxy", "http://host"),
        ("http2", True),
    ],
)
def test_a_ready_http_client_and_settings_of_one_contradict(name: str, value: Any) -> None:
    with httpx.Client() as client:
        error = refusal(http_client=client, **{name: value})
        assert str(error).startswith(f"{name}: an http_client brings its own")
        environment = {"VERIFY_SSL_CERTS": "no", "PROXY": "http://env", "CA_BUNDLE_FILE": "/absent"}
        found = keyed(environment, http_client=client)  # the environment is silent beside it
        assert (found.proxy, found.tls.verify, found.http_client) == (None, True, client)


def test_an_http_client_of_the_other_world_is_refused() -> None:
    with httpx.Client() as client, pytest.raises(TypeError, match=r"expected an httpx\.AsyncClient, got Client"):
        config(is_async=True, access_token="t", http_client=client)
    with pytest.raises(TypeError, match=r"expected an httpx\.Client, got AsyncClient"):
        config(access_token="t", http_client=httpx.AsyncClient())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("credentals", "; did you mean 'credentials'?"),
        ("verify_ssl", "; did you mean 'verify_ssl_certs'?"),
        ("zzz", ""),
    ],
)
def test_an_unknown_keyword_is_a_type_error_with_a_hint(name: str, advice: str) -> None:
    known = {field for kind in BaseClientOptions.__mro__ for field in getattr(kind, "__annotations__", {})}
    with pytest.raises(TypeError) as caught:
        check_names({"model": "x", name: SECRET}, known, "Client()")
    assert str(caught.value) == f"Client() got an unexpected keyword argument {name!r}{advice}"
    check_names({}, known, "Client()")


@pytest.mark.parametrize(
    ("value", "timeout"),
    [
        (None, httpx.Timeout(None)),
        (5, httpx.Timeout(5)),
        (0.5, httpx.Timeout(0.5)),
        (600, httpx.Timeout(600, connect=10)),
        (httpx.Timeout(1, read=2), httpx.Timeout(1, read=2)),
    ],
)
def test_timeouts(value: Any, timeout: httpx.Timeout) -> None:
    assert keyed({"TIMEOUT": "7"}, timeout=value).timeout == timeout
    assert check_timeout("timeout", value) == timeout


@pytest.mark.parametrize(
    ("value", "is_kind"),
    [("5", KIND), (True, KIND), ([1], KIND), ((1, 2, 3, 4), KIND), (0, VALUE), (-1, VALUE), (float("nan"), VALUE)],
)
def test_what_is_no_time_is_refused(value: Any, is_kind: bool) -> None:
    error = refusal(timeout=value)
    assert str(error).startswith("timeout: ")
    assert isinstance(error, TypeError) is is_kind


@pytest.mark.parametrize(
    "value",
    [float("inf"), 10**400, 10**5000, httpx.Timeout(10**5000), httpx.Timeout("x" * 10**6)],
    ids=["infinity", "a huge number", "a number that Python does not write", "in a phase", "a text in a phase"],
)
def test_a_time_beyond_all_clocks_is_refused(value: Any) -> None:
    message = str(refusal(timeout=value))
    assert message.startswith("timeout: ")
    assert len(message) < 200


def test_the_timeout_of_a_ready_http_client_counts_where_it_was_set() -> None:
    with httpx.Client(timeout=33) as client:
        assert keyed(http_client=client).timeout == httpx.Timeout(33)
        assert keyed(http_client=client, timeout=5).timeout == httpx.Timeout(5)
        assert keyed({"TIMEOUT": "7"}, http_client=client).timeout == httpx.Timeout(7)
    with httpx.Client() as client:  # httpx's own default is too short for a model
        assert keyed(http_client=client).timeout == httpx.Timeout(120, connect=10)


def test_retry_settings() -> None:
    found = keyed(retry_statuses=[500, 502], retry_lost=False, max_retries=7).retry
    assert (found.retry_statuses, found.retry_lost, found.max_retries) == (frozenset({500, 502}), False, 7)


def test_headers_and_query_of_every_request_are_the_configurations_own() -> None:
    headers: dict[str, str | None] = {"X-A": "1", "X-B": None}
    query: dict[str, Any] = {"a": [1, 2], "b": None}
    found = keyed(default_headers=headers, default_query=query)
    headers["X-A"] = "2"
    query["c"] = 3
    assert found.default_headers == {"X-A": "1", "X-B": None}
    assert found.default_query == {"a": [1, 2], "b": None}


def test_the_environment_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIGACHAT_MODEL", "m")
    monkeypatch.setenv("GIGACHAT_SCOPE", "")
    environment = Environment.current()
    assert (environment.get("model"), environment.get("scope"), environment.get("user")) == ("m", None, None)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_limiter_that_cannot_limit_is_refused(is_async: bool) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(Arguments({"access_token": "t", "limiter": 5}), Environment({}), is_async=is_async)
    assert caught.value.message == "limiter: int has no acquire, aacquire; see ConcurrencyLimiter"
