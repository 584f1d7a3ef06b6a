"""`_tls.py`: the bundled root, what is added to it, and files that cannot be used, told when the client is built."""

from __future__ import annotations

import base64
import hashlib
import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from gigachat_sdk import _tls
from gigachat_sdk._tls import BUNDLED_CA_FILE, TLSConfig, cached_context, refused_certificate_message, ssl_context
from gigachat_sdk.errors import ConfigurationError

BUNDLED_CA_SHA256 = "D2:6D:2D:02:31:B7:C3:9F:92:CC:73:85:12:BA:54:10:35:19:E4:40:5D:68:B5:BD:70:3E:97:88:CA:8E:CF:31"
PASSWORD = "s3cr3t-пароль"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build every context anew, and leave none of a test's behind."""
    monkeypatch.setattr(_tls, "_contexts", {})


class Files:
    """A private authority, a client certificate of it, and files that are no good."""

    def __init__(self, folder: Path) -> None:
        authority, other = trustme.CA(), trustme.CA()
        issued = authority.issue_cert("client@example.com")
        key = issued.private_key_pem.bytes()
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        loaded = load_pem_private_key(key, None)
        encryption = BestAvailableEncryption(PASSWORD.encode())
        contents = {
            "ca": authority.cert_pem.bytes(),
            "two_cas": authority.cert_pem.bytes() + other.cert_pem.bytes(),
            "cert": chain,
            "key": key,
            "both": key + chain,
            "pkcs8": loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "encrypted": loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption),
            "other_key": other.issue_cert("other@example.com").private_key_pem.bytes(),
            "der": ssl.PEM_cert_to_DER_cert(authority.cert_pem.bytes().decode()),
            "empty": b"",
            "text": b"this is no certificate\n",
            "broken": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        }
        for name, content in contents.items():
            (folder / f"{name}.pem").write_bytes(content)
        (folder / "folder.pem").mkdir()
        self.folder = folder

    def __call__(self, name: str) -> str:
        return str(self.folder / f"{name}.pem")

    def config(self, **names: str | None) -> TLSConfig:
        paths = {name: None if file is None else self(file) for name, file in names.items()}
        return TLSConfig(**paths)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("certificates"))


def fingerprints(context: ssl.SSLContext) -> set[str]:
    return {hashlib.sha256(der).hexdigest() for der in context.get_ca_certs(binary_form=True)}


def fingerprint(path: str | Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(Path(path).read_text("ascii"))).hexdigest()


def test_the_bundled_root_is_the_published_one() -> None:
    text = BUNDLED_CA_FILE.read_text("ascii")
    blocks = text.split("-----BEGIN CERTIFICATE-----")[1:]
    assert len(blocks) == 1
    der = base64.b64decode(blocks[0].partition("-----END CERTIFICATE-----")[0])
    assert hashlib.sha256(der).digest() == bytes.fromhex(BUNDLED_CA_SHA256.replace(":", ""))


def test_the_default_context_verifies_and_adds_the_bundled_root_to_the_usual_ones() -> None:
    context = ssl_context(TLSConfig())
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert fingerprint(BUNDLED_CA_FILE) in fingerprints(context)
    assert len(fingerprints(context)) > 20


def test_nothing_else_in_the_process_trusts_the_bundled_root() -> None:
    ssl_context(TLSConfig())
    assert fingerprint(BUNDLED_CA_FILE) not in fingerprints(ssl.create_default_context())


@pytest.mark.parametrize("name", ["ca", "two_cas"])
def test_a_bundle_of_the_users_adds_to_the_roots(files: Files, name: str) -> None:
    usual = fingerprints(ssl_context(TLSConfig()))
    added = fingerprints(ssl_context(files.config(ca_bundle_file=name)))
    assert usual < added
    assert fingerprint(files("ca")) in added
    assert len(added - usual) == (2 if name == "two_cas" else 1)


def test_the_roots_of_the_environment_count_as_in_httpx(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", files("ca"))
    assert fingerprints(ssl_context(TLSConfig())) == {fingerprint(files("ca")), fingerprint(BUNDLED_CA_FILE)}


@pytest.mark.parametrize("name", [None, "ca"])
@pytest.mark.parametrize("is_used", [True, False])
def test_verify_false_means_false_whatever_else_is_given(files: Files, name: str | None, is_used: bool) -> None:
    config = replace(files.config(ca_bundle_file=name, cert_file="both"), verify=False, is_used=is_used)
    context = ssl_context(config)
    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_a_client_of_plain_addresses_reads_no_roots_and_would_trust_nobody() -> None:
    context = ssl_context(TLSConfig(is_used=False))
    assert fingerprints(context) == set()
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_a_ready_context_is_used_as_it_is() -> None:
    mine = ssl.create_default_context()
    before = fingerprints(mine)
    assert cached_context(TLSConfig(ssl_context=mine)) is mine
    assert ssl_context(TLSConfig(ssl_context=mine)) is mine
    assert fingerprints(mine) == before


def test_equal_configurations_share_one_context_and_others_do_not(files: Files) -> None:
    config = files.config(ca_bundle_file="ca")
    assert cached_context(config) is None
    context = ssl_context(config)
    assert cached_context(config) is context
    assert ssl_context(files.config(ca_bundle_file="ca")) is context
    assert ssl_context(TLSConfig()) is not context
    assert ssl_context(replace(config, verify=False)) is not context


@pytest.mark.parametrize(
    ("cert", "key", "password"),
    [
        ("both", None, None),
        ("cert", "key", None),
        ("cert", "pkcs8", None),
        ("cert", "encrypted", PASSWORD),
        ("cert", "key", "not needed"),
    ],
)
def test_client_certificates_are_loaded(files: Files, cert: str, key: str | None, password: str | None) -> None:
    secret = None if password is None else SecretStr(password)
    config = replace(files.config(cert_file=cert, key_file=key), key_file_password=secret)
    config.check()
    context = ssl_context(config)
    assert fingerprint(BUNDLED_CA_FILE) in fingerprints(context)


def test_the_server_sees_the_client_certificate(files: Files) -> None:
    """Over memory alone: a handshake in which the server insists on a certificate of the private authority."""
    authority = trustme.CA()
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server_side)
    server_side.load_verify_locations(files("ca"))
    server_side.verify_mode = ssl.CERT_REQUIRED
    with authority.cert_pem.tempfile() as roots:
        config = TLSConfig(ca_bundle_file=roots, cert_file=files("cert"), key_file=files("key"))
        client_side = ssl_context(config)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="localhost")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        for side in (client, server):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
    certificate: Any = server.getpeercert()
    assert ("email", "client@example.com") in {(kind.lower(), name) for kind, name in certificate["subjectAltName"]}


@pytest.mark.parametrize("name", ["missing", "empty", "folder", "text", "broken", "key", "der"])
def test_a_bundle_that_cannot_be_used_is_told_by_its_name(files: Files, name: str) -> None:
    config = files.config(ca_bundle_file=name)
    for use in (config.check, lambda: ssl_context(config)):
        with pytest.raises(ConfigurationError) as caught:
            use()
        message = str(caught.value)
        assert message.startswith(f"ca_bundle_file: {files(name)!r} ")
        assert "\n" not in message
        assert caught.value.__suppress_context__
    assert cached_context(config) is None


@pytest.mark.parametrize(
    ("cert", "key", "password", "setting"),
    [
        ("missing", "key", None, "cert_file"),
        ("empty", "key", None, "cert_file"),
        ("folder", "key", None, "cert_file"),
        ("text", "key", None, "cert_file"),
        ("broken", "key", None, "cert_file"),
        ("key", None, None, "cert_file"),
        ("cert", None, None, "cert_file"),
        ("cert", "missing", None, "key_file"),
        ("cert", "folder", None, "key_file"),
        ("cert", "empty", None, "cert_file"),
        ("cert", "other_key", None, "cert_file"),
        ("cert", "encrypted", None, "cert_file"),
        ("cert", "encrypted", "", "cert_file"),
        ("cert", "encrypted", "s3cr3t-wrong", "cert_file"),
        ("cert", "encrypted", "s3cr3t" * 1000, "cert_file"),
    ],
)
def test_a_client_certificate_that_cannot_be_used_is_told_by_its_name(
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    cert: str,
    key: str | None,
    password: str | None,
    setting: str,
) -> None:
    def nobody_answers(*_: object) -> str:
        raise AssertionError("asked on the terminal")

    monkeypatch.setattr("builtins.input", nobody_answers)
    monkeypatch.setattr("getpass.getpass", nobody_answers)
    secret = None if password is None else SecretStr(password)
    config = replace(files.config(cert_file=cert, key_file=key), key_file_password=secret)
    with pytest.raises(ConfigurationError) as caught:
        config.check()
    message = str(caught.value)
    assert message.startswith(f"{setting}: ")
    assert "s3cr3t" not in message + repr(config)
    assert capfd.readouterr() == ("", "")  # OpenSSL's own prompt goes to the terminal


def test_checking_reads_no_roots_and_passes_where_nothing_is_given(files: Files) -> None:
    TLSConfig().check()
    files.config(ca_bundle_file="two_cas").check()
    assert _tls._contexts == {}


def test_the_repr_of_a_configuration_shows_no_password() -> None:
    config = TLSConfig(key_file_password=SecretStr(PASSWORD), ssl_context=ssl.create_default_context())
    assert PASSWORD not in repr(config)
    assert "SSLContext" not in repr(config)


def test_a_refused_certificate_is_explained() -> None:
    message = refused_certificate_message("api.giga.chat", "self-signed certificate in certificate chain")
    assert "the certificate of api.giga.chat was refused: self-signed certificate in certificate chain" in message
    for words in ("Russian Trusted Root CA", "ca_bundle_file=", "GIGACHAT_CA_BUNDLE_FILE"):
        assert words in message
