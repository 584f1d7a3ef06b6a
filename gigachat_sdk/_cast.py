"""Calls of endpoints that the SDK does not know: any path, and an answer of any type that pydantic can read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeGuard, TypeVar, get_args, get_origin
from urllib.parse import unquote

import pydantic
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from ._json import json_bytes, model_document, text_bytes
from ._request import BODYLESS_NAMES, OPTION_NAMES, Call, take_options
from ._response import misfit, one_line, parse, with_whole_characters
from ._retry import CallKind
from .errors import APIResponseValidationError, InvalidRequestError, InvalidRequestTypeError
from .types._base import ResponseModel
from .types._narrow import is_buffer, is_mapping, is_sequence
from .types._shown import cut_repr
from .types.http import RequestInfo, ResponseInfo

T = TypeVar("T")


def any_call(
    http_method: str, path: Any, options: Mapping[str, Any], *, body: Any = None, is_stream: bool = False
) -> Call:
    """Build a call of any path.

    Args:
        http_method: `"GET"`, `"POST"` or `"DELETE"`.
        path: Below `base_url`, with or without a slash before it.
        options: The keywords of the call.
        body: A dict, a list or a pydantic model for JSON; text or bytes as they are; None for no body.
        is_stream: Whether an event stream is asked for.
    """
    taken = take_options(options, OPTION_NAMES if http_method == "POST" else BODYLESS_NAMES, http_method.lower())
    content, content_type = _content(body, taken.get("extra_body"))
    kind = CallKind.READ if http_method == "GET" else CallKind.CREATING
    return Call(
        http_method,
        _path(path),
        kind,
        body=content,
        content_type=content_type,
        stream=is_stream,
        options=taken,
    )


def _path(path: Any) -> str:
    if not isinstance(path, str):
        raise InvalidRequestTypeError(f"path: expected a string, got {type(path).__name__}", param="path")
    path = str.__str__(path)  # of a member of an enum its value: formatted, it would give its name
    said = cut_repr(path)
    if "://" in path or path.startswith("//"):
        raise InvalidRequestError(f"path: {said} is a whole address; give what comes after base_url", param="path")
    if not path.strip("/") or set(path) & set("?#\\") or not path.isprintable() or " " in path:
        raise InvalidRequestError(
            f"path: {said} is no path; parameters go into extra_query, and ids are quoted (urllib.parse.quote)",
            param="path",
        )
    if {".", ".."} & set(unquote(path).replace("\\", "/").split("/")):  # servers see through %2e
        raise InvalidRequestError(f"path: {said} has a dot segment, which leads out of base_url", param="path")
    return path if path.startswith("/") else f"/{path}"


def _content(body: Any, extra: Mapping[str, Any] | None) -> tuple[bytes | None, str | None]:
    if isinstance(body, pydantic.BaseModel):
        body = model_document(body, "body")
    if is_mapping(body) or (body is None and extra is not None):
        return json_bytes(body or {}, extra, "body"), "application/json"
    if extra is not None:
        raise InvalidRequestTypeError(
            f"extra_body: it adds fields to a dict, and body is a {type(body).__name__}", param="extra_body"
        )
    if body is None:
        return None, None
    if isinstance(body, str):
        return text_bytes(body, "body"), "text/plain; charset=utf-8"
    if is_buffer(body):
        return bytes(body), "application/octet-stream"
    if is_sequence(body):
        return json_bytes(body, name="body"), "application/json"
    raise InvalidRequestTypeError(
        f"body: expected a dict, a list, a pydantic model, text or bytes, got {type(body).__name__}", param="body"
    )


def _is_response_model(kind: object) -> TypeGuard[type[ResponseModel]]:
    # On Python 3.10 a list[...] passes for a type.
    return isinstance(kind, type) and get_origin(kind) is None and issubclass(kind, ResponseModel)


def chunk_type(stream_cls: Any, stream: type[Any]) -> type[ResponseModel]:
    """Return the type of the chunks that `stream_cls` names, as in `Stream[ChatCompletionChunk]`.

    Args:
        stream_cls: What the user gave.
        stream: The stream class of the client.
    """
    arguments: tuple[Any, ...] = get_args(stream_cls)
    if get_origin(stream_cls) is not stream or len(arguments) != 1:
        raise InvalidRequestTypeError(
            f"stream_cls: expected {stream.__name__}[...] with the type of the chunks, got {cut_repr(stream_cls)}",
            param="stream_cls",
        )
    (chunk,) = arguments
    if not _is_response_model(chunk):
        raise InvalidRequestTypeError(
            f"stream_cls: chunks are models on gigachat_sdk.types.ResponseModel, and {cut_repr(chunk)} is none",
            param="stream_cls",
        )
    _check("stream_cls", chunk)
    return chunk


class NothingAccumulator:
    """Stands where nobody knows how chunks add up: what had arrived of a cut stream is what the user has kept."""

    text = ""

    def add(self, chunk: ResponseModel) -> None:
        """Forget the chunk."""

    def partial(self) -> None:
        """Say that nothing is kept."""


@lru_cache(maxsize=128)
def _reader(cast_to: Any) -> pydantic.TypeAdapter[Any]:
    return pydantic.TypeAdapter(cast_to)


def check_cast(cast_to: Any) -> None:
    """Refuse, before anything is sent, a type that no answer can be read as."""
    _check("cast_to", cast_to)


def names_base_model(kind: Any) -> bool:
    """Say whether a type is pydantic's `BaseModel` itself, or is made of it; pydantic can make no object of it."""
    kinds: list[Any] = [kind]
    for one in kinds:  # no recursion: a type may be nested deeper than Python's stack
        if one is pydantic.BaseModel:
            return True
        kinds += get_args(one)
    return False


def _check(name: str, kind: Any) -> None:
    reason = "give a type, such as dict, a pydantic model or list[Model]"
    if names_base_model(kind):
        reason = "BaseModel itself has no fields; give a model on it, or dict"
    elif isinstance(kind, type) or get_origin(kind) is not None or kind is Any:
        try:
            # What refers to names that are not there yet is made, and does not read; no validator sees an empty text.
            if _is_response_model(kind):
                kind.__pydantic_validator__.validate_json(b"")
            else:
                _reader(kind).validate_json(b"")
        except pydantic.ValidationError:
            return
        except RecursionError:
            reason = "it is nested too deeply"
        except (PydanticUserError, PydanticUndefinedAnnotation, TypeError, NameError, SyntaxError) as error:
            reason = str(error).partition("\n")[0]
    raise InvalidRequestTypeError(f"{name}: no answer can be read as {cut_repr(kind)}: {reason}", param=name)


def parse_as(
    cast_to: type[T], content: bytes, request: RequestInfo, response: ResponseInfo
) -> T | APIResponseValidationError:
    """Read a body as any type: text and bytes as they are, all else through pydantic."""
    answer: T | APIResponseValidationError = _parsed(cast_to, content, request, response)
    return answer


def _parsed(cast_to: Any, content: bytes, request: RequestInfo, response: ResponseInfo) -> Any:
    if cast_to is bytes:
        return content
    if cast_to is str:
        return content.decode("utf-8", "replace")
    if _is_response_model(cast_to):
        return parse(cast_to, content, request, response)
    try:
        return _reader(cast_to).validate_json(content)
    except pydantic.ValidationError as error:
        reason, whole = one_line(error), with_whole_characters(content, error)
    if whole is not None:
        return _parsed(cast_to, whole, request, response)
    return misfit(getattr(cast_to, "__name__", repr(cast_to)), reason, content, request, response)
