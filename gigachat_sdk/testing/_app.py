"""The way of one request: read, record, authorize, scripted reply or endpoint, send.

To add an endpoint, write a function `Call -> Reply` in a module of its own and add the module's `ROUTES` below.
"""

import logging
import uuid
from collections.abc import Callable

import anyio
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from gigachat_sdk.testing import _auth, _chat, _models
from gigachat_sdk.testing._auth import authorize
from gigachat_sdk.testing._calls import Call, Endpoint, Refusal
from gigachat_sdk.testing._replies import Reply, send_reply
from gigachat_sdk.testing._state import OAUTH_PATH, RecordedRequest, State, plain_path

ROUTES = (*_auth.ROUTES, *_models.ROUTES, *_chat.ROUTES)
LIMITED_PATHS = frozenset({_chat.CHAT_PATH})  # where the account's number of parallel requests counts
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
        body = await _read_body(receive)
        if body is None:
            return
        too_large = self._state.settings.limits and len(body) > MAX_BODY
        request = _recorded(scope, b"" if too_large else body, self._state.settings.clock())
        number = self._state.record(request)

        async def send_and_note(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._state.answered(number, message["status"])
            await send(message)

        reply, leave = self._decide(request, too_large=too_large)
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when_gone, receive, group.cancel_scope)
            try:
                lower = request.http_version == "2"
                await send_reply(reply, send_and_note, _tracing(request), lower=lower, ending=leave)
            except Exception:  # a scripted reply that HTTP does not allow; the server ends the connection
                _log.exception("The emulator could not send its answer to %s %s", request.method, request.path)
            finally:
                leave()
            group.cancel_scope.cancel()

    def _decide(self, request: RecordedRequest, *, too_large: bool) -> tuple[Reply, Callable[[], None]]:
        """Find the reply, and what gives the request's place among those in flight back."""
        leave: Callable[[], None] | None = None
        try:
            authorize(self._state, request)
            if too_large:
                raise Refusal(413, "Payload too large")
            if plain_path(request.path) in LIMITED_PATHS:
                leave = self._state.admit()
                if leave is None:
                    raise Refusal(429, "Too many requests")
            return self._state.scripted(request) or _route(self._state, request), leave or _nothing
        except Refusal as refusal:
            return refusal.reply, leave or _nothing
        except Exception:  # a handler or an answer function of the test
            _log.exception("The emulator could not answer %s %s", request.method, request.path)
            return Reply.error(500, "Internal Server Error"), leave or _nothing


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


async def _read_body(receive: Receive) -> bytes | None:
    """Read the whole body; None when the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


async def _cancel_when_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    """Wait for the client to go away, and stop answering it."""
    await receive()  # after the body nothing else is left to come
    scope.cancel()


def _recorded(scope: Scope, body: bytes, received_at: float) -> RecordedRequest:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return RecordedRequest(
        method=scope["method"],
        path=scope["path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
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
