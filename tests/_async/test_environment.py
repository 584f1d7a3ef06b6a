"""Variables of the environment that are not ours: proxies and roots that cannot be used are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gigachat_sdk import ConfigurationError

from .conftest import Connect

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("ALL_PROXY", "ftp://u:s3cr3t@h:1", r"proxy variables \(ALL_PROXY\) is no address of a proxy"),
        ("HTTP_PROXY", "http://[::1", r"proxy variables \(HTTP_PROXY\) is no address of a proxy"),
    ],
)
async def test_a_proxy_variable_that_is_no_address_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=words) as caught:
        await connect(access_token="t", base_url="http://example.test/v1").models.list()
    assert "s3cr3t" not in repr(caught.value)
    assert caught.value.__context__ is None


async def test_a_socks_variable_names_the_package_that_speaks_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**options: object) -> None:
        raise ImportError("socksio")

    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    client = connect(access_token="t", base_url="http://example.test/v1")
    monkeypatch.setattr("httpx.AsyncClient", refuse)
    with pytest.raises(ConfigurationError, match=r"speaks SOCKS, which needs one more package: pip install 'httpx"):
        await client.models.list()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_roots_that_cannot_be_read_are_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setattr("gigachat_sdk._tls._contexts", {})
    with pytest.raises(ConfigurationError, match=r"cannot be read .*SSL_CERT_FILE=") as caught:
        await connect(access_token="t", base_url="https://example.test/v1").models.list()
    assert str(file) in str(caught.value)
    assert caught.value.__context__ is None
