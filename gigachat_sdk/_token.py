"""Tokens and the authorization key, as values: what is valid, what is fresh, what may be shown. No I/O.

Times are Unix seconds; the service gives milliseconds in one place and seconds in another.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from enum import Enum
from typing import TypeGuard

from ._constants import EARLY_REFRESH, EXPIRY_MARGIN
from ._logging import logger
from .errors import ConfigurationError, ConfigurationTypeError
from .types.tokens import AccessToken

# 1e11 seconds is the year 5138, 1e11 milliseconds is 1973: no token of either unit lies on the wrong side.
_MILLISECONDS_FROM = 1e11
_LATEST = 1e15  # Python would not make a float of an integer of hundreds of digits


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
    if not value or not value > 0:  # NaN is not greater than anything
        return None
    return value / 1000 if value >= _MILLISECONDS_FROM else float(value)


def is_end(value: object) -> TypeGuard[float | None]:
    """Say whether a value that was kept beside a token can be its `expires_at`: Unix seconds, None for never."""
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST


def usable_until(expires_at: float | None, now: float) -> float | None:
    """Return when a token that was issued just now ends; None where this machine's clock cannot tell.

    A new token that seems to have ended already means that the clock runs ahead. It is used until the service refuses
    it; else every call would buy another one.
    """
    if expires_at is not None and expires_at - EXPIRY_MARGIN <= now:
        logger.warning("a new token seems to have ended already: is the clock of this machine right?")
        return None
    return expires_at


def check_header_value(name: str, value: str) -> str:
    """Return a secret that can stand in a header field; refuse another without showing it."""
    trouble = _value_trouble(value)
    if trouble is None:
        return value
    kind = type(value)
    del value  # a traceback with locals must not show it
    raise _refusal(name, kind, trouble)


def check_credentials(name: str, value: str) -> str:
    """Return an authorization key that the service can decode; refuse another without showing it.

    The key is base64 of `client_id:client_secret`, issued as one string.
    """
    trouble = _key_trouble(value)
    if trouble is None:
        return value
    kind = type(value)
    del value
    raise _refusal(name, kind, trouble)


def _refusal(name: str, kind: type, trouble: str) -> ConfigurationError:
    if kind is not str:
        return ConfigurationTypeError(f"{name}: expected a string, got {kind.__name__}")
    return ConfigurationError(f"{name}: {trouble}")


def _value_trouble(value: object) -> str | None:
    """Say what is wrong with a secret, in words that do not show it."""
    again = "; copy it again as it was issued"
    if not isinstance(value, str):
        return "no string"
    if not value:
        return "the value is empty"
    if value != value.strip():
        return "there is white space (a space or a line end) at its beginning or end" + again
    if any(character.isspace() for character in value):
        return "there is white space inside" + again
    if not value.isascii():
        return "there are characters outside ASCII" + again
    return None if value.isprintable() else "there are control characters" + again


def _key_trouble(value: object) -> str | None:
    if isinstance(value, str) and value.lower().startswith("basic "):
        return "give the authorization key alone, without the word 'Basic' before it"
    trouble = _value_trouble(value)
    if trouble is None and isinstance(value, str):
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return (
                "this is not base64; use the authorization key of your account (one string issued ready to use), not "
                "the client id or the client secret"
            )
    return trouble


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
