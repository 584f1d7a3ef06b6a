"""`/v1/batches`: many requests in one file, answered one after another.

There is no clock in it: a batch goes one step on (created, in progress, completed) each time that a GET shows it, so
the first GET says `in_progress` and the second one `completed`. It is answered with that last step.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._blobs import Blob, BlobWriter, Pieces
from gigachat_sdk.testing._calls import Call, Refusal, as_object, made_id, malformed
from gigachat_sdk.testing._chat import answer_to
from gigachat_sdk.testing._embeddings import embeddings_of
from gigachat_sdk.testing._files import FileStore
from gigachat_sdk.testing._replies import Reply, to_json
from gigachat_sdk.testing._state import State

_log = logging.getLogger("gigachat_sdk.testing")
_Answering = Callable[[State, dict[str, Any], str | None], dict[str, Any]]


def _embed(_: State, request: dict[str, Any], __: str | None) -> dict[str, Any]:
    return embeddings_of(request)


_METHODS: dict[str, _Answering] = {"chat_completions": answer_to, "embedder": _embed}


@dataclass
class _Batch:
    id: str
    method: str
    lines: Blob
    client_id: str | None
    created_at: int
    total: int
    status: str = "created"
    completed: int = 0
    failed: int = 0
    updated_at: int = 0
    output_file_id: str | None = None

    def to_json(self) -> dict[str, Any]:
        counts = {"total": self.total, "completed": self.completed, "failed": self.failed}
        output = {} if self.output_file_id is None else {"output_file_id": self.output_file_id}
        return {
            "id": self.id,
            "method": self.method,
            "request_counts": {"total": self.total} if self.status == "created" else counts,
            "status": self.status,
            **output,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


class _Batches:
    """The batches of one emulator, oldest first."""

    def __init__(self) -> None:
        self.by_id: dict[str, _Batch] = {}


def _create(call: Call) -> Reply:
    call.require_plan("pay_as_you_go")
    method = call.request.params.get("method")
    content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if method not in _METHODS or content_type != "application/octet-stream":
        raise malformed()
    lines = Blob.of(call.request.content)
    total = _checked_total(lines)
    now = int(call.state.settings.clock())
    batches = call.state.part(_Batches)
    batch = _Batch(
        id=made_id("batch", len(batches.by_id) + 1),
        method=method,
        lines=lines,
        client_id=call.request.headers.get("x-client-id"),
        created_at=now,
        updated_at=now,
        total=total,
    )
    batches.by_id[batch.id] = batch
    return Reply(json=batch.to_json())


def _list(call: Call) -> Reply:
    call.require_plan("pay_as_you_go")
    batches, wanted = call.state.part(_Batches).by_id, call.request.params.get("batch_id")
    shown = list(batches.values())
    if wanted is not None:
        if wanted not in batches:
            raise Refusal(404, "Batch task not found")
        shown = [batches[wanted]]
    for batch in shown:
        _go_on(call.state, batch)
    return Reply(json={"batches": [batch.to_json() for batch in shown]})


def _checked_total(lines: Blob) -> int:
    """Count the requests of a file whose every line is one, with an id of its own."""
    ids: set[str] = set()
    for total, (identity, _) in enumerate(_requests(lines), 1):
        ids.add(identity)
        if len(ids) < total:
            raise malformed()
    if not ids:
        raise malformed()
    return len(ids)


def _requests(lines: Blob) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in _lines(lines):
        try:
            parsed = as_object(json.loads(line))
        except (ValueError, RecursionError):
            raise malformed() from None
        identity, request = (parsed.get("id"), as_object(parsed.get("request"))) if parsed else (None, None)
        if not isinstance(identity, str) or request is None:
            raise malformed()
        yield identity, request


def _lines(content: Blob) -> Iterator[bytes]:
    rest = b""
    for piece in Pieces(content):
        *lines, rest = (rest + piece).split(b"\n")
        yield from filter(bytes.strip, lines)
    if rest.strip():
        yield rest


def _go_on(state: State, batch: _Batch) -> None:
    if batch.status == "completed":
        return
    batch.updated_at = int(state.settings.clock())
    if batch.status == "created":
        batch.status = "in_progress"
        return
    batch.status = "completed"
    output = BlobWriter(state.spool)
    for identity, request in _requests(batch.lines):
        line = {"id": identity, **_outcome(state, batch, request)}
        batch.failed += "error" in line
        output.write(to_json(line).encode("utf-8", "replace") + b"\n")
    batch.completed = batch.total - batch.failed
    file = state.part(FileStore).add(
        output.finish(),
        filename=f"{batch.id}.jsonl",
        mime="application/octet-stream",
        client_id=batch.client_id,
        now=batch.updated_at,
    )
    batch.output_file_id = file.id


def _outcome(state: State, batch: _Batch, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"result": _METHODS[batch.method](state, request, batch.client_id)}
    except Refusal as refusal:
        return {"error": {"status": refusal.reply.status, "message": str(refusal)}}
    except Exception:  # an answer function of the test
        _log.exception("The emulator could not answer a line of batch %s", batch.id)
        return {"error": {"status": 500, "message": "Internal Server Error"}}


ROUTES = [
    Route("/v1/batches", _list, methods=["GET"]),
    Route("/v1/batches", _create, methods=["POST"]),
]
