"""One request and its answer as they went over the wire, and what the document says against them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from urllib.parse import parse_qsl

from jsonschema.exceptions import ValidationError, best_match
from openapi_core.datatypes import RequestParameters
from openapi_core.deserializing.media_types.exceptions import MediaTypeDeserializeError
from openapi_core.templating.media_types.exceptions import MediaTypeNotFound
from openapi_core.validation.request.exceptions import (
    ParameterValidationError,
    RequestBodyValidationError,
    SecurityValidationError,
)
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from werkzeug.datastructures import Headers, ImmutableMultiDict

from .document import Operation, find_operation, judge, read_json, schema_judge

OUR_AGENT = "gigachat-sdk/"
_VERSIONED = re.compile(r"(?:/api)?/v[12]/.*", re.DOTALL)
_ERROR = "#/components/schemas/ApiError"


@dataclass
class Exchange:
    """A request, and its answer where there is one that counts."""

    method: str
    path: str  # as sent, percent signs and all
    query: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    is_body_known: bool = True  # not where it is read while it is sent
    status: int | None = None  # None where there is no answer, or one that a test has scripted
    answer_headers: list[tuple[str, str]] = field(default_factory=list)
    answer: bytes = b""
    is_scripted: bool = False  # the answer is the test's own: a reply, or one that a fault has bent

    @property
    def is_ours(self) -> bool:
        return _header(self.headers, "user-agent").startswith(OUR_AGENT)

    @property
    def content_type(self) -> str:
        return _header(self.headers, "content-type")

    @property
    def answer_type(self) -> str:
        return _header(self.answer_headers, "content-type")

    @property
    def operation(self) -> Operation | None:
        return find_operation(self.method, plain_path(self.path))


def _header(headers: list[tuple[str, str]], name: str) -> str:
    return next((value for given, value in headers if given.lower() == name), "")


@dataclass(frozen=True)
class Violation:
    """One thing that the document does not allow."""

    operation: str  # its id; a method and a path where there is none
    side: str  # "request", "answer" or "event"
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.operation}, {self.side}, {self.place}: {self.text}"


def plain_path(path: str) -> str:
    """Take away what stands before the version, as the former host has it and test servers may; not for tokens."""
    if path == "/api/v2/oauth":
        return path
    found = _VERSIONED.search(path)
    return path if found is None else found[0].removeprefix("/api")


def violations(exchange: Exchange) -> list[Violation]:
    """Judge an exchange: the request if the SDK sent it, the answer if there is one."""
    return request_violations(exchange) + answer_violations(exchange)


def request_violations(exchange: Exchange) -> list[Violation]:
    """Judge the request of an exchange if the SDK sent it."""
    operation = exchange.operation
    if not exchange.is_ours:
        return []
    if operation is None:
        return [Violation(f"{exchange.method} {plain_path(exchange.path)}", "request", "path", "is no operation")]
    return [Violation(operation.id, "request", place, text) for place, text in _of_request(operation, exchange)]


def answer_violations(exchange: Exchange) -> list[Violation]:
    """Judge the answer of an exchange if there is one that counts, and an operation that it answers."""
    operation = exchange.operation
    if operation is None or exchange.status is None:
        return []
    return [
        *(Violation(operation.id, "answer", place, text) for place, text in _of_answer(operation, exchange)),
        *(Violation(operation.id, "event", place, text) for place, text in _of_events(operation, exchange)),
    ]


Trouble = tuple[str, str]  # a place, and what is wrong there


# ---- requests ----


class _Request:
    """An exchange's request, as the validator takes it."""

    def __init__(self, operation: Operation, exchange: Exchange) -> None:
        query = parse_qsl(exchange.query, keep_blank_values=True)
        self.headers = Headers(exchange.headers)
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(query), header=self.headers, cookie=ImmutableMultiDict()
        )
        self.method = exchange.method.lower()
        self.host_url = operation.host
        self.path = plain_path(exchange.path)
        self.content_type = exchange.content_type
        self.body = _shortened(exchange.body, self.content_type) or None


def _of_request(operation: Operation, exchange: Exchange) -> Iterator[Trouble]:
    request = _Request(operation, exchange)
    errors = list(judge().iter_request_errors(request))
    if any(isinstance(error, SecurityValidationError) for error in errors):  # then nothing else was looked at
        scheme = request.headers.get("Authorization", "").partition(" ")[0]
        yield "header Authorization", f"{scheme!r} is the wrong scheme" if scheme else "is missing"
        request.headers["Authorization"] = f"{operation.scheme} x"
        errors = list(judge().iter_request_errors(request))
    for error in errors:
        if exchange.is_body_known or not isinstance(error, RequestBodyValidationError):
            yield from _troubles(error)
    for name in sorted({name for name, _ in parse_qsl(exchange.query, keep_blank_values=True)}):
        if name not in operation.parameters("query"):
            yield f"query {name}", "is no parameter"
    if not operation.body_types() and exchange.body:
        yield "body", f"there should be none, and is {exchange.body[:40]!r}"
    if not exchange.body:
        return
    if request.content_type.startswith("multipart/"):
        yield from _of_parts(operation, exchange.body, request.content_type)
    for kind in operation.body_types().values():
        if "x-line-schema" in kind:
            yield from _of_lines(kind["x-line-schema"], exchange)


def _of_parts(operation: Operation, body: bytes, content_type: str) -> Iterator[Trouble]:
    known: Mapping[str, Any] = operation.body_types()["multipart/form-data"]["schema"]["properties"]
    seen: set[str] = set()
    for head, _ in parts(body, content_type):
        name = str(head.get_param("name", header="content-disposition"))
        if name not in known or name in seen:
            yield f"part {name}", "is there twice" if name in seen else "is no part"
        seen.add(name)
        if name == "file" and not (head.get_filename() and head["content-type"]):
            yield "part file", "lacks a file name or a content type"


def parts(body: bytes, content_type: str) -> Iterator[tuple[Message, bytes]]:
    """Cut a multipart body; each part's head, and its content."""
    kind = Message()
    kind["content-type"] = content_type
    boundary = b"--" + str(kind.get_param("boundary")).encode()
    for part in (b"\r\n" + body).split(b"\r\n" + boundary)[1:-1]:
        lines, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        head = Message()
        for line in lines.decode("utf-8").split("\r\n"):
            name, _, value = line.partition(":")
            head[name] = value.strip()
        yield head, content


def _shortened(body: bytes, content_type: str) -> bytes:
    """Cut the files in a large multipart body: what is in them is nobody's business, and takes the validator long."""
    if len(body) < 1 << 16 or not content_type.startswith("multipart/"):
        return body
    kind = Message()
    kind["content-type"] = content_type
    mark = b"\r\n--" + str(kind.get_param("boundary")).encode()
    return mark.join(part if len(part) < 1 << 12 else part[: 1 << 12] for part in body.split(mark))


def _of_lines(reference: str, exchange: Exchange) -> Iterator[Trouble]:
    method = dict(parse_qsl(exchange.query)).get("method", "")
    bodies = {"chat_completions": "ChatRequest", "embedder": "EmbeddingsRequest"}
    for number, line in enumerate(exchange.body.splitlines(), 1):
        try:
            document = read_json(line)
        except ValueError:
            yield f"line {number}", f"is no JSON: {line[:40]!r}"
            continue
        yield from _of_document(reference, document, "line")
        if method in bodies and isinstance(document, dict):
            yield from _of_document(f"#/components/schemas/{bodies[method]}", document.get("request"), "line request")


# ---- answers ----


class _Answer:
    """An exchange's answer, as the validator takes it."""

    def __init__(self, exchange: Exchange) -> None:
        self.headers = Headers(exchange.answer_headers)
        self.status_code = exchange.status or 0
        self.content_type = exchange.answer_type
        is_file = self.content_type.partition(";")[0] in ("application/octet-stream", "image/jpeg")
        self.data = exchange.answer or (b" " if is_file else b"")  # the validator takes an empty file for a missing one


def _of_answer(operation: Operation, exchange: Exchange) -> Iterator[Trouble]:
    request, answer = _Request(operation, exchange), _Answer(exchange)
    documented = operation.spec["responses"].get(str(exchange.status))
    if documented is None:
        yield f"status {exchange.status}", "is not documented"
        return
    if documented.get("content") is None and "$ref" not in documented:
        if exchange.answer:
            yield "body", f"there should be none, and is {exchange.answer[:40]!r}"
        return
    for error in judge().iter_response_errors(request, answer):
        yield from _troubles(error)


def of_error_body(exchange: Exchange) -> list[Trouble]:
    """Judge the body of an answer whose status is not documented: it must be an error of the API all the same."""
    try:
        document = read_json(exchange.answer)
    except ValueError:
        return [("body", f"is no JSON: {exchange.answer[:40]!r}")]
    return list(_of_document(_ERROR, document, ""))


def _of_events(operation: Operation, exchange: Exchange) -> Iterator[Trouble]:
    kind = exchange.answer_type.partition(";")[0]
    content = operation.spec["responses"].get(str(exchange.status), {}).get("content", {})
    rules = content.get("text/event-stream", {}).get("x-sse")
    if kind != "text/event-stream" or rules is None:
        return
    schemas = {rule["event"]: rule["data"] for rule in rules["events"]}
    blocks = exchange.answer.decode("utf-8").split("\n\n")
    if blocks.pop():
        yield "end", "no blank line ends the last event"
    names: list[str | None] = []
    for block in blocks:
        name, data, odd = _event(block)
        yield from (("line", f"{line[:40]!r} is neither an event's name nor its data") for line in odd)
        is_end = name is None and data == rules["terminator"]
        names.append(data if is_end else name)
        if is_end:
            continue
        if name not in schemas:
            yield f"event {name}", "is no event"
            continue
        try:
            document = read_json(data)
        except ValueError:
            yield f"event {name}", f"its data is no JSON: {data[:40]!r}"
        else:
            yield from _of_document(schemas[name], document, f"event {name}" if name else "event")
    if rules["terminator"] in names[:-1] or names[-1:] != [rules["terminator"]]:
        yield "end", f"{rules['terminator']} must come once, at the end; the events were {names[-3:]}"


def _event(block: str) -> tuple[str | None, str, list[str]]:
    """Read the lines of one event: its name, its data, and lines of other kinds."""
    name: str | None = None
    data: list[str] = []
    odd: list[str] = []
    for line in block.split("\n"):
        if line.startswith("event: ") and name is None:
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        else:
            odd.append(line)
    return name, "\n".join(data), odd


# ---- words ----


def _of_document(reference: str, document: Any, where: str) -> Iterator[Trouble]:
    yield from (_in_words(error, where) for error in schema_judge(reference).iter_errors(document))


def _troubles(error: Exception) -> Iterator[Trouble]:
    """Put what the validator found into words."""
    cause = error.__cause__
    where = f"{error.location} {error.name}" if isinstance(error, ParameterValidationError) else ""
    if isinstance(cause, InvalidSchemaValue):
        yield from (_in_words(one, where) for one in cause.schema_errors if isinstance(one, ValidationError))
    elif isinstance(cause, MediaTypeNotFound):
        yield "content type", f"{cause.mimetype!r} is none of {', '.join(cause.availableMimetypes)}"
    elif isinstance(cause, MediaTypeDeserializeError):
        yield "body", f"is no {cause.mimetype}: {cause.value[:40]!r}"
    else:
        yield where or "body", str(cause or error)


def _in_words(error: ValidationError, where: str) -> Trouble:
    leaf = best_match([error]) or error
    place = ""
    for step in leaf.absolute_path:
        place += "[]" if isinstance(step, int) else f".{step}" if place else step
    text = leaf.message if len(leaf.message) <= 200 else f"{leaf.message[:100]} ... {leaf.message[-100:]}"
    return " ".join(filter(None, (where, place))) or "body", text
