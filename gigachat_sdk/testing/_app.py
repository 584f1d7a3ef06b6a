"""The way of one request: read, record, authorize, scripted reply or endpoint, send.

To add an endpoint, write a function `Call -> Reply` in a module of its own and add the module's `ROUTES` below.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import NamedTuple

import anyio
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from gigachat_sdk.testing import (
    _assistants,
    _auth,
    _batches,
    _chat,
    _chat_v2,
    _checks,
    _embeddings,
    _files,
    _functions,
    _models,
    _threads,
    _usage,
)
from gigachat_sdk.testing._auth import authorize
from gigachat_sdk.testing._blobs import BlobWriter, Content, Spool
from gigachat_sdk.testing._calls import Call, Endpoint, Refusal
from gigachat_sdk.testing._fault_choice import Faults, Turn
from gigachat_sdk.testing._fault_send import answer_instead, send_with_faults
from gigachat_sdk.testing._replies import Reply, send_reply
from gigachat_sdk.testing._state import OAUTH_PATH, RecordedRequest, State, plain_path

ROUTES = (
    *_auth.ROUTES,
    *_models.ROUTES,
    *_chat.ROUTES,
    *_files.ROUTES,
    *_embeddings.ROUTES,
    *_usage.ROUTES,
    *_checks.ROUTES,
    *_functions.ROUTES,
    *_batches.ROUTES,
    *_assistants.ROUTES,
    *_threads.ROUTES,
    *_chat_v2.ROUTES,
)
LIMITED_PATHS = frozenset(  # where the account's number of parallel requests counts, when a model is asked to answer
    {_chat.CHAT_PATH, _chat_v2.CHAT_V2_PATH, _threads.RUN_PATH, _threads.RUN_MESSAGES_PATH, _threads.RERUN_PATH}
)
MAX_BODY = 80 * 1024 * 1024  # bytes

_log = logging.getLogger("gigachat_sdk.testing")


class App:
    """The ASGI application."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return  # the server answers a WebSocket with an error of its own
        body = _Body(self._state.spool, MAX_BODY if self._state.settings.limits else None, _declared_size(scope))
        if not await body.receive(receive):
            return
        request = _recorded(scope, body.content(), self._state.settings.clock())
        number = self._state.record(request)

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._state.answered(number, message["status"])
            await send(message)

        decided = self._decide(request, number, too_large=body.is_too_large)
        reply, leave, added = decided.reply, decided.leave, _tracing(request)
        with anyio.CancelScope() as answering:
            # No task group: of a task that is cancelled before it begins, anyio leaves a coroutine unawaited.
            watcher = asyncio.ensure_future(_cancel_when_gone(receive, answering))
            try:
                if decided.turn is not None:
                    await send_with_faults(decided.turn, reply, scope, send_and_note, added, leave)
                else:
                    lower = request.http_version == "2"
                    await send_reply(reply, send_and_note, added, lower=lower, ending=leave)
            except Exception:  # a scripted reply that HTTP does not allow; the server ends the connection
                _log.exception("The emulator could not send its answer to %s %s", request.method, request.path)
            finally:
                leave()
                watcher.cancel()

    def _decide(self, request: RecordedRequest, number: int, *, too_large: bool) -> "_Decision":
        """Find the reply, and what gives the request's place among those in flight back."""
        leave: Callable[[], None] | None = None
        turn: Turn | None = None
        try:
            authorize(self._state, request)
            if too_large:
                raise Refusal(413, "Payload too large")
            if request.method == "POST" and plain_path(request.path) in LIMITED_PATHS:
                leave = self._state.admit()
                if leave is None:
                    raise Refusal(429, "Too many requests")
            turn = self._state.part(Faults).turn(request, number)
            reply = answer_instead(turn, self._state) if turn else None
            reply = reply or self._state.scripted(request) or _route(self._state, request)
        except Refusal as refusal:
            reply = refusal.reply
        except Exception:  # a handler or an answer function of the test
            _log.exception("The emulator could not answer %s %s", request.method, request.path)
            reply = Reply.error(500, "Internal Server Error")
        return _Decision(reply, leave or _nothing, turn)


class _Decision(NamedTuple):
    """What is answered, what gives the request's place back, and which faults it may meet."""

    reply: Reply
    leave: Callable[[], None]
    turn: Turn | None


def _nothing() -> None:
    """Stand for the giving back of a place that a request does not hold."""


def _route(state: State, request: RecordedRequest) -> Reply:
    scope = {"type": "http", "method": request.method, "path": plain_path(request.path)}
    allowed: set[str] = set()
    for route in ROUTES:
        match, found = route.matches(scope)
        if match is Match.FULL:
            endpoint: Endpoint = found["endpoint"]
            return endpoint(Call(state, request, found["path_params"]))
        if match is Match.PARTIAL:
            allowed |= route.methods or set()
    if allowed:
        return Reply.error(405, "Method Not Allowed", headers={"Allow": ", ".join(sorted(allowed))})
    raise Refusal(404, "Not Found")


class _Body:
    """The body of a request as it comes in; one above the limit is read to its end and not kept."""

    def __init__(self, spool: Spool, limit: int | None, declared: int) -> None:
        self._limit = limit
        self._writer = BlobWriter(spool)
        self._size = 0
        self.is_too_large = limit is not None and declared > limit

    async def receive(self, receive: Receive) -> bool:
        """Read the whole body; False when the client has gone."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            self._take(message.get("body", b""))
            if not message.get("more_body", False):
                return True

    def content(self) -> Content:
        """Give the body; empty when it was too large."""
        return b"" if self.is_too_large else self._writer.finish()

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._limit is not None and self._size > self._limit:
            self.is_too_large = True
        if not self.is_too_large:
            self._writer.write(piece)


def _declared_size(scope: Scope) -> int:
    """Say how long a body is going to be, 0 where that is not said; the server has checked the header."""
    return next((int(value) for name, value in scope["headers"] if name.lower() == b"content-length"), 0)


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """Wait for the client to go away, and stop answering it."""
    await receive()  # after the body nothing else is left to come
    scope.cancel()


def _recorded(scope: Scope, content: Content, received_at: float) -> RecordedRequest:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RecordedRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        content=content,
        http_version=scope["http_version"],
        status=None,
        received_at=received_at,
    )


def _tracing(request: RecordedRequest) -> dict[str, str]:
    """Make the headers that every API answer carries; those of the token endpoint don't."""
    if request.path == OAUTH_PATH:
        return {}
    sent = request.headers
    ids = {
        "X-Request-Id": sent.get("x-request-id") or str(uuid.uuid4()),
        "X-Session-Id": sent.get("x-session-id") or str(uuid.uuid4()),
    }
    return {**ids, "X-Client-Id": sent["x-client-id"]} if "x-client-id" in sent else ids
