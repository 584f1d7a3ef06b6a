"""Request bodies as JSON bytes, and where in them stands what JSON cannot hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_mapping, is_sequence, surrogate
from .types._written import as_json, as_written, first_line, jsonable


def json_bytes(
    payload: Mapping[str, Any] | Sequence[Any], extra: Mapping[str, Any] | None = None, name: str = ""
) -> bytes:
    """Serialise a request body once; what JSON cannot hold is told by its place.

    Args:
        payload: The body; its fields are arguments of the caller's, unless it has a name.
        extra: The `extra_body` of the call, whose fields win.
        name: What the caller calls the body, where it is a single argument.
    """
    merged: Any = payload
    if extra is not None:
        if not is_mapping(extra):
            raise InvalidRequestTypeError(
                f"extra_body: expected a dict, got {type(extra).__name__}", param="extra_body"
            )
        payload = payload if is_mapping(payload) else {}
        merged = {**payload, **extra}
    try:
        text = json.dumps(merged, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=jsonable)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    if extra is not None:
        merged = {key: item for key, item in merged.items() if key not in extra}
    found = _find_trouble(merged, name, 0) or (extra and _find_trouble(extra, "extra_body", 0))
    place, trouble = found or (name, reason)
    place = place or "the request"
    raise InvalidRequestError(f"{place}: {trouble}", param=place)


def model_document(model: pydantic.BaseModel, name: str) -> Any:
    """Return a model of the user's as the JSON document to send; what JSON cannot hold is told by its place."""
    try:
        return as_json(model)
    except (ValueError, TypeError, RecursionError) as error:
        reason = first_line(error)
    place, trouble = _find_trouble(model, name, 0) or (name, reason)
    raise InvalidRequestError(f"{place}: {trouble}", param=place)


def text_bytes(text: str, name: str) -> bytes:
    """Encode text that is sent as it is; half a character cannot be."""
    at = surrogate(text)
    if at is not None:
        raise InvalidRequestError(f"{name}: character {at} is a lone surrogate, which is no text", param=name)
    return text.encode()


def _find_trouble(value: Any, path: str, depth: int, *, is_model: bool = False) -> tuple[str, str] | None:
    """Look for what JSON cannot hold; only called once serialising has failed."""
    if isinstance(value, str):
        at = surrogate(value)
        return (
            None if at is None else (path, f"character {at} is a lone surrogate, which is no text and cannot be sent")
        )
    if value is None or (isinstance(value, int) and _can_be_written(value)):
        return None
    if isinstance(value, int):
        return path, "a number of thousands of digits cannot be sent"
    if isinstance(value, float):
        return None if value - value == 0 else (path, f"{value!r} is no number that JSON can hold")
    if depth > 100:
        return re.split(r"[.\[]", path)[0], "it is nested too deeply, or holds itself"
    if isinstance(value, pydantic.BaseModel):
        try:
            value, is_model = as_written(value), True
        except (ValueError, TypeError, RecursionError) as error:
            return path, first_line(error)
    items: list[tuple[str, Any]]
    if is_mapping(value):
        keys: list[Any] = list(value)
        for key in keys:
            if not isinstance(key, str | int | float | None):
                return path, f"a key of it is a {type(key).__name__}, and JSON has only strings there"
            if isinstance(key, str) and surrogate(key) is not None:
                return path, "a key of it holds a lone surrogate, which is no text and cannot be sent"
            if isinstance(key, int) and not _can_be_written(key):
                return path, "a key of it is a number of thousands of digits, which cannot be sent"
        items = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    elif is_sequence(value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    elif is_model and _is_written(value):
        return None
    else:
        return path, f"{type(value).__name__} is not JSON"
    found = (_find_trouble(item, place, depth + 1, is_model=is_model) for place, item in items)
    return next((trouble for trouble in found if trouble), None)


def _can_be_written(number: int) -> bool:
    """Say whether Python writes a number; it refuses those of some thousands of digits."""
    try:
        int.__repr__(number)
    except ValueError:
        return False
    return True


def _is_written(value: Any) -> bool:
    """Say whether pydantic writes a value, such as a date, in JSON."""
    try:
        to_jsonable_python(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True
