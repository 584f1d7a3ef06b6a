"""Tokens and the authorization key, as values: what is valid, what is fresh, what may be shown. No I/O.

Times are Unix seconds; the service gives milliseconds in one place and seconds in another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import Enum

from ._constants import EARLY_REFRESH, EXPIRY_MARGIN
from .errors import ConfigurationError, ConfigurationTypeError
from .types.tokens import AccessToken

# 1e11 seconds is the year 5138, 1e11 milliseconds is 1973: no token of either unit lies on the wrong side.
_MILLISECONDS_FROM = 1e11


class Freshness(Enum):
    """What may be done with a token."""

    FRESH = "use it"
    AGEING = "use it, and let one caller renew it"
    EXPIRED = "do not use it"


def freshness(token: AccessToken | None, now: float) -> Freshness:
    """Say what may be done with `token` at `now` (Unix seconds)."""
    if token is None:
        return Freshness.EXPIRED
    if token.expires_at is None or now < token.expires_at - EARLY_REFRESH:
        return Freshness.FRESH
    return Freshness.AGEING if now < token.expires_at - EXPIRY_MARGIN else Freshness.EXPIRED


def unix_seconds(value: float | None) -> float | None:
    """Normalise a time that is given in seconds or in milliseconds, told apart by its size; 0 and None mean never."""
    if not value:
        return None
    return value / 1000 if value >= _MILLISECONDS_FROM else float(value)


def check_header_value(name: str, value: str) -> str:
    """Refuse a secret that cannot stand in a header field, without showing it."""
    trouble = _trouble(value)
    if trouble:
        raise ConfigurationError(f"{name}: {trouble}; copy it again as it was issued")
    return value


def check_credentials(name: str, value: str) -> str:
    """Refuse an authorization key that the service could not decode, without showing it.

    The key is base64 of `client_id:client_secret`, issued as one string.
    """
    if value.lower().startswith("basic "):
        raise ConfigurationError(f"{name}: give the authorization key alone, without the word 'Basic' before it")
    check_header_value(name, value)
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(
            f"{name}: this is not base64; use the authorization key of your account (one string issued ready to use), "
            "not the client id or the client secret"
        ) from None
    return value


def _trouble(value: str) -> str | None:
    if not isinstance(value, str):
        raise ConfigurationTypeError(f"expected a string, got {type(value).__name__}")
    if not value:
        return "the value is empty"
    if value != value.strip():
        return "there is white space (a space or a line end) at its beginning or end"
    if any(character.isspace() for character in value):
        return "there is white space inside"
    if not value.isascii():
        return "there are characters outside ASCII"
    if not value.isprintable():
        return "there are control characters"
    return None


def basic_credentials(user: str, password: str) -> str:
    """Return `user:password` as it stands after `Basic` (RFC 7617, UTF-8)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def store_key(kind: str, *parts: str) -> str:
    """Return the name a token is stored under: a digest of everything that decides which token it is.

    The parts are told apart by their lengths, so that no two lists of parts share a digest by shifting a boundary.
    """
    digest = hashlib.sha256()
    for part in (kind, *parts):
        data = part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return f"{kind}:{digest.hexdigest()}"
