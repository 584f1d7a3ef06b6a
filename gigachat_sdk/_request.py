"""From a method's arguments to the bytes and headers of a request: validated, serialised once, nothing sent yet."""

from __future__ import annotations

import json
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, cast
from urllib.parse import quote, urlencode

import pydantic

from ._constants import HIDDEN, SECRET_HEADERS
from ._retry import CallKind
from ._token import basic_credentials
from ._version import __version__
from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._narrow import is_mapping, is_sequence
from .types.chat_params import ChatCompletionCreateParams
from .types.chat_request import ChatCompletionRequest
from .types.request_options import RequestOptions

USER_AGENT = f"gigachat-sdk/{__version__} python/{platform.python_version()} {sys.platform}"
OPTION_NAMES = frozenset(RequestOptions.__annotations__)
_CHAT_NAMES = frozenset({*ChatCompletionCreateParams.__annotations__, *OPTION_NAMES, "stream"})
# Errors that say that a value is of the wrong kind; these are `TypeError`s too.
_KIND_ERRORS = ("missing", "sequence_str")


@dataclass
class Call:
    """One call, ready to be sent any number of times.

    Attributes:
        method: The HTTP method.
        path: Below `base_url`, beginning with a slash; or a whole address.
        kind: What sending it twice would do.
        body: The bytes to send.
        content_type: Of the body.
        stream: Whether an event stream is asked for.
        options: The keywords of the call that shape how it is sent.
        authorization: A ready `Authorization` value; None to ask the token manager.
        fresh_id_header: A header that gets a new UUID for every attempt.
        has_secret_answer: Whether the answer's body must not be shown (a token).
    """

    method: str
    path: str
    kind: CallKind
    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    stream: bool = False
    options: RequestOptions = field(default_factory=RequestOptions, repr=False)
    authorization: pydantic.SecretStr | None = None
    fresh_id_header: str | None = None
    has_secret_answer: bool = False


def quoted(segment: str, name: str) -> str:
    """Return one segment of a path, quoted so that it stays one: `../x?y` is no way out.

    Raises:
        InvalidRequestError: It is empty, or a dot segment, which servers resolve however it is written.
    """
    if not isinstance(segment, str):
        raise InvalidRequestTypeError(f"{name}: expected a string, got {type(segment).__name__}", param=name)
    if segment in ("", ".", ".."):
        raise InvalidRequestError(f"{name}: {segment!r} is no id", param=name)
    try:
        return quote(segment, safe="")
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{name}: it holds a lone surrogate, which is no text", param=name) from None


# Names of other packages for what has another name here.
_HABITS = {
    "tools": "functions",
    "tool_choice": "function_call",
    "max_completion_tokens": "max_tokens",
    "headers": "extra_headers",
}


def take_options(params: Mapping[str, Any], known: Iterable[str], method: str) -> RequestOptions:
    """Refuse unknown keywords with a did-you-mean, check the options among them, and return those."""
    unknown = params.keys() - known
    if unknown:
        name = min(unknown)
        close = [_HABITS[name]] if name in _HABITS else get_close_matches(name, known, n=1)
        advice = f"; did you mean {close[0]!r}?" if close else "; what the SDK does not know goes into extra_body={...}"
        raise TypeError(f"{method}() got an unexpected keyword argument {name!r}{advice}")
    options = cast("RequestOptions", Hidden({name: params[name] for name in OPTION_NAMES & params.keys()}))
    if options:
        check_headers("extra_headers", options.get("extra_headers"), InvalidRequestTypeError)
        check_query("extra_query", options.get("extra_query"), InvalidRequestTypeError)
    return options


def chat_completion_call(params: Mapping[str, Any], *, stream: object, default_model: str) -> Call:
    """Build the call of `POST /chat/completions`.

    Args:
        params: The keywords of `chat.completions.create(...)` without `stream`.
        stream: Its `stream` keyword.
        default_model: The model where the call names none.
    """
    if stream is not None and not isinstance(stream, bool):
        raise InvalidRequestTypeError(f"stream: expected True or False, got {stream!r}", param="stream")
    options = take_options(params, _CHAT_NAMES, "create")
    if "messages" not in params:
        raise TypeError("create() missing 1 required keyword-only argument: 'messages'")
    fields = {name: value for name, value in params.items() if name not in OPTION_NAMES}
    if fields.get("model") is None and fields.get("assistant_id") is None and not _names_a_thread(fields):
        fields["model"] = default_model
    if stream:
        fields["stream"] = True
    payload = validated(ChatCompletionRequest, fields).to_payload()
    return Call(
        "POST",
        "/chat/completions",
        CallKind.REPEATABLE,
        body=json_bytes(payload, options.get("extra_body")),
        content_type="application/json",
        stream=bool(stream),
        options=options,
    )


def _names_a_thread(fields: Mapping[str, Any]) -> bool:
    """A stored dialogue brings its own model; naming another beside it is refused by the service."""
    storage = fields.get("storage")
    return isinstance(storage, Mapping) and ("thread_id" in storage or "assistant_id" in storage)


def oauth_call(key: pydantic.SecretStr, scope: str, auth_url: str) -> Call:
    """Build the call of `POST /api/v2/oauth`; the key goes as it was issued."""
    return Call(
        "POST",
        auth_url,
        CallKind.REPEATABLE,
        body=urlencode({"scope": scope}).encode(),
        content_type="application/x-www-form-urlencoded",
        authorization=pydantic.SecretStr(f"Basic {key.get_secret_value()}"),
        fresh_id_header="RqUID",
        has_secret_answer=True,
    )


def password_call(user: str, password: pydantic.SecretStr, base_url: str) -> Call:
    """Build the call of `POST /v1/token`."""
    return Call(
        "POST",
        f"{base_url}/token",
        CallKind.REPEATABLE,
        authorization=pydantic.SecretStr(f"Basic {basic_credentials(user, password.get_secret_value())}"),
        has_secret_answer=True,
    )


def validated(model: type[ChatCompletionRequest], fields: dict[str, Any]) -> ChatCompletionRequest:
    """Validate the fields of a request; the first mistake becomes one readable line."""
    try:
        return model(**fields)
    except pydantic.ValidationError as error:
        mistake = _mistake(error)
    raise mistake


def _mistake(error: pydantic.ValidationError) -> InvalidRequestError:
    details = error.errors(include_url=False)
    first = details[0]
    place = field_path(first["loc"])
    kind = first["type"]
    is_kind = kind.endswith("_type") or kind in _KIND_ERRORS
    text = _in_words(kind, first["msg"])
    if kind.startswith("function_call") or (is_kind and kind != "missing"):
        text += f", got {shown(first['input'])}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 and details[1]["loc"][:2] != first["loc"][:2] else ""
    chosen = InvalidRequestTypeError if is_kind else InvalidRequestError
    return chosen(f"{place}: {text}{more}", param=place)


def _in_words(kind: str, message: str) -> str:
    known = {
        "too_short": "expected at least one item, got none",
        "missing": "it is missing",
        "list_type": "expected a list",
        "sequence_str": "expected a list of strings",
        "string_too_short": "the value is empty",
        "finite_number": "expected a finite number, got NaN or infinity",
    }
    text = known.get(kind) or message
    return (
        text.replace("Input should be a valid integer", "expected an integer")
        .replace("Input should be a valid ", "expected a ")
        .replace("Input should be ", "expected ")
    )


def shown(value: object) -> str:
    """Show a wrong value where it is short and plain, else name its type."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 10**20):
        return repr(value)
    if isinstance(value, str) and len(value) <= 40:
        return repr(value)
    return type(value).__name__


def field_path(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location as a user would: `messages[0].content`; tags of unions (`<user>`) are left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("<"):
            path += f".{step}" if path else step
    return path


def json_bytes(payload: Mapping[str, Any], extra: Mapping[str, Any] | None = None) -> bytes:
    """Serialise a request body once; what JSON cannot hold is told by its place."""
    if extra is not None:
        if not is_mapping(extra):
            raise InvalidRequestTypeError(
                f"extra_body: expected a dict, got {type(extra).__name__}", param="extra_body"
            )
        payload = {**payload, **extra}
    try:
        text = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_jsonable)
        return text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        reason = str(error) or type(error).__name__
    place, trouble = _find_trouble(payload, "", 0) or ("the request", reason)
    raise InvalidRequestError(f"{place}: {trouble}", param=place)


def _jsonable(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(exclude_unset=True, by_alias=True)
    if is_mapping(value):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _find_trouble(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    """Look for what JSON cannot hold; only called once serialising has failed."""
    if isinstance(value, str):
        at = _surrogate(value)
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
        value = value.model_dump(exclude_unset=True, by_alias=True)
    items: list[tuple[str, Any]]
    if is_mapping(value):
        keys: list[Any] = list(value)
        for key in keys:
            if not isinstance(key, str | int | float | None):
                return path, f"a key of it is a {type(key).__name__}, and JSON has only strings there"
            if isinstance(key, str) and _surrogate(key) is not None:
                return path, "a key of it holds a lone surrogate, which is no text and cannot be sent"
        items = [(f"{path}.{name}" if path else str(name), item) for name, item in value.items()]
    elif is_sequence(value):
        items = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return path, f"{type(value).__name__} is not JSON"
    return next((found for place, item in items if (found := _find_trouble(item, place, depth + 1))), None)


def _surrogate(text: str) -> int | None:
    """Return where half a character stands that UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def check_headers(name: str, headers: Any, kind: type[ValueError]) -> Mapping[str, str | None]:
    """Refuse header fields that cannot be sent; the value is not shown, it may be a secret."""
    trouble = _headers_trouble(headers)
    if trouble is None:
        return dict(headers or {})
    del headers  # a traceback with locals must not show it either
    text, is_kind = trouble
    raise (kind if is_kind else _value_error(kind))(f"{name}: {text}")


def _headers_trouble(headers: Any) -> tuple[str, bool] | None:
    """Say what is wrong with header fields, and whether it is their kind."""
    if headers is None:
        return None
    if not is_mapping(headers):
        return f"expected a dict of strings, got {type(headers).__name__}", True
    for key, value in headers.items():
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            return f"expected strings, got {key!r}: {type(value).__name__}", True
        is_name = key.isascii() and key.isprintable() and key and not set(key) & set(' "(),/:;<=>?@[\\]{}')
        is_value = value is None or (value.isascii() and value.isprintable() and value == value.strip())
        if not (is_name and is_value):
            return f"{key!r} or its value holds characters that a header cannot (RFC 9110)", False
    return None


def check_query(name: str, query: Any, kind: type[ValueError]) -> Mapping[str, Any]:
    """Refuse query parameters that are no dict of plain values."""
    if query is None:
        return {}
    if not is_mapping(query) or not all(isinstance(key, str) for key in query):
        raise kind(f"{name}: expected a dict of parameters, got {type(query).__name__}")
    for key, value in query.items():
        for item in value if is_sequence(value) else (value,):
            if not (item is None or isinstance(item, str | int | float)):
                raise kind(f"{name}: {key!r} cannot be a {type(item).__name__}")
            if _surrogate(f"{key}{item}") is not None:
                raise _value_error(kind)(f"{name}: {key!a} holds a lone surrogate, which is no text and cannot be sent")
    return dict(query)


def _value_error(kind: type[ValueError]) -> type[ValueError]:
    """Return the class for a wrong value beside the one for a wrong kind."""
    return kind.__bases__[0]


def query_string(*layers: Mapping[str, Any]) -> str:
    """Merge layers of query parameters, later ones win; None takes one away, booleans are written as JSON does."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    pairs: list[tuple[str, str]] = []
    for name, value in merged.items():
        items = value if is_sequence(value) else (value,)
        pairs += [
            (name, str(item).lower() if isinstance(item, bool) else str(item)) for item in items if item is not None
        ]
    return urlencode(pairs)


class Hidden(dict[str, Any]):
    """Arguments of a call; the repr shows names only, since it may stand in a traceback."""

    def __repr__(self) -> str:
        return f"{{{', '.join(sorted(self))}}}"


class SentHeaders(dict[str, str]):
    """Header fields to send; the repr hides secret values, since it may stand in a traceback."""

    def __repr__(self) -> str:
        return repr({name: HIDDEN if name.lower() in SECRET_HEADERS else value for name, value in self.items()})


class UserHeaders:
    """The user's header fields, merged without regard to case; the repr shows names only."""

    def __init__(self, *layers: Mapping[str, str | None]) -> None:
        self._fields = {name.lower(): (name, value) for layer in layers for name, value in layer.items()}

    def names(self, name: str) -> bool:
        """Say whether the user speaks of a field, be it to take it away."""
        return name in self._fields

    def over(self, own: Mapping[str, str]) -> SentHeaders:
        """Return what to send: the SDK's own fields with the user's on top; None takes a field away."""
        if not self._fields:
            return SentHeaders(own)
        kept = SentHeaders({name: value for name, value in own.items() if name.lower() not in self._fields})
        kept.update({name: value for name, value in self._fields.values() if value is not None})
        return kept

    def __repr__(self) -> str:
        return f"UserHeaders({', '.join(sorted(self._fields))})"


def hide_authorization(content: bytes, headers: Mapping[str, str]) -> bytes:
    """Take our own authorization out of an error body: some proxies show the request that they refuse."""
    for name, value in headers.items():
        secret = value.rpartition(" ")[2].encode()
        if name.lower() == "authorization" and len(secret) >= 8:  # a shorter one stands in other words by chance
            content = content.replace(secret, HIDDEN.encode())
    return content
