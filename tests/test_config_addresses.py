"""`_config.py`: addresses of the API, of the token endpoint and of proxies."""

from __future__ import annotations

from typing import Any

import pytest

from gigachat_sdk import LEGACY_BASE_URL, ConfigurationError
from gigachat_sdk._config import ClientConfig, resolve
from gigachat_sdk._settings import Arguments, Environment, check_address

SECRET = "s3cr3t-value"


def config(**arguments: Any) -> ClientConfig:
    return resolve(Arguments({"access_token": "t", **arguments}), Environment({}), is_async=False)


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("https://api.giga.chat/v1", "https://api.giga.chat/v1"),
        ("https://api.giga.chat/v1/", "https://api.giga.chat/v1"),
        ("https://api.giga.chat/v1//", "https://api.giga.chat/v1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:8080/api/v1", "http://[::1]:8080/api/v1"),
        ("https://host:65535/a/b/c", "https://host:65535/a/b/c"),
        ("https://host/@me/v1", "https://host/@me/v1"),
        ("https://пример.рф/v1", "https://пример.рф/v1"),
        (LEGACY_BASE_URL, LEGACY_BASE_URL),
    ],
)
def test_addresses_lose_their_last_slash(value: str, address: str) -> None:
    assert check_address("base_url", value) == address
    assert config(base_url=value).base_url == address


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("api.giga.chat/v1", "'api.giga.chat/v1' is not an http:// or https:// address"),
        ("//api.giga.chat/v1", "is not an http:// or https:// address"),
        ("/v1", "is not an http:// or https:// address"),
        ("localhost:8080", "is not an http:// or https:// address"),
        ("ftp://host/v1", "is not an http:// or https:// address"),
        ("https://", "is not an http:// or https:// address"),
        ("https:///v1", "is not an http:// or https:// address"),
        ("https://:443/v1", "is not an http:// or https:// address"),
        ("https://host name/v1", "is not an http:// or https:// address"),
        (" https://host/v1", "is not an http:// or https:// address"),
        ("https://host/v1\n", "is not an http:// or https:// address"),
        ("https://ho\x00st/v1", "is not an http:// or https:// address"),
        ("https://host:99999/v1", "is no address"),
        ("https://host:-1/v1", "is no address"),
        ("https://host:port/v1", "is no address"),
        ("https://[::1/v1", "is no address"),
        ("https://xn--/v1", "base_url"),
        (f"https://{'a' * 64}.example/v1", "base_url"),
        ("https://host/v1?a=1", "has a query or a fragment; use default_query="),
        ("https://host/v1#part", "has a query or a fragment"),
        (f"https://me:{SECRET}@host/v1", "use user= and password="),
        (f"https://{SECRET}@host/v1", "use user= and password="),
        (f"ftp://me:{SECRET}@host/v1", "the value is not an http:// or https:// address"),
        (f"https://me:{SECRET}@host:99999/v1", "the value is no address"),
    ],
)
def test_what_is_no_address_is_refused_by_name(value: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(base_url=value)
    assert str(caught.value).startswith("base_url: ")
    assert words in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["https://host/oauth", "https://host/oauth/", "https://host:9443/oauth?realm=a%20b", "http://127.0.0.1/"],
)
def test_the_token_endpoint_is_taken_as_it_is(value: str) -> None:
    assert config(auth_url=value).auth_url == value


@pytest.mark.parametrize("value", ["host/oauth", "https://host/oauth#part", "https://me:pw@host/oauth", "https://a b/"])
def test_what_is_no_token_endpoint_is_refused_by_name(value: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^auth_url: "):
        config(auth_url=value)


@pytest.mark.parametrize(
    "value",
    [
        "http://proxy:3128",
        "https://proxy",
        f"http://me:{SECRET}@proxy:3128",
        "http://[::1]:3128",
    ],
)
def test_proxies_are_kept_hidden(value: str) -> None:
    found = config(proxy=value)
    assert found.proxy is not None
    assert found.proxy.get_secret_value() == value
    assert value not in repr(found.proxy)


@pytest.mark.parametrize("value", ["socks5://proxy:1080", "SOCKS5H://proxy:1080"])
def test_a_socks_proxy_needs_the_package_that_speaks_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gigachat_sdk._settings.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"proxy: a SOCKS proxy needs one more package: pip install 'httpx"):
        config(proxy=value)
    monkeypatch.setattr("gigachat_sdk._settings.find_spec", lambda name: object())
    assert config(proxy=value).proxy is not None


@pytest.mark.parametrize(
    "value",
    [
        "proxy:3128",
        "proxy",
        "",
        "ftp://proxy",
        "socks4://proxy:1080",
        f"ftp://me:{SECRET}@proxy",
        f"me:{SECRET}@proxy:3128",
        f"http://me:{SECRET}@proxy:99999",
        f"http://me:{SECRET}@pro xy",
    ],
)
def test_what_is_no_proxy_is_refused_and_never_shown(value: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(proxy=value)
    assert str(caught.value).startswith("proxy: ")
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize(
    ("arguments", "is_used"),
    [
        ({}, True),
        ({"base_url": "http://a"}, True),
        ({"base_url": "http://a", "auth_url": "http://b"}, False),
        ({"base_url": "https://a", "auth_url": "http://b"}, True),
        ({"base_url": "HTTPS://a", "auth_url": "http://b"}, True),
        ({"base_url": "http://a", "auth_url": "HTTPS://b"}, True),
        ({"base_url": "http://a", "auth_url": "http://b", "proxy": "https://c"}, True),
        ({"base_url": "http://a", "auth_url": "http://b", "proxy": "HTTPS://c"}, True),
        ({"base_url": "http://a", "auth_url": "http://b", "proxy": "http://c"}, False),
    ],
)
def test_roots_are_read_where_any_address_is_https(arguments: dict[str, str], is_used: bool) -> None:
    assert config(**arguments).tls.is_used is is_used


@pytest.mark.parametrize(
    ("base_url", "v2"),
    [
        ("https://api.giga.chat/v1", "https://api.giga.chat/v2"),
        (LEGACY_BASE_URL, "https://gigachat.devices.sberbank.ru/api/v2"),
        ("https://gateway.example/gigachat/v15", "https://gateway.example/gigachat/v2"),
        ("https://gateway.example/gigachat", "https://gateway.example/gigachat/v2"),
        ("https://gateway.example/v1beta", "https://gateway.example/v1beta/v2"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v2"),
        ("http://127.0.0.1:8080/v2", "http://127.0.0.1:8080/v2"),
    ],
)
def test_the_address_of_v2_follows_from_the_base_address(base_url: str, v2: str) -> None:
    assert config(base_url=base_url).base_url_v2 == v2


def test_the_address_of_v2_can_be_given() -> None:
    assert config(base_url_v2="https://other.example/two/").base_url_v2 == "https://other.example/two"
    variables = {"GIGACHAT_BASE_URL_V2": "https://other.example/env"}
    settings = resolve(Arguments({"access_token": "t"}), Environment(variables), is_async=False)
    assert settings.base_url_v2 == "https://other.example/env"
    with pytest.raises(ConfigurationError, match="base_url_v2: 'other' is not an http"):
        config(base_url_v2="other")
