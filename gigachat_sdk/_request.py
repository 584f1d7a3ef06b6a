"""From a method's arguments to the bytes and headers of a request: validated, serialised once, nothing sent yet."""

from __future__ import annotations

import inspect
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, cast
from urllib.parse import quote

import pydantic

from ._body import Body
from ._constants import CONTEXT_HEADERS
from ._headers import Hidden, check_headers, check_query
from ._json import json_bytes
from ._retry import CallKind
from ._version import __version__
from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._base import RequestModel
from .types._shown import is_too_long, shown, shown_number
from .types.request_options import RequestOptions

RequestT = TypeVar("RequestT", bound=RequestModel)

USER_AGENT = f"gigachat-sdk/{__version__} python/{platform.python_version()} {sys.platform}"
OPTION_NAMES = frozenset(RequestOptions.__annotations__)
BODYLESS_NAMES = OPTION_NAMES - {"extra_body"}  # of calls without a JSON body that it could add to
# None is the same as nothing given, even to a call that takes no such thing; `timeout=None` would mean no limit.
_NOT_NONE = frozenset({"extra_headers", "extra_query", "extra_body", "max_retries", "retry_statuses", "retry_lost"})
# Errors that say that a value is of the wrong kind; these are `TypeError`s too.
_KIND_ERRORS = ("missing", "sequence_str", "is_instance_of")
_LISTS_OF_DICTS = (".few_shot_examples", ".logprobs")


Base = Literal["v1", "v2"]
"""The two contracts, which have addresses of their own."""


@dataclass
class Call:
    """One call, ready to be sent any number of times.

    Attributes:
        method: The HTTP method.
        path: Below the contract's address, beginning with a slash; or a whole address.
        kind: What sending it twice would do.
        body: What to send: bytes, or a source that is read while it is sent.
        content_type: Of the body.
        query: Parameters of the endpoint's own.
        base: Which contract's address it goes to.
        stream: Whether an event stream is asked for.
        is_raw: Whether the answer's body is left unread, for whoever called.
        prefers_http2: Whether it goes over HTTP/2 where the client may choose.
        options: The keywords of the call that shape how it is sent.
        authorization: A ready `Authorization` value; None to ask the token manager.
        fresh_id_header: A header that gets a new UUID for every attempt.
        model: Which model it asks, where it names one; limits may differ by it.
        has_secret_answer: Whether the answer's body must not be shown (a token).
    """

    method: str
    path: str
    kind: CallKind
    body: bytes | Body | None = field(default=None, repr=False)
    content_type: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict[str, Any])
    base: Base = "v1"
    stream: bool = False
    is_raw: bool = False
    prefers_http2: bool = False
    options: RequestOptions = field(default_factory=RequestOptions, repr=False)
    authorization: pydantic.SecretStr | None = None
    fresh_id_header: str | None = None
    has_secret_answer: bool = False
    model: str | None = None


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
    "user": "client_id",
    "frequency_penalty": "repetition_penalty",
    "presence_penalty": "repetition_penalty",
    "files": "file",
}
_ADVICE = {
    "extra_body": "it sends no JSON body that fields could be added to; parameters of the address go into "
    "extra_query={...}",
    "stop": "the service has no such setting",
    "seed": "the service has no such setting",
    "logit_bias": "the service has no such setting",
    "max_concurrency": "it is a setting of the client",
    "limiter": "it is a setting of the client",
}
_WHOLE = "its answer comes as a whole"
_STREAM_ADVICE = {
    "stream": "it streams by itself",
    "parse": f"{_WHOLE}; stream(...) gives one piece by piece",
    "post": f"{_WHOLE}; stream_cls=... gives one piece by piece",
}


def take_options(params: Mapping[str, Any], known: Iterable[str], method: str) -> RequestOptions:
    """Refuse unknown keywords with a did-you-mean, check the options among them, and return those that are given."""
    none = {name for name in _NOT_NONE & params.keys() if params[name] is None}
    unknown = params.keys() - known - none
    if unknown:
        name = min(unknown)
        if name in _ADVICE:
            raise TypeError(f"{method}() takes no {name}: {_ADVICE[name]}")
        if name == "stream":
            raise TypeError(f"{method}() takes no stream: {_STREAM_ADVICE.get(method, _WHOLE)}")
        habit = _HABITS.get(name, "")
        close = [habit] if habit in known else get_close_matches(name, known, n=1)
        place = "extra_body" if "extra_body" in known else "extra_query"
        advice = f"; did you mean {close[0]!r}?" if close else f"; what the SDK does not know goes into {place}={{...}}"
        raise TypeError(f"{method}() got an unexpected keyword argument {name!r}{advice}")
    options = cast("RequestOptions", Hidden({name: params[name] for name in (OPTION_NAMES & params.keys()) - none}))
    if options:
        check_headers("extra_headers", options.get("extra_headers"), InvalidRequestTypeError)
        check_query("extra_query", options.get("extra_query"), InvalidRequestTypeError)
        context_headers(options, InvalidRequestTypeError)
        check_function("on_retry", options.get("on_retry"), InvalidRequestTypeError)
    return options


def check_function(name: str, given: Any, kind: type[ValueError], *, is_async: bool = True) -> Any:
    """Refuse what cannot be called, and where nothing awaits what cannot be run; None stands for no function."""
    if given is not None and not callable(given):
        raise kind(f"{name}: expected a function, got {type(given).__name__}")
    if not is_async and (inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(type(given).__call__)):
        raise kind(
            f"{name}: a Client runs plain functions, got the coroutine function "
            f"{getattr(given, '__qualname__', type(given).__name__)}; give a plain one, or use AsyncClient"
        )
    return given


def context_headers(given: Mapping[str, Any], kind: type[ValueError]) -> dict[str, str]:
    """Return the header fields of the context ids among some keywords (`client_id`, ...), checked; None is not sent."""
    found: dict[str, str] = {}
    for name in CONTEXT_HEADERS.keys() & given.keys():
        value = given[name]
        if value is not None:
            if not isinstance(value, str):
                raise kind(f"{name}: expected a string, got {type(value).__name__}")
            if not value:
                raise kind.__bases__[0](f"{name}: the value is empty; leave it out, or give None")
            check_headers(name, {CONTEXT_HEADERS[name]: value}, kind)
            found[CONTEXT_HEADERS[name]] = value
    return found


def json_call(
    method: str,
    path: str,
    model: type[RequestModel],
    fields: dict[str, Any],
    options: Mapping[str, Any],
    kind: CallKind,
    *,
    http_method: str = "POST",
    base: Base = "v1",
) -> Call:
    """Build a call with a JSON body: keywords checked, fields validated, serialised once.

    Args:
        method: Name of the user's method, for messages.
        path: Below the contract's address.
        model: Validates the fields.
        fields: The body.
        options: The other keywords that the user gave.
        kind: What sending it twice would do.
        http_method: The HTTP method.
        base: Which contract's address it goes to.
    """
    taken = take_options(options, OPTION_NAMES, method)
    payload = validated(model, fields).to_payload()
    return Call(
        http_method,
        path,
        kind,
        body=json_bytes(payload, taken.get("extra_body")),
        content_type="application/json",
        base=base,
        options=taken,
        model=model_of(payload, taken),
    )


def model_of(payload: Mapping[str, Any], options: RequestOptions) -> str | None:
    """Return the model that a body names, if it does."""
    name = (options.get("extra_body") or {}).get("model", payload.get("model"))
    return name if isinstance(name, str) else None


def get_call(method: str, path: str, options: Mapping[str, Any], query: Mapping[str, Any] | None = None) -> Call:
    """Build a call that only reads.

    Args:
        method: Name of the user's method, for messages.
        path: Below the address of the API.
        options: The other keywords that the user gave.
        query: Parameters of the endpoint; those that are None are left out, lists are repeated.
    """
    taken = take_options(options, BODYLESS_NAMES, method)
    for name, value in (query or {}).items():
        if isinstance(value, int) and is_too_long(value):  # Python refuses to write thousands of digits
            raise InvalidRequestError(f"{name}: {shown_number(value)} cannot be sent", param=name)
    return Call("GET", path, CallKind.READ, query=query or {}, options=taken)


def validated(model: type[RequestT], fields: dict[str, Any]) -> RequestT:
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
    text = _in_words(kind, first["msg"], place)
    if kind.startswith("function_call") or (is_kind and kind != "missing"):
        text += f", got {shown(first['input'])}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 and details[1]["loc"][:2] != first["loc"][:2] else ""
    chosen = InvalidRequestTypeError if is_kind else InvalidRequestError
    return chosen(f"{place}: {text}{more}", param=place)


def _in_words(kind: str, message: str, place: str) -> str:
    items = "dicts" if place.endswith(_LISTS_OF_DICTS) else "strings"
    known = {
        "too_short": "expected at least one item, got none",
        "missing": "it is missing",
        "list_type": "expected a list",
        "sequence_str": f"expected a list of {items}",
        "is_instance_of": f"expected a list of {items}",
        "string_too_short": "the value is empty",
        "finite_number": "expected a finite number, got NaN or infinity",
    }
    text = known.get(kind) or message
    return (
        text.replace("Input should be a valid integer", "expected an integer")
        .replace("Input should be a valid ", "expected a ")
        .replace("Input should be ", "expected ")
    )


def field_path(location: tuple[int | str, ...]) -> str:
    """Write a pydantic location as a user would: `messages[0].content`; tags of unions (`<user>`) are left out."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith("<"):
            path += f".{step}" if path else step
    return path
