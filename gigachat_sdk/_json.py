"""Request bodies as JSON bytes, and where in them stands what JSON cannot hold."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_iterable, is_mapping, is_sequence
from .types._written import as_written


def json_bytes(payload: Mapping[str, Any] | Sequence[Any], extra: Mapping[str, Any] | None = None) -> bytes:
    """Serialise a request body once; what JSON cannot hold is told by its place."""
    if extra is not None:
        if not is_mapping(extra):
            raise InvalidRequestTypeError(
                f"extra_body: expected a dict, got {type(extra).__name__}", param="extra_body"
            )
        payload = {**(payload if is_mapping(payload) else {}), **extra}
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_jsonable)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    place, trouble = _find_trouble(payload, "", 0) or ("the request", reason)
    raise InvalidRequestError(f"{place}: {trouble}", param=place)


def model_document(model: pydantic.BaseModel, name: str) -> Any:
    """Return a model of the user's as the JSON document to send; what JSON cannot hold is told by its place."""
    try:
        return _dumped(model)
    except (ValueError, TypeError, RecursionError) as error:
        reason = _first_line(error)
    place, trouble = _find_trouble(model, "", 0) or (name, reason)
    place = place or name
    raise InvalidRequestError(f"{place}: {trouble}", param=place)


def text_bytes(text: str, name: str) -> bytes:
    """Encode text that is sent as it is; half a character cannot be."""
    at = surrogate(text)
    if at is not None:
        raise InvalidRequestError(f"{name}: character {at} is a lone surrogate, which is no text", param=name)
    return text.encode()


def _jsonable(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return _dumped(value)
    if is_mapping(value):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _dumped(model: pydantic.BaseModel) -> Any:
    """Write a model as pydantic writes it in JSON, dates and all, but let no number become null."""
    written = as_written(model, "json")
    if _hides_nan(as_written(model), written):
        raise ValueError("it holds a number that JSON cannot hold")
    return written


def _hides_nan(plain: Any, written: Any) -> bool:
    if written is None:
        return isinstance(plain, float)
    if is_mapping(plain) and is_mapping(written):
        plain, written = list(plain.values()), list(written.values())
    if is_iterable(plain) and is_sequence(written):
        return any(map(_hides_nan, plain, written))
    return False


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _find_trouble(value: Any, path: str, depth: int, *, is_model: bool = False) -> tuple[str, str] | None:
    """Look for what JSON cannot hold; only called once serialising has failed."""
    if isinstance(value, str):
        at = surrogate(value)
        return (
            None if at is None else (path, f"character {at} is a lone surrogate, which is no text and cannot be sent")
        )
    if value is None or isinstance(value, bool | int):
        return None
    if isinstance(value, float):
        return None if value - value == 0 else (path, f"{value!r} is no number that JSON can hold")
    if depth > 100:
        return re.split(r"[.\[]", path)[0], "it is nested too deeply, or holds itself"
    if isinstance(value, pydantic.BaseModel):
        try:
            value, is_model = as_written(value), True
        except (ValueError, TypeError, RecursionError) as error:
            return path, _first_line(error)
    items: list[tuple[str, Any]]
    if is_mapping(value):
        keys: list[Any] = list(value)
        for key in keys:
            if not isinstance(key, str | int | float | None):
                return path, f"a key of it is a {type(key).__name__}, and JSON has only strings there"
            if isinstance(key, str) and surrogate(key) is not None:
                return path, "a key of it holds a lone surrogate, which is no text and cannot be sent"
        items = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    elif is_sequence(value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    elif is_model and _is_written(value):
        return None
    else:
        return path, f"{type(value).__name__} is not JSON"
    found = (_find_trouble(item, place, depth + 1, is_model=is_model) for place, item in items)
    return next((trouble for trouble in found if trouble), None)


def _is_written(value: Any) -> bool:
    """Say whether pydantic writes a value, such as a date, in JSON."""
    try:
        to_jsonable_python(value)
    except (ValueError, TypeError, RecursionError):
        return False
    return True


def surrogate(text: str) -> int | None:
    """Return where half a character stands that UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None
