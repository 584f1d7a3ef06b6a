"""Values of unknown origin: type guards for what `isinstance` leaves half typed, and whether text is whole."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard


def is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Say whether `value` is a mapping; its keys are checked where it matters."""
    return isinstance(value, Mapping)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Say whether `value` is a dict."""
    return isinstance(value, dict)


def is_sequence(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Say whether `value` is a list or a tuple."""
    return isinstance(value, list | tuple)


def is_buffer(value: object) -> TypeGuard[bytes | bytearray | memoryview[int]]:
    """Say whether `value` holds bytes."""
    return isinstance(value, bytes | bytearray | memoryview)


def is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    """Say whether `value` can be iterated over."""
    return isinstance(value, Iterable)


def is_path(value: object) -> TypeGuard[os.PathLike[str]]:
    """Say whether `value` is a path object."""
    return isinstance(value, os.PathLike)


def surrogate(text: str) -> int | None:
    """Return where half a character (a lone surrogate) stands, which UTF-8 cannot hold; None for text."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def is_utf8(text: str) -> bool:
    """Say whether a string is text that can be sent: half a character (a lone surrogate) cannot."""
    return surrogate(text) is None


def word(value: object) -> object:
    """Return the plain string that a member of an enumeration stands for; anything else stays as it is."""
    if isinstance(value, enum.Enum):
        value = value.value
    return str.__str__(value) if isinstance(value, str) else value
