"""What every model shares: unknown fields are kept, and an answer remembers how it came."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pydantic
from pydantic import ConfigDict
from pydantic_core import PydanticSerializationError
from typing_extensions import Self

from ._narrow import is_sequence
from .http import ResponseInfo

T = TypeVar("T")


def slot_of(model: pydantic.BaseModel, name: str, default: Any) -> Any:
    """Return what a slot of a model holds, never a field of that name that the service sent (internal)."""
    try:
        return object.__getattribute__(model, name)
    except AttributeError:
        return default


class BaseModel(pydantic.BaseModel):
    """A pydantic model that keeps fields it does not know.

    Fields that the service sends and this SDK does not know yet are attributes like the known ones, and stand in
    `to_dict()`.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow", protected_namespaces=(), defer_build=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that came, known and unknown, as plain Python data.

        For an answer of the service it equals the JSON document that came; only function arguments that came as a
        string or as null are given as the object they hold, and half a character (a lone surrogate) as U+FFFD.

        Example:
            >>> from gigachat_sdk.types import Usage
            >>> Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3).to_dict()
            {'prompt_tokens': 1, 'completion_tokens': 2, 'total_tokens': 3}
        """
        return self.model_dump(exclude_unset=True, by_alias=True)

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON text; Cyrillic stays readable.

        Args:
            indent: Spaces per level; None, the default, for one line.
        """
        try:
            return self.model_dump_json(exclude_unset=True, by_alias=True, indent=indent)
        except PydanticSerializationError:  # half a character, which JSON can spell and UTF-8 cannot
            separators = (",", ":") if indent is None else None
            return json.dumps(self.to_dict(), indent=indent, separators=separators)


class RequestModel(pydantic.BaseModel):
    """The body of a request, validated before anything is sent; unknown fields are passed on."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        extra="allow", strict=True, allow_inf_nan=False, protected_namespaces=(), hide_input_in_errors=True
    )

    def to_payload(self) -> dict[str, Any]:
        """Return the JSON document to send: the given fields that are not None, in the order they were given."""
        fields = self.__dict__ if self.__pydantic_extra__ is None else {**self.__dict__, **self.__pydantic_extra__}
        given = self.model_fields_set
        return {name: value for name, value in fields.items() if name in given and value is not None}


class ResponseModel(BaseModel):
    """A model that is a whole answer of the service, with the facts of its HTTP exchange."""

    # A slot, not a pydantic private attribute: those cost a microsecond an object, as much as parsing a stream chunk.
    __slots__ = ("_response_info",)
    if TYPE_CHECKING:
        _response_info: ResponseInfo | None

    @property
    def response(self) -> ResponseInfo | None:
        """Status, headers, elapsed time and retries of the exchange; None for an object that was built by hand."""
        info: ResponseInfo | None = slot_of(self, "_response_info", None)
        return info

    @property
    def request_id(self) -> str | None:
        """The `x-request-id` of the answer, which Sber's support asks for; None where there was none."""
        info = self.response
        return None if info is None else info.request_id

    @property
    def session_id(self) -> str | None:
        """The `x-session-id` of the answer; pass it on as `session_id=` and the prompt cache may serve the dialogue."""
        info = self.response
        return None if info is None else info.session_id

    @property
    def client_id(self) -> str | None:
        """The `X-Client-ID` of the exchange; None where there was none."""
        info = self.response
        return None if info is None else info.client_id

    def __copy__(self) -> Self:
        return attach(super().__copy__(), self.response)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return attach(super().__deepcopy__(memo), copy.deepcopy(self.response))

    def __getstate__(self) -> dict[Any, Any]:
        return {**super().__getstate__(), "_response_info": self.response}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        state = dict(state)
        info = state.pop("_response_info", None)
        super().__setstate__(state)
        attach(self, info)


ResponseT = TypeVar("ResponseT", bound=ResponseModel)


def attach(model: ResponseT, info: ResponseInfo | None) -> ResponseT:
    """Give an answer the facts of its exchange (internal)."""
    object.__setattr__(model, "_response_info", info)
    return model


class BasePage(ResponseModel, Generic[T]):
    """A list answered by the service, whatever its name there; iterate over it, index it, take its length."""

    _items_field: ClassVar[str] = "data"

    @property
    def _items(self) -> list[T]:
        items: list[T] = getattr(self, self._items_field)
        return items

    # pydantic's own iteration gives (name, value) pairs of fields; a list of the service gives its items.
    def __iter__(self) -> Iterator[T]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> T:
        return self._items[index]

    def __bool__(self) -> bool:
        return True


class Page(BasePage[T]):
    """A list answered by the service; iterate over it, index it, take its length.

    Attributes:
        data: The items, in the order of the service.
        object: What the service calls it, usually `"list"`.
    """

    data: list[T]
    object: str = "list"


class ArrayPage(BasePage[T]):
    """A list that the service answers as a bare JSON array, or as an object with the array under one name.

    `to_dict()` and `to_json()` give it in the shape in which it came.
    """

    _is_bare: bool = pydantic.PrivateAttr(default=False)

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:
        is_bare = is_sequence(value)
        page = handler({cls._items_field: value} if is_bare else value)
        page._is_bare = is_bare
        return page

    @pydantic.model_serializer(mode="wrap")
    def _written(self, handler: pydantic.SerializerFunctionWrapHandler) -> Any:
        document = handler(self)
        return document.get(self._items_field, document) if self._is_bare else document

    def to_dict(self) -> Any:
        """Return what came as plain Python data: a list where the service answered with a bare array."""
        return super().to_dict()
