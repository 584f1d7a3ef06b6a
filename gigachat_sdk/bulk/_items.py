"""Requests of a run: which endpoint they go to, by what an item is known, and what of it is its question. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from hashlib import blake2b
from importlib import import_module
from operator import attrgetter
from typing import Any, TypeAlias

import pydantic
from pydantic_core import to_jsonable_python

from .._headers import Hidden
from .._request import OPTION_NAMES
from ..errors import GigaChatError, InvalidRequestError, InvalidRequestTypeError
from ..types._base import ResponseModel
from ..types._narrow import is_dict, is_iterable, is_mapping, is_sequence, surrogate
from ..types._shown import is_too_long
from ..types._written import as_written
from ..types.chat_request import plain

# Keywords of the endpoint's method, or {"id": ..., "request": {...}}.
BulkRequest: TypeAlias = Mapping[str, Any] | pydantic.BaseModel

# How a request is sent says nothing of what it asks: a header with another token asks the same.
NO_QUESTION = OPTION_NAMES - {"extra_body", "extra_query"}

_OF_THE_CLIENT = frozenset({"chat.completions.create", "v2.chat.completions.create", "tokens.count"})  # in their model
_ENDPOINTS = {  # the method below the client, and the model of its answers
    "chat.completions.create": ("chat_completion", "ChatCompletion"),
    "v2.chat.completions.create": ("v2.completion", "ChatCompletion"),
    "embeddings.create": ("embeddings", "EmbeddingList"),
    "tokens.count": ("token_counts", "TokensCountList"),
    "ai.check": ("checks", "AICheckResult"),
    "filter.check": ("checks", "FilterCheckResult"),
}


@dataclass(frozen=True)
class Endpoint:
    """Where the requests of a run go.

    Attributes:
        name: The method's name below the client, as in `"embeddings.create"`.
        response: The model of its answers.
        model: The client's model, which requests are sent to that name none.
    """

    name: str
    response: type[ResponseModel]
    model: str | None = None

    def method_of(self, client: object) -> Callable[..., Any]:
        """Return the method of a client."""
        method: Callable[..., Any] = attrgetter(self.name)(client)
        return method


def endpoint_names() -> list[str]:
    """Return the names of all endpoints."""
    return list(_ENDPOINTS)


def endpoint_named(name: Any) -> Endpoint:
    """Return the endpoint of a name.

    Raises:
        InvalidRequestError: There is none.
    """
    if not isinstance(name, str):
        raise InvalidRequestTypeError(f"endpoint: expected a string, got {type(name).__name__}", param="endpoint")
    if name not in _ENDPOINTS:
        close = get_close_matches(name, _ENDPOINTS, n=1) or [key for key in _ENDPOINTS if name and name in key]
        known = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(_ENDPOINTS)}"
        raise InvalidRequestError(f"endpoint: {name!r} is none for bulk work; {known}", param="endpoint")
    module, model = _ENDPOINTS[name]
    return Endpoint(name, getattr(import_module(f"..types.{module}", __package__), model))


@dataclass(frozen=True)
class Item:
    """One request of a run.

    Attributes:
        index: Its place among all, from 0.
        id: The id it was given; None where it was given none.
        request: The keywords of the endpoint's method.
        digest: Of its question, in hexadecimal digits.
    """

    index: int
    id: str | int | None
    request: dict[str, Any] = field(repr=False)
    digest: str

    @property
    def key(self) -> bytes:
        """What it is known by, in 16 bytes."""
        return key_of(self.id, self.index)


def key_of(identity: str | int | None, index: int) -> bytes:
    """Return what an item is known by, its id or its place, in 16 bytes; 1 and "1" are the same id."""
    text = f"place {index}" if identity is None else f"id {identity}"
    return blake2b(text.encode(), digest_size=16).digest()


def read_item(given: Any, index: int, endpoint: str, model: str | None = None) -> Item | InvalidRequestError:
    """Read an item: keywords, with or without an `id` among them, or `{"id": ..., "request": {...}}`.

    Args:
        given: The item.
        index: Its place among all.
        endpoint: What its keywords are for.
        model: The client's model, which is asked where the item names none.

    Returns:
        The item, or the error that says why it is none; `param` is the path of what is wrong in it, or empty.
    """
    try:
        return _read(given, index, endpoint, model)
    except InvalidRequestError as error:
        return error
    except (ValueError, OverflowError):  # Python's own words for it differ by version
        return InvalidRequestError("it cannot be written as JSON: is there a number of thousands of digits?", param="")
    except RecursionError:
        return InvalidRequestError("it is nested too deeply, or holds itself", param="")


def _read(given: Any, index: int, endpoint: str, model: str | None) -> Item:
    fields = Hidden(_mapping(given, ""))
    del given
    identity = _identity(fields.pop("id", None))
    request = fields
    if "request" in fields:
        request = Hidden(_mapping(fields.pop("request"), "request"))
        if fields:
            name = min(fields)
            raise InvalidRequestError(f"{name}: only id stands beside request; put it into request", param=name)
    elif {"custom_id", "body"} & fields.keys():
        text = 'this is the form of another service; write {"id": ..., "request": {...}}'
        raise InvalidRequestError(text, param="")
    request = Hidden({name: _kept(value) for name, value in request.items()})
    return Item(index, identity, request, digest_of(request, endpoint, model))


def _mapping(given: Any, param: str) -> dict[str, Any]:
    document = plain(given)
    if not is_mapping(document):
        place = f"{param}: " if param else ""
        text = f"{place}expected a dict of keywords, got {type(given).__name__}"
        del given
        raise InvalidRequestTypeError(text, param=param)
    names: list[Any] = list(document)
    for name in names:
        if not isinstance(name, str):
            text = f"{param}: a keyword is a string, and there is a {type(name).__name__}".removeprefix(": ")
            raise InvalidRequestTypeError(text, param=param)
    return dict(document)


def _identity(given: Any) -> str | int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise InvalidRequestTypeError(f"id: expected a string or a number, got {type(given).__name__}", param="id")
    if given == "":
        raise InvalidRequestError("id: it is empty", param="id")
    if isinstance(given, int) and is_too_long(given):
        raise InvalidRequestError("id: a number of more than 20 digits is no id", param="id")
    if isinstance(given, str) and surrogate(given) is not None:
        raise InvalidRequestError("id: it holds a lone surrogate, which is no text", param="id")
    return given


def _kept(value: Any) -> Any:
    """Return a value that can be read twice, once for its digest: what can only be iterated once becomes a list."""
    if is_dict(value):
        return {name: _kept(item) for name, item in value.items()}
    if is_iterable(value) and (isinstance(value, list) or hasattr(value, "__next__")):
        return [_kept(item) for item in _each(value)]
    return value


def _each(items: Iterable[Any]) -> Iterator[Any]:
    return iter(items)


def digest_of(request: Mapping[str, Any], endpoint: str, model: str | None = None) -> str:
    """Return the digest of a request: of what it asks, and which model, however its fields are ordered.

    Args:
        request: Its keywords.
        endpoint: What they are for.
        model: The client's model, which is asked where the request names none.
    """
    question = {
        name: _canonical(value) for name, value in request.items() if name not in NO_QUESTION and value is not None
    }
    if endpoint in _OF_THE_CLIENT and not brings_a_model(question):
        question["model"] = model
    text = json.dumps([endpoint, question], sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def brings_a_model(request: Mapping[str, Any]) -> bool:
    """Say whether a request is not sent to the client's model: an assistant and a thread have one of their own."""
    storage: Any = request.get("storage")
    is_of_thread = is_mapping(storage) and storage.get("thread_id") is not None
    return is_of_thread or any(request.get(name) is not None for name in ("model", "assistant_id"))


def endpoint_of(digest: str, item: Item, endpoint: Endpoint) -> str | None:
    """Return the other endpoint that an item was asked at, if its digest there is this one; None if there is none."""
    names = (name for name in _ENDPOINTS if name != endpoint.name)
    return next((name for name in names if digest_of(item.request, name, endpoint.model) == digest), None)


def _canonical(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, pydantic.BaseModel):
        return _canonical(as_written(value))
    if is_mapping(value):
        return {str(name): _canonical(item) for name, item in value.items()}
    if is_sequence(value):
        return [_canonical(item) for item in value]
    if is_iterable(value) and isinstance(value, set | frozenset):
        return sorted(json.dumps(_canonical(item), sort_keys=True) for item in _each(value))
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    try:
        return to_jsonable_python(value)
    except (ValueError, TypeError):  # no endpoint takes it, and the call will say so
        return _canonical(type(value))


def with_place(error: InvalidRequestError, place: str) -> InvalidRequestError:
    """Return the error of an item with its place before it."""
    is_field = bool(error.param) and place.endswith("]")  # then the message begins with the path of the field
    return type(error)(f"{place}{'.' if is_field else ': '}{error.message}", param=place)


def duplicate(item: Item, places: tuple[str, str]) -> GigaChatError:
    """Return the error of an item whose id another one has.

    Args:
        item: The later one.
        places: Where the first one stands, and the later one.
    """
    first, second = places
    return InvalidRequestError(
        f"{second}: the id {item.id!r} is the one of {first} already; ids are what answers are known by", param="id"
    )


def refusal_of(item: Item) -> InvalidRequestError | None:
    """Return the error of an item that no run can ask, though a single call could."""
    if item.request.get("stream"):
        return InvalidRequestError("stream: bulk work takes whole answers; leave it out", param="stream")
    return None
