"""`_config.py`: who the client is, which settings are secrets, and that no message, repr or traceback shows one."""

from __future__ import annotations

import ssl
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from pydantic import SecretStr

from gigachat_sdk import AccessToken, ConfigurationError, MemoryTokenStore, MissingCredentialsError
from gigachat_sdk._config import AuthConfig, ClientConfig, resolve
from gigachat_sdk._settings import Arguments, Environment

KEY, OTHER_KEY = "YTpzM2NyM3QtdmFsdWU=", "YTpvdGhlcg=="
SECRET = "s3cr3t-value"


def config(environment: Mapping[str, str] | None = None, *, is_async: bool = False, **arguments: Any) -> ClientConfig:
    variables = {f"GIGACHAT_{name}": value for name, value in (environment or {}).items()}
    return resolve(Arguments(arguments), Environment(variables), is_async=is_async)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A client certificate with its key."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(trustme.CA().issue_cert("a@example.com").private_key_and_cert_chain_pem.bytes())
    return file


@pytest.mark.parametrize(
    ("environment", "arguments", "found"),
    [
        ({"CREDENTIALS": KEY}, {}, {"credentials": SecretStr(KEY)}),
        ({"CREDENTIALS": KEY}, {"credentials": OTHER_KEY}, {"credentials": SecretStr(OTHER_KEY)}),
        ({}, {"credentials": SecretStr(KEY)}, {"credentials": SecretStr(KEY)}),
        ({"ACCESS_TOKEN": "t"}, {}, {"access_token": AccessToken("t")}),
        (
            {"ACCESS_TOKEN": "t", "CREDENTIALS": KEY},
            {},
            {"access_token": AccessToken("t"), "credentials": SecretStr(KEY)},
        ),
        ({"USER": "u", "PASSWORD": "p"}, {}, {"user": "u", "password": SecretStr("p")}),
        ({"USER": "u", "PASSWORD": "p", "CREDENTIALS": KEY}, {}, {"credentials": SecretStr(KEY)}),
        ({"CREDENTIALS": KEY}, {"access_token": "t"}, {"access_token": AccessToken("t")}),
        ({"CREDENTIALS": KEY}, {"user": "u", "password": ""}, {"user": "u", "password": SecretStr("")}),
        ({"ACCESS_TOKEN": "t"}, {"credentials": KEY}, {"credentials": SecretStr(KEY)}),
        ({}, {"access_token": SecretStr("t")}, {"access_token": AccessToken("t")}),
        ({}, {"access_token": AccessToken("t", 5.0)}, {"access_token": AccessToken("t", 5.0)}),
        (
            {},
            {"access_token": "t", "user": "u", "password": "p"},
            {"access_token": AccessToken("t"), "user": "u", "password": SecretStr("p")},
        ),
        (
            {"CREDENTIALS": KEY, "SCOPE": "S"},
            {"credentials": OTHER_KEY},
            {"credentials": SecretStr(OTHER_KEY), "scope": "S"},
        ),
    ],
)
def test_who_you_are(environment: dict[str, str], arguments: dict[str, Any], found: dict[str, Any]) -> None:
    nobody = {"access_token": None, "credentials": None, "user": None, "password": None, "token_manager": None}
    assert vars(config(environment, **arguments).auth) == {**nobody, "scope": "GIGACHAT_API_PERS", **found}


def test_nobody_is_told_where_to_look() -> None:
    with pytest.raises(MissingCredentialsError) as caught:
        config({"CREDENTIALS": "", "SCOPE": "GIGACHAT_API_B2B"})
    for name in ("CREDENTIALS", "ACCESS_TOKEN", "USER", "PASSWORD", "CERT_FILE"):
        assert f"GIGACHAT_{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("user", {"user": "\udcff", "password": "p"}),
        ("password", {"user": "u", "password": "\udcff"}),
        ("scope", {"scope": "\udcff", "credentials": KEY}),
    ],
)
def test_bytes_of_the_environment_that_are_no_text_are_refused_by_name(name: str, values: dict[str, str]) -> None:
    """Python gives them as halves of characters, which nothing can encode later."""
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        config(**values)
    with pytest.raises(ConfigurationError, match=f"^GIGACHAT_{name.upper()}: "):
        config({key.upper(): value for key, value in values.items()})


def test_a_client_certificate_alone_says_who_you_are(pem: Path) -> None:
    assert config(cert_file=pem).auth.access_token is None
    assert config({"CERT_FILE": str(pem)}).tls.cert_file == str(pem)
    assert config(ssl_context=ssl.create_default_context()).tls.ssl_context is not None
    with httpx.Client() as client:
        assert config(http_client=client).http_client is client


class Manager:
    def get_token(self) -> None: ...

    def invalidate(self, token: AccessToken) -> None: ...


class AsyncManager:
    async def get_token(self) -> None: ...

    async def invalidate(self, token: AccessToken) -> None: ...


class HalfManager:
    def get_token(self) -> None: ...


@pytest.mark.parametrize(
    ("manager", "is_async", "words"),
    [
        (AsyncManager(), False, "AsyncManager is no TokenManager, which Client needs"),
        (Manager(), True, "Manager is no AsyncTokenManager, which AsyncClient needs"),
        (HalfManager(), False, "HalfManager has no get_token() and invalidate(token)"),
        ("token", False, "str has no get_token()"),
        (lambda: "token", True, "function has no get_token()"),
    ],
)
def test_a_token_manager_of_the_wrong_world_is_refused(manager: Any, is_async: bool, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(is_async=is_async, token_manager=manager)
    assert words in str(caught.value)
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(("manager", "is_async"), [(Manager(), False), (AsyncManager(), True)])
def test_a_token_manager_makes_the_environment_silent(manager: Any, is_async: bool) -> None:
    found = config({"CREDENTIALS": "bad key", "USER": "u"}, is_async=is_async, token_manager=manager)
    assert found.auth.token_manager is manager
    assert (found.auth.credentials, found.auth.user) == (None, None)


@pytest.mark.parametrize(("name", "value"), [("credentials", KEY), ("access_token", "t"), ("user", "u")])
def test_a_token_manager_beside_another_way_contradicts(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: a token_manager gets tokens its own way"):
        config(token_manager=Manager(), **{name: value})


def test_which_configurations_share_connections_and_tokens() -> None:
    store = MemoryTokenStore()
    one = config(credentials=KEY)
    other = config(credentials=OTHER_KEY, model="other")
    assert one.connects_like(other)
    assert not one.authorizes_like(other)
    assert one.authorizes_like(config(credentials=KEY, base_url="http://elsewhere"))
    assert not one.authorizes_like(config(credentials=KEY, auth_url="http://elsewhere"))
    assert not one.authorizes_like(config(credentials=KEY, token_store=store))
    assert not one.connects_like(config(credentials=KEY, verify_ssl_certs=False))
    assert not one.connects_like(config(credentials=KEY, proxy="http://host"))
    named = config(user="u", password="p", base_url="http://one")
    assert not named.authorizes_like(config(user="u", password="p", base_url="http://two"))


def test_arguments_with_overrides_on_top() -> None:
    base = Arguments({"credentials": KEY, "scope": "S", "model": "m", "access_token": "t"})
    assert base.merged(Arguments({"model": "n"})).names() == {"credentials", "scope", "model", "access_token"}
    merged = base.merged(Arguments({"user": "u", "password": SECRET}))
    assert merged.plain() == {"scope": "S", "model": "m", "user": "u", "password": SECRET}
    assert "user" in merged
    assert merged.get("absent") is None
    assert SECRET not in repr(merged)


@pytest.mark.parametrize(
    ("arguments", "secrets"),
    [
        ({"model": "m", "proxy": "http://host"}, []),
        ({"credentials": KEY, "model": "m"}, ["credentials"]),
        ({"access_token": AccessToken("t"), "key_file_password": "p"}, ["access_token", "key_file_password"]),
        ({"user": "u", "password": "p"}, ["password"]),
        ({"proxy": "http://me:pw@host"}, ["proxy"]),
        ({"default_headers": {"X-API-Key": "k"}}, ["default_headers"]),
        ({"default_headers": {"X-Plain": "k"}}, []),
        ({"credentials": None, "proxy": None, "default_headers": None}, []),
    ],
)
def test_which_arguments_hold_a_secret(arguments: dict[str, Any], secrets: list[str]) -> None:
    assert Arguments(arguments).secrets() == secrets


def test_reprs_show_no_secret() -> None:
    secret_key = "YTpzM2NyM3QtdmFsdWU="
    arguments = {"credentials": secret_key, "proxy": f"http://me:{SECRET}@host", "default_headers": {"Cookie": SECRET}}
    variables = {"GIGACHAT_CREDENTIALS": secret_key, "GIGACHAT_PASSWORD": SECRET, "OTHER": "x"}
    found = resolve(Arguments(arguments), Environment(variables), is_async=False)
    shown = (
        f"{Environment(variables)!r} {Arguments(arguments)!r} {found!r} {found.auth!r} {found.tls!r} {found.proxy!r}"
    )
    assert SECRET not in shown
    assert secret_key not in shown
    assert "Environment(GIGACHAT_CREDENTIALS, GIGACHAT_PASSWORD)" in shown


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ({"credentials": "s3cr3t-value!"}, {}),
        ({"access_token": "s3cr3t-value\n"}, {}),
        ({}, {"CREDENTIALS": "s3cr3t-value!"}),
        ({"proxy": "http://me:s3cr3t-value@host"}, {}),  # refused for want of credentials
        ({"proxy": "ftp://me:s3cr3t-value@host"}, {}),
        ({"proxy": "http://me:s3cr3t-value@host:99999"}, {}),
        ({"base_url": "http://me:s3cr3t-value@host"}, {}),
        ({"auth_url": "ftp://host?token=s3cr3t-value"}, {}),
        ({"default_headers": {"Authorization": "s3cr3t-value\n"}, "access_token": "t"}, {}),
        ({"key_file_password": "s3cr3t-value", "key_file": "x", "access_token": "t"}, {}),
    ],
)
def test_no_refusal_shows_a_secret_even_in_the_locals_of_its_traceback(
    arguments: dict[str, Any], environment: dict[str, str]
) -> None:
    wrapped = Arguments(arguments)
    variables = Environment({f"GIGACHAT_{name}": value for name, value in environment.items()})
    with pytest.raises(ConfigurationError) as caught:
        resolve(wrapped, variables, is_async=False)
    assert SECRET not in repr(caught.value)
    for row in traceback.walk_tb(caught.value.__traceback__):
        if "gigachat_sdk" in row[0].f_code.co_filename:
            for name, value in row[0].f_locals.items():
                assert SECRET not in repr(value), f"{row[0].f_code.co_name}: {name}"


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_an_authorization_among_the_default_headers_says_who_you_are(name: str) -> None:
    """A gateway with keys of its own: the header wins over any token, and none is bought."""
    settings = resolve(Arguments({"default_headers": {name: "Bearer of-mine"}}), Environment({}), is_async=False)
    assert settings.auth == AuthConfig()
