"""Kinds of fields that several requests share, with what is refused before sending."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from ._narrow import is_dict, is_sequence
from ._shown import cut_repr
from .chat_params import FunctionParam
from .chat_request import Text as Text
from .chat_request import function_dict, listed, plain

MOST_METADATA = 16
_FUNCTION_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")

Texts: TypeAlias = Annotated[list[str], BeforeValidator(listed)]
"""Strings from any iterable; a single string is a mistake."""

Ids: TypeAlias = Annotated[list[Text], BeforeValidator(listed), Field(min_length=1)]
"""At least one id, from any iterable."""


def text_or_texts(value: object) -> object:
    """Leave a string as it is, and take any other iterable once."""
    texts = listed(value)
    if isinstance(texts, str) or is_sequence(texts):
        return texts
    raise PydanticCustomError("texts_type", "expected a string, or a list of strings")


def _pairs(value: object) -> object:
    value = plain(value)
    if is_dict(value):
        keys: list[Any] = list(value)
        wrong = [key for key in keys if not isinstance(key, str)]
        if wrong:
            raise PydanticCustomError("metadata", "expected strings as keys, got {key}", {"key": cut_repr(wrong[0])})
        if len(keys) > MOST_METADATA:
            raise PydanticCustomError(
                "metadata",
                "the service keeps {most} pairs at most, got {count}",
                {"most": MOST_METADATA, "count": len(keys)},
            )
    return value


Metadata: TypeAlias = Annotated[dict[str, Any], BeforeValidator(_pairs)]
"""Up to 16 pairs of the user's own."""


def _named(function: FunctionParam) -> FunctionParam:
    if not _FUNCTION_NAME.fullmatch(function["name"]):
        raise PydanticCustomError(
            "function_name",
            "the service takes no function named {name}: Latin letters, digits, '_', '-' and '.', no digit first",
            {"name": cut_repr(function["name"])},
        )
    return function


NamedFunctions: TypeAlias = Annotated[
    list[Annotated[FunctionParam, BeforeValidator(function_dict), AfterValidator(_named)]] | None,
    BeforeValidator(listed),
]
"""Functions whose names the service takes."""


def function_document(value: object) -> object:
    """Make a dict of a function that may be wrong in any way but this."""
    value = plain(value)
    if is_dict(value):
        return value
    raise PydanticCustomError("document_type", "expected a dict, or a function of `functions.convert(...)`")
