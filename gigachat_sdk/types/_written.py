"""What a model stands for in a request: an answer of the service as it came, a model of the user's as he wrote it."""

from __future__ import annotations

from typing import Any, Literal, TypeGuard

import pydantic

from ._base import BaseModel
from ._narrow import is_dict, is_iterable, is_mapping, is_sequence


def as_written(model: pydantic.BaseModel, mode: Literal["python", "json"] = "python") -> Any:
    """Return a model as plain data, by its aliases.

    Of an answer of the service, also of one inside of a model of the user's, that is what had come. Of any other
    model it is what was set, an explicit None included, and the defaults of its class that are not None.

    Args:
        model: An answer, or a model of the user's.
        mode: `"json"` writes dates and the like as pydantic writes them in JSON.
    """
    if isinstance(model, BaseModel):
        return model.model_dump(exclude_unset=True, by_alias=True, mode=mode)
    # First the one that has everything: a field that can be read only once is empty in the other.
    whole = model.model_dump(exclude_none=True, by_alias=True, mode=mode)
    given = model.model_dump(exclude_unset=True, by_alias=True, mode=mode, warnings=False)
    return _merged(given, whole, model)


def as_json(model: pydantic.BaseModel) -> Any:
    """Write a model as pydantic writes it in JSON, dates and all, but let no number become null.

    Raises:
        ValueError: It holds what JSON cannot hold. Serializers of the user's may raise a TypeError as well.
    """
    written = as_written(model, "json")
    if _hides_nan(as_written(model), written):
        raise ValueError("it holds a number that JSON cannot hold")
    return written


def jsonable(value: object) -> object:
    """Return what stands in a document for something that `json` does not know; the `default` of its encoder."""
    if isinstance(value, pydantic.BaseModel):
        return as_json(value)
    if is_mapping(value):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def first_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return str(error).partition("\n")[0] or type(error).__name__


def _hides_nan(plain: Any, written: Any) -> bool:
    if written is None:
        return isinstance(plain, float)
    if is_mapping(plain) and is_mapping(written):
        plain, written = list(plain.values()), list(written.values())
    if is_iterable(plain) and is_sequence(written):
        return any(map(_hides_nan, plain, written))
    return False


def _merged(given: Any, whole: Any, source: Any) -> Any:
    """Put together what was set and what is not None, in the order of the fields."""
    if isinstance(source, BaseModel):
        return given
    if is_dict(given) and is_dict(whole):
        held = _by_key(source)
        merged: dict[str, Any] = {}
        for name in dict.fromkeys((*held, *whole, *given)):
            if name in given and name in whole:
                merged[name] = _merged(given[name], whole[name], held.get(name))
            elif name in given or name in whole:
                merged[name] = given[name] if name in given else whole[name]
        return merged
    if is_sequence(given) and is_sequence(whole) and len(given) == len(whole):
        held = _held(source)
        items = held if is_sequence(held) and len(held) == len(given) else [None] * len(given)
        return list(map(_merged, given, whole, items))
    return whole


def _is_root(value: object) -> TypeGuard[pydantic.RootModel[Any]]:
    return isinstance(value, pydantic.RootModel)


def _held(source: Any) -> Any:
    """Return what stands in the place of a model that is written as its root."""
    return source.root if _is_root(source) else source


def _by_key(source: Any) -> dict[str, Any]:
    """Return what a model or a dict holds, by the keys it is written with."""
    source = _held(source)
    if isinstance(source, pydantic.BaseModel):
        fields = type(source).model_fields
        named = {info.serialization_alias or name: getattr(source, name, None) for name, info in fields.items()}
        return {**named, **(source.__pydantic_extra__ or {})}
    return dict(source) if is_mapping(source) else {}
