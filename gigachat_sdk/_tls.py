"""TLS contexts: the usual roots, the bundled Russian root, and what the user adds; one per configuration.

The bundled CA is loaded into contexts of this SDK alone; nothing else in the process, and nothing on the machine, is
made to trust it. A client certificate is loaded into the same context: httpx 0.28 silently drops it when it is given
as `cert=` beside `verify=<path>`.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr

from ._constants import BUNDLED_CA_NAME
from .errors import ConfigurationError

BUNDLED_CA_FILE = Path(__file__).with_name("certs") / "russian_trusted_root_ca.pem"


@dataclass(frozen=True)
class TLSConfig:
    """What decides a TLS context; equal configurations share one.

    Attributes:
        verify: Whether certificates and host names are checked.
        ca_bundle_file: PEM file of further roots.
        cert_file: PEM file of the client certificate.
        key_file: PEM file of its key; None when the key stands in `cert_file`.
        key_file_password: Password of the key.
        ssl_context: A ready context, used as it is.
        is_used: False when no address is https: then no roots need to be read.
    """

    verify: bool = True
    ca_bundle_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_file_password: SecretStr | None = None
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)
    is_used: bool = True

    def check(self) -> None:
        """Refuse files that are missing or hold no certificate now rather than at the first call."""
        scratch = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.ca_bundle_file is not None:
            _load_ca(scratch, self.ca_bundle_file)
        if self.cert_file is not None:
            _load_certificate(scratch, self.cert_file, self)


_contexts: dict[object, ssl.SSLContext] = {}


def _key(config: TLSConfig) -> object:
    """What decides a context: the settings, and the files as they are now; a renewed file makes a new context."""
    files = [config.ca_bundle_file, config.cert_file, config.key_file]
    return config, *(None if path is None else _identity(path) for path in files)


def _identity(path: str) -> object:
    try:
        facts = Path(path).stat()
    except OSError:
        return str(Path(path).absolute())
    return str(Path(path).absolute()), facts.st_mtime_ns, facts.st_size, facts.st_ino


def cached_context(config: TLSConfig) -> ssl.SSLContext | None:
    """Return the context of `config` where it is ready or costs nothing, else None."""
    return config.ssl_context or _contexts.get(_key(config))


def ssl_context(config: TLSConfig) -> ssl.SSLContext:
    """Return the context of `config`, built on the first call (some 17 ms: the usual roots are many)."""
    context = cached_context(config)
    if context is None:
        context = _contexts.setdefault(_key(config), _build(config))
    return context


def _build(config: TLSConfig) -> ssl.SSLContext:
    if config.verify and config.is_used:
        context = _usual_roots()
        context.load_verify_locations(cafile=BUNDLED_CA_FILE)
        if config.ca_bundle_file is not None:
            _load_ca(context, config.ca_bundle_file)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not config.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
    if config.cert_file is not None:
        _load_certificate(context, config.cert_file, config)
    return context


def _usual_roots() -> ssl.SSLContext:
    """Roots of SSL_CERT_FILE and SSL_CERT_DIR where these are set, else certifi's."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one
        reason = error.strerror or str(error)
    named = [f"{name}={os.environ[name]!r}" for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if name in os.environ]
    raise ConfigurationError(
        f"the usual root certificates cannot be read ({reason}): look at {', '.join(named) or 'certifi'}"
    )


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"ca_bundle_file: {path!r} holds no certificate that OpenSSL can use ({error.reason or 'unknown reason'}); "
            "it must be a text file of PEM certificates"
        ) from None
    except (OSError, ValueError) as error:  # a NUL in a path, or half a character, is a ValueError
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"ca_bundle_file: {path!r} cannot be read: {reason}") from None


def _load_certificate(context: ssl.SSLContext, cert_file: str, config: TLSConfig) -> None:
    for name, path in (("cert_file", cert_file), ("key_file", config.key_file)):
        if path is not None and not Path(path).is_file():
            raise ConfigurationError(f"{name}: there is no file {path!r}")
    password = config.key_file_password
    try:
        # A function, even for no password: else OpenSSL would ask on the terminal.
        context.load_cert_chain(
            cert_file, config.key_file, password=lambda: password.get_secret_value() if password else ""
        )
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(
            f"cert_file: {cert_file!r} and its key cannot be loaded ({reason}); both must be PEM, belong "
            "together, and an encrypted key needs key_file_password"
        ) from None


def refused_certificate_message(host: str, reason: str) -> str:
    """Say why a server's certificate was refused, and which setting adds a root."""
    return (
        f"the certificate of {host} was refused: {reason}. GigaChat's hosts chain to '{BUNDLED_CA_NAME}', which this "
        "SDK brings along; where another authority signs (a proxy that inspects TLS, a host inside a bank), give its "
        "root as a PEM file with ca_bundle_file= or GIGACHAT_CA_BUNDLE_FILE"
    )
