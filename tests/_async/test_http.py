"""The HTTP layer: what httpx's failures become, TLS both ways, proxies."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from gigachat_sdk import (
    APIConnectionError,
    APIResponseValidationError,
    APITimeoutError,
    AsyncClient,
    ConfigurationError,
)
from gigachat_sdk._failures import SpentBody, failure_of
from gigachat_sdk._retry import Outcome
from gigachat_sdk.testing import Emulator

from .conftest import Connect
from .servers import ConnectProxy, RawServer, plain_answer

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=[{"role": "user", "content": "x"}], **options)


# ---- what a failure of httpx becomes ----


@pytest.mark.parametrize(
    ("cause", "kind", "message", "sent", "outcome"),
    [
        (httpx.ConnectError("boom"), APIConnectionError, "could not connect to h:1: boom", False, Outcome.NOT_REACHED),
        (
            httpx.ConnectError(""),
            APIConnectionError,
            "could not connect to h:1: ConnectError",
            False,
            Outcome.NOT_REACHED,
        ),
        (httpx.ConnectTimeout(""), APITimeoutError, "could not connect to h:1 within 2 s", False, Outcome.NOT_REACHED),
        (
            httpx.ProxyError("407"),
            APIConnectionError,
            "the proxy on the way to h:1 refused: 407",
            False,
            Outcome.NOT_REACHED,
        ),
        (
            httpx.PoolTimeout(""),
            APITimeoutError,
            "no connection to h:1 became free within 5 s",
            False,
            Outcome.NOT_REACHED,
        ),
        (httpx.ReadTimeout(""), APITimeoutError, "h:1 did not answer within 3 s", True, Outcome.LOST),
        (httpx.WriteTimeout(""), APITimeoutError, "h:1 did not take the request within 4 s", True, Outcome.LOST),
        (httpx.ReadError("x"), APIConnectionError, "the connection to h:1 was lost: x", True, Outcome.LOST),
        (
            httpx.ReadError("pop from an empty deque"),  # what anyio finds in a connection that is closed while read
            APIConnectionError,
            "the connection to h:1 was lost: it was closed",
            True,
            Outcome.LOST,
        ),
        (httpx.WriteError("x"), APIConnectionError, "the connection to h:1 was lost: x", True, Outcome.LOST),
        (httpx.RemoteProtocolError("x"), APIConnectionError, "the connection to h:1 was lost", True, Outcome.LOST),
        (ssl.SSLError("x"), APIConnectionError, "the connection to h:1 was lost", True, Outcome.LOST),
        (httpx.DecodingError("x"), APIConnectionError, "the answer of h:1 cannot be decoded: x", True, Outcome.FINAL),
        (httpx.UnsupportedProtocol("x"), APIConnectionError, "cannot send to h:1: x", False, Outcome.FINAL),
        (
            httpx.LocalProtocolError("Max outbound streams is 100, 100 open"),
            APIConnectionError,
            "the HTTP/2 connection to h:1 takes no more streams",
            False,
            Outcome.NOT_REACHED,
        ),
        (
            httpx.LocalProtocolError("Illegal header value b'Bearer s3cr3t'"),
            APIConnectionError,
            "the request to h:1 breaks the rules of HTTP",
            False,
            Outcome.FINAL,
        ),
        (SpentBody(), APIConnectionError, "the request to h:1 had to be sent once", True, Outcome.FINAL),
        (
            httpx.RemoteProtocolError("illegal header line: bytearray(b'Set-Cookie : sid=1')"),
            APIConnectionError,
            "the connection to h:1 was lost: an illegal header line",
            True,
            Outcome.LOST,
        ),
        (httpx.InvalidURL("x"), APIConnectionError, "cannot send to h:1: x", False, Outcome.FINAL),
    ],
)
def test_failures(cause: Exception, kind: type[Exception], message: str, sent: bool, outcome: Outcome) -> None:
    limits = {"connect": 2, "read": 3, "write": 4, "pool": 5}
    failure = failure_of(cause, httpx.Request("GET", "http://me:pw@h:1/v1", extensions={"timeout": limits}), "")
    assert type(failure.error) is kind
    assert str(failure.error).startswith(message)
    assert (failure.error.sent, failure.outcome) == (sent, outcome)


# ---- TLS ----


async def test_a_certificate_nobody_trusts_names_the_setting(
    connect: Connect, https_emulator: Emulator, delays: list[float]
) -> None:
    client = connect(https_emulator, ca_bundle_file=None)
    with pytest.raises(APIConnectionError) as caught:
        await ask(client)
    text = str(caught.value)
    assert text.startswith("the certificate of 127.0.0.1:")
    assert "'Russian Trusted Root CA'" in text
    assert "ca_bundle_file= or GIGACHAT_CA_BUNDLE_FILE" in text
    assert "_ssl.c" not in text
    assert (caught.value.__context__, caught.value.sent, delays) == (None, False, [])


async def test_a_certificate_for_another_host_is_refused(connect: Connect, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example.com").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with RawServer(lambda connection, request: [plain_answer(b'{"data":[]}')], context) as server:
        client = connect(access_token="t", base_url=server.url, ca_bundle_file=tmp_path / "ca.pem")
        with pytest.raises(APIConnectionError, match="the certificate of"):
            await client.models.list()
        assert server.requests == []


async def test_checking_can_be_switched_off(connect: Connect, https_emulator: Emulator) -> None:
    for ca_bundle_file in (None, https_emulator.ca_bundle_file):
        client = connect(https_emulator, verify_ssl_certs=False, ca_bundle_file=ca_bundle_file)
        assert (await ask(client)).choices


async def test_a_root_of_ones_own(connect: Connect, https_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert https_emulator.ca_bundle_file is not None
    assert (await ask(connect(https_emulator))).choices
    assert (await ask(connect(https_emulator, ca_bundle_file=Path(https_emulator.ca_bundle_file)))).choices
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", https_emulator.ca_bundle_file)
    token = https_emulator.issue_token()
    assert (await ask(connect(access_token=token, base_url=https_emulator.base_url))).choices


async def test_a_context_of_ones_own(connect: Connect, https_emulator: Emulator) -> None:
    context = ssl.create_default_context(cafile=https_emulator.ca_bundle_file)
    assert (await ask(connect(https_emulator, ssl_context=context))).choices
    strange = connect(https_emulator, ssl_context=ssl.create_default_context())
    with pytest.raises(APIConnectionError, match="the certificate of"):
        await ask(strange)


class ClientCertificates:
    """An authority for clients, and files with a certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        leaf = self.authority.issue_cert("client@example.com")
        self.ca_file = folder / "client-ca.pem"
        self.cert_file = folder / "client.pem"
        self.key_file = folder / "client.key"
        self.both_file = folder / "both.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        leaf.cert_chain_pems[0].write_to_path(self.cert_file)
        leaf.private_key_pem.write_to_path(self.key_file)
        leaf.private_key_and_cert_chain_pem.write_to_path(self.both_file)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> ClientCertificates:
    return ClientCertificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def strict_emulator(certificates: ClientCertificates) -> Iterator[Emulator]:
    with Emulator(https=True, client_ca=certificates.ca_file) as running:
        yield running


@pytest.fixture
def by_certificate(connect: Connect, strict_emulator: Emulator) -> Callable[..., AsyncClient]:
    """Make clients of the strict emulator that have no key."""

    def make(**options: Any) -> AsyncClient:
        given = {"base_url": strict_emulator.base_url, "ca_bundle_file": strict_emulator.ca_bundle_file}
        return connect(**given, **options)

    return make


@pytest.mark.parametrize("http2", [False, True])
async def test_a_client_certificate_alone_says_who_you_are(
    by_certificate: Connect, strict_emulator: Emulator, certificates: ClientCertificates, http2: bool
) -> None:
    before = len(strict_emulator.requests)
    client = by_certificate(cert_file=certificates.cert_file, key_file=certificates.key_file, http2=http2)
    assert (await ask(client)).choices
    (request,) = strict_emulator.requests[before:]
    assert "authorization" not in request.headers


async def test_a_client_certificate_with_its_key_in_one_file(
    by_certificate: Connect, certificates: ClientCertificates
) -> None:
    assert (await ask(by_certificate(cert_file=str(certificates.both_file)))).choices


async def test_a_client_certificate_beside_a_key(
    connect: Connect, strict_emulator: Emulator, certificates: ClientCertificates
) -> None:
    client = connect(strict_emulator, cert_file=certificates.both_file)
    assert (await ask(client)).choices
    assert strict_emulator.requests[-1].headers["authorization"].startswith("Bearer ")


async def test_a_server_that_demands_a_certificate_and_gets_none(
    connect: Connect, strict_emulator: Emulator, delays: list[float]
) -> None:
    with pytest.raises(APIConnectionError) as caught:
        await ask(connect(strict_emulator))
    assert caught.value.__context__ is None


async def test_certificate_files_are_checked_when_the_client_is_made(
    certificates: ClientCertificates, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    other_key = tmp_path / "other.key"
    trustme.CA().issue_cert("x@example.com").private_key_pem.write_to_path(other_key)
    for options, message in (
        ({"cert_file": tmp_path / "missing.pem"}, r"cert_file: there is no file"),
        ({"cert_file": certificates.cert_file, "key_file": tmp_path / "x"}, "key_file: there is no file"),
        ({"cert_file": certificates.cert_file}, "and its key cannot be loaded"),
        ({"cert_file": certificates.cert_file, "key_file": other_key}, "belong together"),
        ({"key_file": certificates.key_file}, "key_file: it belongs to a certificate"),
        ({"ca_bundle_file": broken}, r"ca_bundle_file: .* holds no certificate"),
        ({"ca_bundle_file": tmp_path / "missing.pem"}, r"ca_bundle_file: .* cannot be read"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            AsyncClient(access_token="t", **options)


async def test_a_file_that_is_gone_by_the_first_call(
    connect: Connect, https_emulator: Emulator, tmp_path: Path
) -> None:
    copy = tmp_path / "ca.pem"
    shutil.copy(https_emulator.ca_bundle_file or "", copy)
    client = connect(https_emulator, ca_bundle_file=copy)
    copy.unlink()
    with pytest.raises(ConfigurationError, match=r"ca_bundle_file: .* cannot be read"):
        await ask(client)


# ---- proxies ----


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with ConnectProxy() as running:
        yield running


async def test_a_proxy_carries_everything(connect: Connect, https_emulator: Emulator, proxy: ConnectProxy) -> None:
    client = connect(https_emulator, proxy=proxy.url.replace("//", "//me:p%40ss@"))
    assert (await ask(client)).choices
    await client.aclose()
    assert set(proxy.targets) == {https_emulator.base_url.split("/")[2]}
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==" in proxy.requests[0]


async def test_a_proxy_over_http2(connect: Connect, https_emulator: Emulator, proxy: ConnectProxy) -> None:
    client = connect(https_emulator, proxy=proxy.url, http2=True)
    assert (await ask(client)).response.http_version == "HTTP/2"
    await client.aclose()


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_proxy_variables_count(
    connect: Connect,
    https_emulator: Emulator,
    proxy: ConnectProxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(https_emulator.ca_bundle_file))
    client = connect(access_token=https_emulator.issue_token(), base_url=https_emulator.base_url)
    await ask(client)
    await client.aclose()
    assert proxy.targets


async def test_hosts_can_be_taken_out(
    connect: Connect, https_emulator: Emulator, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    client = connect(https_emulator)
    await ask(client)
    await client.aclose()
    assert proxy.targets == []


async def test_the_proxy_setting_wins_over_the_variables(
    connect: Connect, https_emulator: Emulator, proxy: ConnectProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("GIGACHAT_PROXY", proxy.url)
    monkeypatch.setenv("GIGACHAT_CA_BUNDLE_FILE", str(https_emulator.ca_bundle_file))
    client = connect(access_token=https_emulator.issue_token(), base_url=https_emulator.base_url)
    await ask(client)
    await client.aclose()
    assert proxy.targets


async def test_a_proxy_over_tls_is_checked_with_the_same_roots(
    connect: Connect, https_emulator: Emulator, tmp_path: Path
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    bundle = tmp_path / "roots.pem"
    shutil.copy(https_emulator.ca_bundle_file or "", bundle)
    authority.cert_pem.write_to_path(bundle, append=True)
    for options in ({"ca_bundle_file": bundle}, {"verify_ssl_certs": False}):
        with ConnectProxy(context) as proxy:
            client = connect(https_emulator, proxy=proxy.url, **options)
            assert (await ask(client)).choices
            await client.aclose()


async def test_a_proxy_that_refuses(connect: Connect, https_emulator: Emulator, delays: list[float]) -> None:
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda connection, request: [answer]) as refusing:
        client = connect(https_emulator, proxy=refusing.url)
        with pytest.raises(APIConnectionError, match=r"the proxy on the way to 127\.0\.0\.1:\d+ refused: 407"):
            await ask(client)
        await client.aclose()
    assert len(delays) == 2


# ---- odds and ends ----


async def test_an_answer_of_a_gateway_with_upper_case_headers(connect: Connect) -> None:
    head = "X-REQUEST-ID: 7\r\nSET-COOKIE: session=secret\r\n"
    with RawServer(lambda connection, request: [plain_answer(b"{}", head=head)]) as server:
        client = connect(access_token="t", base_url=server.url)
        with pytest.raises(APIResponseValidationError) as caught:
            await client.models.list()
        await client.aclose()
    assert caught.value.request_id == "7"
    assert "secret" not in repr(caught.value.response)


@pytest.mark.parametrize("base_url", ["https://xn--/v1", "https://a..ы/v1", "http://[::1%25x]/v1"])
async def test_a_host_that_is_none_is_no_error_of_httpx(connect: Connect, base_url: str) -> None:
    with pytest.raises((ConfigurationError, APIConnectionError)):
        await ask(connect(access_token="t", base_url=base_url), max_retries=0)
