"""Lists that the service may leave out or send as null: always a list for whoever reads them."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import GetCoreSchemaHandler, SerializerFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

T = TypeVar("T")


class _Null(list[Any]):
    """An empty list that came as null, and is written as null again."""


def _as_list(value: list[Any] | None) -> list[Any]:
    return _Null() if value is None else value


def _as_came(value: object, write: SerializerFunctionWrapHandler) -> Any:
    return None if isinstance(value, _Null) and not value else write(value)


class _NullIsEmpty:
    """Marks a list that may come as null.

    Not a validator before the list: that one would have the list made of Python objects first, which costs more than
    reading it from its bytes.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            _as_list,
            core_schema.nullable_schema(handler(source)),
            serialization=core_schema.wrap_serializer_function_ser_schema(_as_came),
        )


Items: TypeAlias = Annotated[list[T], _NullIsEmpty()]
"""A list; null counts as an empty one, and `to_dict()` gives null again."""
