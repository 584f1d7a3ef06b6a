"""Addresses of a Redis: which are none, and how one is shown without its password."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from ._constants import HIDDEN
from ._headers import Hidden
from .errors import ConfigurationError

_SCHEME: Final = re.compile(r"(?:redis|rediss|unix)://")
# Without an `@`, and nothing in it can be meant as a password: "default:s3cret" is none of these.
_HARMLESS: Final = re.compile(
    r"(?:[a-z][a-z+]*:/{1,2})?(?:(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?)?(?:/[^@?#:[\]]*)?(?:\?[^@#]*)?"
)
_UNKNOWN: Final = re.compile(r"unexpected keyword argument '(\w+)'")


def made_client(given: Hidden, name: str, **options: Any) -> Any:
    """Return the client of redis-py for an address; it is not connected yet.

    Args:
        given: Has the address as `address`.
        name: What the argument is called, for errors.
        options: For connections.

    Raises:
        ConfigurationError: It is no address of a Redis, or has a parameter that redis-py does not take.
    """
    made = _NO_ADDRESS if _is_mistaken(given["address"]) else _made(given, options)
    if not isinstance(made, str):
        return made
    is_cut = made == _NO_ADDRESS and _SCHEME.match(given["address"]) and any(mark in given["address"] for mark in "@#")
    hint = "; escape special characters of the password, as in %2F for '/'" if is_cut else ""
    raise ConfigurationError(f"{name}: {shown(given['address'])!r} {made}{hint}")


def _made(given: Hidden, options: dict[str, Any]) -> Any:
    """Return a client, or what is wrong."""
    import redis

    kind: Any = redis.Redis  # `from_url` has no types in all versions
    client: Any = None
    try:
        client = kind.from_url(given["address"], **options)
        pool = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # which is where parameters are looked at
    except TypeError as error:
        return _mistaken_parameter(given["address"], str(error))
    except Exception:  # of several kinds; its text has parts of the address in it, the password maybe
        return _NO_ADDRESS if client is None else _WRONG_PARAMETER
    return client


def shown(address: str) -> str:
    """Return an address, or what was meant to be one, without what may be a password."""
    before, mark, after = address.rpartition("@")
    if not mark:
        return _without_values(address) if _HARMLESS.fullmatch(address) else HIDDEN
    if "?" in before:  # of an address with `?password=`, the mark may be a part
        return HIDDEN
    scheme = _SCHEME.match(before)
    return f"{scheme[0] if scheme else ''}{HIDDEN}@{_without_values(after)}"


def _without_values(address: str) -> str:
    """Hide the values of all parameters: the name of one that is for a password may be misspelt."""
    before, mark, query = address.partition("?")
    parts = [f"{part.partition('=')[0]}={HIDDEN}" if "=" in part else HIDDEN for part in query.split("&")]
    return f"{before}{mark}{'&'.join(parts)}" if mark else before


_NO_ADDRESS: Final = (
    "is no address of a Redis; they look like 'redis://:password@host:6379/0', 'rediss://...' over TLS, "
    "or 'unix:///path'"
)
_WRONG_PARAMETER: Final = "has a parameter with a value that redis-py does not take"


def _is_mistaken(address: str) -> bool:
    """Say whether an address is wrong, be it that redis-py would take it: it ignores what it does not know."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return True
    if parts.scheme == "unix":
        is_cut = not parts.path or bool(parts.netloc and "@" not in parts.netloc)
    else:
        is_cut = "@" in parts.path or any("@" in part and "=" not in part for part in parts.query.split("&"))
    return is_cut or "#" in address or not _SCHEME.match(address)


def _mistaken_parameter(address: str, text: str) -> str:
    query, found = urlsplit(address).query, _UNKNOWN.search(text)
    if "@" in query or found is None or found[1] not in parse_qs(query, keep_blank_values=True):
        return _NO_ADDRESS  # what looks like a name may be a part of the password
    return f"has a parameter that redis-py does not know: {found[1]}"
