"""Header fields and query parameters: checked, merged, and hidden where they are secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from ._constants import HIDDEN, SECRET_HEADERS
from .types._narrow import is_mapping, is_sequence, surrogate
from .types._shown import cut_repr, is_too_long


def check_headers(name: str, headers: Any, kind: type[ValueError]) -> Mapping[str, str | None]:
    """Refuse header fields that cannot be sent; the value is not shown, it may be a secret."""
    trouble = _headers_trouble(headers)
    if trouble is None:
        return dict(headers or {})
    del headers  # a traceback with locals must not show it either
    text, is_kind = trouble
    raise (kind if is_kind else _value_error(kind))(f"{name}: {text}")


def _headers_trouble(headers: Any) -> tuple[str, bool] | None:
    """Say what is wrong with header fields, and whether it is their kind."""
    if headers is None:
        return None
    if not is_mapping(headers):
        return f"expected a dict of strings, got {type(headers).__name__}", True
    for key, value in headers.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            return f"expected strings, got {cut_repr(key)}: {type(value).__name__}", True
        is_name = key.isascii() and key.isprintable() and key and not set(key) & set(' "(),/:;<=>?@[\\]{}')
        is_value = value is None or (value.isascii() and value.isprintable() and value == value.strip())
        if not is_name:
            return f"{cut_repr(key)} holds characters that the name of a header cannot (RFC 9110)", False
        if not is_value:
            text = f"the value of {cut_repr(key)} holds characters that a header cannot; give printable ASCII"
            return f"{text}, without spaces around it (RFC 9110)", False
    return None


def check_query(name: str, query: Any, kind: type[ValueError]) -> Mapping[str, Any]:
    """Refuse query parameters that are no dict of plain values."""
    if query is None:
        return {}
    if not is_mapping(query) or not all(isinstance(key, str) for key in query):
        raise kind(f"{name}: expected a dict of parameters, got {type(query).__name__}")
    for key, value in query.items():
        for item in value if is_sequence(value) else (value,):
            if not (item is None or isinstance(item, str | int | float)):
                raise kind(f"{name}: {cut_repr(key)} cannot be a {type(item).__name__}")
            if isinstance(item, int) and is_too_long(item):
                raise _value_error(kind)(f"{name}: {cut_repr(key)} cannot be a number of more than 20 digits")
            if surrogate(_text(key) + _text(item)) is not None:
                raise _value_error(kind)(
                    f"{name}: {cut_repr(key)} holds a lone surrogate, which is no text and cannot be sent"
                )
    return dict(query)


def _value_error(kind: type[ValueError]) -> type[ValueError]:
    """Return the class for a wrong value beside the one for a wrong kind."""
    return kind.__bases__[0]


def query_string(*layers: Mapping[str, Any]) -> str:
    """Merge layers of query parameters, later ones win; None takes one away, booleans are written as JSON does."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    pairs: list[tuple[str, str]] = []
    for name, value in merged.items():
        items = value if is_sequence(value) else (value,)
        pairs += [(_text(name), _text(item)) for item in items if item is not None]
    return urlencode(pairs)


def _text(item: str | float | None) -> str:
    """Write a plain value as an address has it; of a member of an enum its value, where `str` would give its name."""
    if isinstance(item, str):
        return str.__str__(item)
    if item is None or isinstance(item, bool):
        return str(item).lower()
    return int.__repr__(item) if isinstance(item, int) else float.__repr__(item)


class Hidden(dict[str, Any]):
    """Arguments of a call; the repr shows names only, since it may stand in a traceback."""

    def __repr__(self) -> str:
        return f"{{{', '.join(sorted(self))}}}"


class SentHeaders(dict[str, str]):
    """Header fields to send; the repr hides secret values, since it may stand in a traceback."""

    def __repr__(self) -> str:
        return repr({name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in self.items()})


class UserHeaders:
    """The user's header fields, merged without regard to case; the repr shows names only."""

    def __init__(self, *layers: Mapping[str, str | None]) -> None:
        self._fields = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}

    def names(self, name: str) -> bool:
        """Say whether the user speaks of a field, be it to take it away."""
        return name in self._fields

    def get(self, name: str) -> str | None:
        """Return a field's value by its name in lower case; None where it is not sent."""
        return self._fields.get(name, ("", None))[1]

    def over(self, own: Mapping[str, str]) -> SentHeaders:
        """Return what to send: the SDK's own fields with the user's on top; None takes a field away."""
        if not self._fields:
            return SentHeaders(own)
        kept = SentHeaders({name: value for name, value in own.items() if name.lower() not in self._fields})
        kept.update({name: value for name, value in self._fields.values() if value is not None})
        return kept

    def __repr__(self) -> str:
        return f"UserHeaders({', '.join(sorted(self._fields))})"


def hide_authorization(content: bytes, headers: Mapping[str, str], *, is_cut: bool = False) -> bytes:
    """Take our own authorization out of an error body: some proxies show the request that they refuse.

    A body that is cut may end in the middle of it.
    """
    for name, value in headers.items():
        secret = value.rpartition(" ")[2].encode()
        if name.lower() == "authorization" and len(secret) >= 8:  # a shorter one stands in other words by chance
            content = content.replace(secret, HIDDEN.encode())
            lengths = range(len(secret) - 1, 7, -1) if is_cut else ()
            end = next((length for length in lengths if content.endswith(secret[:length])), 0)
            content = content[: len(content) - end] + HIDDEN.encode() if end else content
    return content
