"""Lines of a journal: how one is written, what it says, and where it begins. Pure.

Lines end at LF and nowhere else: U+2028 and its like are text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from ..types._base import ResponseModel
from ..types._narrow import is_dict
from ._items import Item
from ._results import error_document, is_final

_DIGEST = re.compile(r"[0-9a-f]{32}")
_STARTS = (b'{"id":', b'{"index":')
_HEAD = re.compile(rb'\{("id":("(?:[^"\\]|\\.)*"|-?[0-9]+),)?"index":[0-9]+,"digest":"')
_NO_JSON = "it is no JSON"


@dataclass(frozen=True)
class Record:
    """A line of a journal.

    Attributes:
        id: The id of the item; None where it has none.
        index: Its place when it was asked.
        digest: Of its question.
        response: The answer as JSON; None where there is an error.
        error: The error; None where there is an answer.
        is_final: Whether asking again would not help.
    """

    id: str | int | None
    index: int
    digest: str
    response: Any
    error: dict[str, Any] | None
    is_final: bool


def line_of(item: Item, outcome: ResponseModel | Exception) -> bytes:
    """Return the line for what has become of an item."""
    head: dict[str, Any] = {} if item.id is None else {"id": item.id}
    head |= {"index": item.index, "digest": item.digest}
    if isinstance(outcome, Exception):
        head |= {"error": error_document(outcome), "is_final": is_final(outcome)}
        return _json(head).encode("utf-8", "replace") + b"\n"
    return f'{_json(head)[:-1]},"response":{outcome.to_json()}}}\n'.encode("utf-8", "replace")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read_line(line: bytes) -> Record | str:
    """Return what a line says, or why it is no line of a journal."""
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError):
        return _NO_JSON
    if not is_dict(document):
        return "it is no JSON object"
    identity, index, digest = document.get("id"), document.get("index"), document.get("digest")
    if not (identity is None or isinstance(identity, str | int)) or isinstance(identity, bool):
        return "its id is neither a string nor a number"
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        return "it has no index"
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return "it has no digest"
    response, error = document.get("response"), document.get("error")
    if (response is None) == (error is None):
        return "it has neither a response nor an error" if error is None else "it has a response and an error"
    if error is None:
        return Record(identity, index, digest, response, None, True)
    if not is_dict(error) or not (isinstance(error.get("type"), str) and isinstance(error.get("message"), str)):
        return "its error has no type and message"
    return Record(identity, index, digest, None, error, document.get("is_final") is True)


def each_line(file: IO[bytes]) -> Iterator[tuple[int, int, bytes]]:
    """Yield number, offset and bytes of each line."""
    offset = 0
    for number, line in enumerate(file, start=1):
        yield number, offset, line
        offset += len(line)


def is_torn(line: bytes, record: Record | str, *, is_first: bool) -> bool:
    """Say whether a line without an end is the beginning of one of ours; the system may have put zeros there.

    With no whole line before it, it must hold more: a file of the user's may begin like that, too.
    """
    start = line.rstrip(b"\0")
    if record != _NO_JSON:
        return False
    if is_first:
        return _HEAD.match(start) is not None
    return start.startswith(_STARTS) or any(whole.startswith(start) for whole in _STARTS)


def is_blank(line: bytes) -> bool:
    """Say whether a line has nothing in it, as an editor may leave it."""
    return line.endswith(b"\n") and not line.strip()
