"""Wrong values in messages: in a few words, and never with a failure of their own."""

from __future__ import annotations

from typing import Any

_LONGEST = 120  # characters of a value that is shown in part
_TOO_LONG = 10**20  # Python refuses to write an int of thousands of digits, and nothing needs one of more than twenty
_MANY_DIGITS = "a number of more than 20 digits"


def is_too_long(number: int) -> bool:
    """Say whether a number has more than 20 digits."""
    return abs(number) >= _TOO_LONG


def shown_number(number: Any) -> str:
    """Show a wrong number."""
    return repr(number) if isinstance(number, float) or not is_too_long(number) else _MANY_DIGITS


def shown(value: object) -> str:
    """Show a wrong value where it is short and plain, else name its type."""
    if value is None or isinstance(value, bool):
        return repr(value)
    # The `repr` of the plain types: a class of the user's on top of them may have any other.
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, int):
        return _MANY_DIGITS if is_too_long(value) else int.__repr__(value)
    if isinstance(value, str) and len(value) <= 40:
        return str.__repr__(value)
    return type(value).__name__


def cut_repr(value: object) -> str:
    """Show a value as Python writes it: cut where that is long, and its type where Python cannot."""
    try:
        text = repr(value)
    except Exception:
        return type(value).__name__
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
