"""What the judge sees of a body, so that bodies which differ in their words alone are judged once.

A shape keeps the names, the types, the order, short strings and small numbers, all of which the document may speak of.
It leaves out texts, how high a count is, and how often things like each other stand in a list.
"""

from __future__ import annotations

import json
import re
from email.message import Message
from typing import Any

from .document import read_json
from .exchange import parts

# Names of texts and of counts: the document says their types and nothing more.
_TEXTS = frozenset({"access_token", "content", "description", "filename", "input", "instructions", "reasoning_content"})
_TEXTS |= {"request", "result", "text", "title", "tok", "token", "url"}
_COUNTS = re.compile(r"(\w*_)?(tokens|characters|bytes|index|created|created_at|updated_at|logprob|embedding|value|id)")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_END = 3  # events that show how a stream ended, and the nothing after its last blank line
_FEW = 4  # items that the document may count
_LONG = 64  # characters of a string that may be one of a few known ones


def shape_of(body: bytes, content_type: str) -> bytes:
    """Give the shape of a body; the body itself where it is of no kind that has one."""
    kind = content_type.partition(";")[0]
    try:
        if kind == "application/json":
            return _written(_shape(read_json(body), ""))
        if kind == "application/octet-stream":
            return _written(_shape([read_json(line) for line in body.splitlines()], ""))
        if kind == "multipart/form-data":
            return _written([_part(head, content) for head, content in parts(body, content_type)])
        if kind == "text/event-stream":
            events = [_event(block) for block in body.decode().split("\n\n")]
            return _written([*_collapsed(events[:-_END]), *events[-_END:]])
    except (ValueError, RecursionError):
        pass  # broken on purpose, or too deep: every one of them is judged
    return body


def _written(shape: Any) -> bytes:
    return json.dumps(shape, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _event(block: str) -> Any:
    name, mark, data = block.partition("data: ")
    return [name, _shape(read_json(data), "")] if mark and data != "[DONE]" else [block]


def _part(head: Message, content: bytes) -> Any:
    name = str(head.get_param("name", header="content-disposition"))
    is_named = bool(head.get_filename())
    return [name, is_named, str(head["content-type"]), content.decode() if name != "file" else "~"]


def _shape(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {key: _shape(part, key) for key, part in value.items()}
    if isinstance(value, list):
        shapes = [_shape(part, name) for part in value]
        return shapes if len(shapes) <= _FEW else [*_collapsed(shapes), "..."]
    if isinstance(value, str):
        return "~" if name in _TEXTS or len(value) > _LONG else _UUID.sub("#", value)
    if isinstance(value, int | float) and not isinstance(value, bool) and _COUNTS.fullmatch(name):
        return type(value)(1) if value > 0 else value
    return value


def _collapsed(shapes: list[Any]) -> list[Any]:
    """Leave out what is like its neighbour before."""
    return [shape for number, shape in enumerate(shapes) if not number or shape != shapes[number - 1]]
