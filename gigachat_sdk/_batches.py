"""The lines of a batch: requests on their way in, results on their way out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pydantic

from ._body import PIECE
from ._calls import chat_completion_call
from ._constants import LONGEST_TIME
from ._json import json_bytes, text_bytes
from ._request import BODYLESS_NAMES, OPTION_NAMES, Call, check_function, take_options, validated
from ._retry import CallKind
from ._uploads import Upload
from .errors import InvalidRequestError, InvalidRequestTypeError, NotFoundError
from .types._base import attach
from .types._narrow import is_dict, is_iterable, is_mapping
from .types._shown import is_too_long, shown, shown_number
from .types.batches import Batch, BatchList, BatchResult, BatchResultError, BatchResults
from .types.chat_completion import ChatCompletion
from .types.chat_request import ChatCompletionRequest, plain
from .types.embeddings import EmbeddingList, EmbeddingsRequest
from .types.http import ResponseInfo
from .types.request_options import RequestOptions

_EMBEDDER = "Embeddings"


def _chat_body(fields: dict[str, Any], extra: Mapping[str, Any], default_model: str) -> bytes:
    if fields.pop("stream", None):
        raise InvalidRequestError("stream: a batch is not streamed", param="stream")
    params = {**fields, "extra_body": extra} if extra else fields
    body = chat_completion_call(params, stream=None, default_model=default_model).body
    return body if isinstance(body, bytes) else b""  # it always is


def _embedder_body(fields: dict[str, Any], extra: Mapping[str, Any], _: str) -> bytes:
    if fields.get("model") is None:
        fields["model"] = _EMBEDDER
    return json_bytes(validated(EmbeddingsRequest, fields).to_payload(), extra)


_ENDPOINTS: dict[str, tuple[frozenset[str], Callable[[dict[str, Any], Mapping[str, Any], str], bytes]]] = {
    "chat_completions": (frozenset(ChatCompletionRequest.model_fields), _chat_body),
    "embedder": (frozenset(EmbeddingsRequest.model_fields), _embedder_body),
}


class BatchLines:
    """The lines of a new batch, each validated as the request that it is.

    Args:
        method: Which endpoint answers them.
        default_model: The model of chats that name none.
    """

    def __init__(self, method: Any, default_model: str) -> None:
        if not isinstance(method, str):
            raise InvalidRequestTypeError(f"method: expected a string, got {type(method).__name__}", param="method")
        if method not in _ENDPOINTS:
            known = " or ".join(map(repr, _ENDPOINTS))
            raise InvalidRequestError(f"method: expected {known}, got {shown(method)}", param="method")
        self.method: str = str.__str__(method)  # of a member of an enum its value
        self._names, self._body = _ENDPOINTS[method]
        self._default_model = default_model
        self._places: dict[str, str] = {}  # by id
        self._lines: list[bytes] = []

    def listed(self, requests: Any) -> list[Any]:
        """Return the requests of any iterable, taken once."""
        if isinstance(requests, str | bytes | pydantic.BaseModel) or is_mapping(requests) or not is_iterable(requests):
            raise InvalidRequestTypeError(
                f"requests: expected a list of requests, got {type(requests).__name__}", param="requests"
            )
        return list(requests)

    def of_requests(self, requests: Any) -> bytes:
        """Return the body for any iterable of requests, taken once."""
        for number, item in enumerate(self.listed(requests)):
            self._add(item, f"requests[{number}]")
        return self._joined("requests")

    def of_file(self, content: bytes) -> bytes:
        """Return the body for the lines of a file."""
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
            if line.strip():
                self._add(line, f"file, line {number}", is_of_file=True)
        return self._joined("file")

    def _joined(self, argument: str) -> bytes:
        if not self._lines:
            raise InvalidRequestError(f"{argument}: a batch needs at least one request", param=argument)
        return b"\n".join(self._lines)

    def _add(self, item: Any, place: str, *, is_of_file: bool = False) -> None:
        """Validate a request; what is wrong is told with its place."""
        wrong: Exception
        try:
            self._lines.append(self._line(_parsed(item) if is_of_file else plain(item), place))
        except InvalidRequestError as error:
            is_field = error.param is not None and not is_of_file  # then the message begins with its path
            param = "file" if is_of_file else f"{place}.{error.param}" if is_field else place
            wrong = type(error)(f"{place}{'.' if is_field else ': '}{error.message}", param=param)
        except TypeError as error:
            wrong = InvalidRequestTypeError(f"{place}: {error}", param="file" if is_of_file else place)
        else:
            return
        raise wrong

    def _line(self, item: Any, place: str) -> bytes:
        if not is_dict(item):
            raise InvalidRequestTypeError(f"expected a dict, got {type(item).__name__}")
        rest = dict(item)
        request: Any
        if {"custom_id", "body"} & rest.keys():
            raise InvalidRequestError('this is the form of another service; write {"id": ..., "request": {...}}')
        identity = self._claim(rest.pop("id", None), place)
        if "request" not in rest:
            body, rest = self._of_keywords(rest), {}
        else:
            request = plain(rest.pop("request"))
            if not is_dict(request):
                raise InvalidRequestTypeError(
                    f"request: expected a dict, got {type(request).__name__}", param="request"
                )
            fields = {name: value for name, value in request.items() if name in self._names}
            unknown = {name: value for name, value in request.items() if name not in self._names}
            body = self._body(fields, unknown, self._default_model)
        return b'%s,"request":%s}' % (json_bytes({"id": identity, **rest})[:-1], body)

    def _claim(self, identity: Any, place: str) -> str:
        """Return the id of a line, which no other line has."""
        if identity is None:
            identity = str(len(self._places))
        elif isinstance(identity, int) and not isinstance(identity, bool):
            if is_too_long(identity):
                raise InvalidRequestError(f"id: {shown_number(identity)} is no id", param="id")
            identity = str(identity)
        elif not isinstance(identity, str):
            raise InvalidRequestTypeError(f"id: expected a string, got {type(identity).__name__}", param="id")
        if not identity:
            raise InvalidRequestError("id: it is empty", param="id")
        known: str = identity
        taken_by = self._places.setdefault(known, place)
        if taken_by is not place:
            raise InvalidRequestError(f"id: {shown(known)} is the id of {taken_by} already", param="id")
        return known

    def _of_keywords(self, params: dict[str, Any]) -> bytes:
        """Take the keywords that the endpoint's method takes, and are its request's."""
        taken = take_options(params, self._names | OPTION_NAMES, "create")
        for name in sorted(taken.keys() & BODYLESS_NAMES):
            raise InvalidRequestError(
                f"{name}: it is said for a whole batch, in batches.create({name}=...)", param=name
            )
        fields = {name: value for name, value in params.items() if name in self._names}
        return self._body(fields, taken.get("extra_body") or {}, self._default_model)


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start + 1} is no UTF-8"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
    except (ValueError, RecursionError) as error:
        reason = str(error)
    raise InvalidRequestError(f"this is no JSON: {reason}")


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def read_all(upload: Upload) -> bytes:
    """Read a file to its end; it may wait for a disk."""
    source = upload.open()
    return b"".join(iter(partial(source.read, PIECE), b""))


def batch_call(lines: bytes, method: str, options: RequestOptions) -> Call:
    """Build the call of `POST /batches`.

    Args:
        lines: The body.
        method: Which endpoint answers them.
        options: The keywords of the call.
    """
    return Call(
        "POST",
        "/batches",
        CallKind.CREATING,
        body=lines,
        content_type="application/octet-stream",
        query={"method": method},
        options=options,
    )


def batch_id(batch: Any) -> str:
    """Return the id of a batch that the user names by it, or by what the service said of it."""
    found = batch.id if isinstance(batch, Batch) else batch
    if not isinstance(found, str):
        raise InvalidRequestTypeError(f"batch: expected an id or a Batch, got {type(batch).__name__}", param="batch")
    if not found:
        raise InvalidRequestError("batch: the id is empty", param="batch")
    text_bytes(found, "batch")
    return found


def check_wait(poll_interval: Any, deadline: Any, on_progress: Any = None, *, is_async: bool = True) -> None:
    """Refuse, before anything is asked, times that make no sense, and what is no function to call."""
    check_function("on_progress", on_progress, InvalidRequestTypeError, is_async=is_async)
    for name, value in (("poll_interval", poll_interval), ("deadline", deadline)):
        if value is None and name == "deadline":
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            text = f"{name}: expected a number of seconds, got {type(value).__name__}"
            raise InvalidRequestTypeError(text, param=name)
        if not value > 0 or (value > LONGEST_TIME and (name == "poll_interval" or value != float("inf"))):
            limit = f"no more than {LONGEST_TIME:.0f}" if value > 0 else "more than 0"
            raise InvalidRequestError(f"{name}: give {limit} seconds, not {shown_number(value)}", param=name)


def the_batch(page: BatchList, wanted: str) -> Batch:
    """Return the batch that was asked for, with the facts of the exchange.

    Raises:
        NotFoundError: The service has answered with others, or none.
    """
    for batch in page:
        if batch.id == wanted:
            return attach(batch, page.response)
    raise NotFoundError(f"the service knows of no batch {wanted!r}", response=page.response)


# ---- results ----


def read_results(content: bytes, response: ResponseInfo) -> BatchResults:
    """Read the lines of the results; one that cannot be read costs no other.

    Args:
        content: The whole file.
        response: The facts of its download.
    """
    return BatchResults(_result(line, response) for line in content.split(b"\n") if line.strip())


def _result(line: bytes, response: ResponseInfo) -> BatchResult:
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        document = None
    if not is_dict(document):
        return BatchResult("", None, BatchResultError("this line of the results is no JSON object"))
    ids = (document.get("custom_id"), document.get("id"))
    identity: Any = next((identity for identity in ids if identity is not None), "")
    status: Any = None
    # "result" is what is known of the service; the others are the habits of its like.
    body: Any = next((document[name] for name in ("result", "response", "body") if document.get(name)), None)
    if is_dict(body) and "body" in body:
        status, body = body.get("status_code"), body["body"]
    answer = _answer(body, response)
    error = None
    if answer is None:
        error = _error(document.get("error") or body, status)
    return BatchResult(str(identity), answer, error, line)


def _answer(body: Any, response: ResponseInfo) -> ChatCompletion | EmbeddingList | None:
    if not is_dict(body):
        return None
    try:
        if "choices" in body:
            return attach(ChatCompletion.model_validate(body), response)
        if "data" in body:
            return attach(EmbeddingList.model_validate(body), response)
    except pydantic.ValidationError:
        pass
    return None


def _error(said: Any, status: Any) -> BatchResultError:
    if is_dict(said):
        numbers = (status, said.get("status"), said.get("status_code"), said.get("code"))
        status = next((number for number in numbers if isinstance(number, int)), None)
        inner: Any = said.get("error")
        said = said.get("message") or (inner.get("message") if is_dict(inner) else inner)
    message = said if isinstance(said, str) and said else "the service gave no answer that can be read, and no reason"
    return BatchResultError(message, status if isinstance(status, int) else None)
