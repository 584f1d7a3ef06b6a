"""Bodies and events of answers to models, or to the error that says why not. No I/O.

Errors are returned, not raised: the frame that holds a body is gone before the error is raised, so that a traceback
shows no body as a local.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pydantic

from ._accumulate import Accumulator
from ._events import DONE, Event
from .errors import (
    APIResponseValidationError,
    StreamError,
    StreamInterruptedError,
    parse_body,
    stream_error,
)
from .types._base import ResponseModel, attach
from .types._narrow import is_dict
from .types.http import RequestInfo, ResponseInfo

ModelT = TypeVar("ModelT", bound=ResponseModel)
ChunkT = TypeVar("ChunkT", bound=ResponseModel)
StreamErrorT = TypeVar("StreamErrorT", bound="StreamError[Any]")

# One escape of a JSON text; the group is half a character without its other half.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)

ERROR_EVENTS = frozenset({"error", "response.error"})
ERROR_WORDS = frozenset({"error", "message", "status"})


def parse(
    model: type[ModelT], content: bytes, request: RequestInfo, response: ResponseInfo, *, is_secret: bool = False
) -> ModelT | APIResponseValidationError:
    """Parse a body straight from its bytes, or say in one line why it cannot be."""
    try:
        answer: ModelT = model.__pydantic_validator__.validate_json(content)
        return attach(answer, response)
    except pydantic.ValidationError as error:
        reason, whole = one_line(error), with_whole_characters(content, error)
    if whole is not None:
        return parse(model, whole, request, response, is_secret=is_secret)
    return misfit(model.__name__, reason, content, request, response, is_secret=is_secret)


def misfit(
    name: str, reason: str, content: bytes, request: RequestInfo, response: ResponseInfo, *, is_secret: bool = False
) -> APIResponseValidationError:
    """Make the error of an answer that is not what it should be."""
    kind = response.headers.get("content-type", "")
    body = None if is_secret else parse_body(content, kind)
    looks = "" if "json" in kind else f" (its content type is {kind or 'missing'})"
    return APIResponseValidationError(
        f"{response.status_code} for {request.method} {request.url}: the answer is no {name}{looks}: {reason}",
        request=request,
        response=response,
        body=body,
    )


def one_line(error: pydantic.ValidationError) -> str:
    """Say the first thing that is wrong, and where."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def with_whole_characters(content: bytes, error: pydantic.ValidationError) -> bytes | None:
    """Return a JSON text with U+FFFD for every half of a character; None where that cannot be what is wrong.

    A model that stops in the middle of an emoji leaves half of it, which JSON can spell and pydantic does not read.
    """
    if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
        return None
    whole = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], content)
    return None if whole == content else whole


class ChunkReader(Generic[ChunkT]):
    """Turns events of one stream into chunks, and keeps account of what has arrived.

    Attributes:
        is_done: Whether the service has said that the stream is complete.
    """

    def __init__(
        self,
        model: type[ChunkT],
        accumulator: Accumulator[ChunkT],
        request: RequestInfo,
        response: ResponseInfo,
        hide: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self._hide = hide  # takes our own authorization out of what an error shows
        self._validate = model.__pydantic_validator__.validate_json
        self._model = model
        self._accumulator = accumulator
        self._add = accumulator.add
        self.request: RequestInfo = request
        self.response: ResponseInfo = response
        self.is_done: bool = False

    def read(self, event: Event) -> ChunkT | StreamError[Any] | None:
        """Return the event's chunk, an error, or None where it brings nothing (`[DONE]`, a heartbeat)."""
        name, data = event
        if name in ERROR_EVENTS:
            return self.told(document_of(self._hide(data)))
        try:
            chunk: ChunkT = self._validate(data)
        except pydantic.ValidationError as error:
            reason, whole = one_line(error), with_whole_characters(data, error)
        else:
            self._add(chunk)
            return attach(chunk, self.response)
        if whole is not None:
            return self.read(Event(name, whole))
        # An event with a name of its own (a ping) that is no chunk concerns somebody else.
        return self.no_chunk(data, reason, is_ours=not name)

    def no_chunk(self, data: bytes, reason: str, *, is_ours: bool) -> StreamError[Any] | None:
        """Say what an event is that holds no chunk."""
        if data.strip() == DONE:
            self.is_done = True
            return None
        return self._refused(self._hide(data), reason) if data and is_ours else None

    def told(self, document: Any) -> StreamError[Any]:
        """Return the error that the service has told."""
        return self._with_arrived(stream_error(document, request=self.request, response=self.response))

    def _refused(self, data: bytes, reason: str) -> StreamError[Any]:
        document: Any = document_of(data)
        if is_dict(document) and "choices" not in document and ERROR_WORDS & document.keys():
            return self.told(document)
        text = f"an event of the stream is no {self._model.__name__}: {reason}"
        error = StreamError[Any](text, request=self.request, response=self.response, body=document)
        return self._with_arrived(error)

    def unreadable(self, reason: str) -> StreamError[Any]:
        """Return the error for bytes that are no events."""
        error = StreamError[Any](f"the stream cannot be read: {reason}", request=self.request, response=self.response)
        return self._with_arrived(error)

    def interrupted(self, reason: str) -> StreamInterruptedError[Any]:
        """Return the error for a stream that ended too early, with what had arrived."""
        text = self._accumulator.text
        error = StreamInterruptedError[Any](
            f"the stream ended before it was complete: {reason}; {len(text)} characters had arrived, and nothing is "
            "asked again by itself",
            request=self.request,
            response=self.response,
        )
        return self._with_arrived(error)

    def _with_arrived(self, error: StreamErrorT) -> StreamErrorT:
        error.text, error.partial = self._accumulator.text, self._accumulator.partial()
        if isinstance(error.partial, ResponseModel):
            attach(error.partial, self.response)
        return error


def document_of(data: bytes) -> Any:
    """Read what an event holds, JSON or not."""
    return parse_body(data, "application/json")
