"""Ids and header fields for all requests of a block of code, however deep below it they are made."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any

from typing_extensions import Unpack

from ._headers import Hidden, check_headers
from ._request import context_headers
from ._settings import check_names
from .errors import InvalidRequestTypeError
from .types.request_options import ContextOptions


class RequestContext(ContextOptions, total=False):
    """Every keyword of `request_context(...)`."""

    request_id: str | None
    """`X-Request-ID`, the same for every request of the block."""
    headers: Mapping[str, str | None] | None
    """Header fields to send as well; None takes a field of the client's away."""


_NAMES = frozenset(RequestContext.__annotations__)
_fields: ContextVar[Mapping[str, str | None]] = ContextVar("gigachat_sdk_request_context")
_NOTHING: Mapping[str, str | None] = Hidden()


class request_context:  # noqa: N801  # it is used as a function
    """Set ids and header fields for every request made inside the block, by any client.

    Made for code deep inside a web request: set the ids where the request comes in, and call the model wherever it is
    needed. It belongs to the running task or thread (a context variable), so requests served at the same time keep
    their own. Blocks inside each other add up, and the inner one wins. A keyword of a call wins over the block, the
    block over the client. Token requests are not touched.

    Do not `yield` inside the block: a generator shares its context with whoever iterates over it, who would make
    requests under these ids too. A streaming answer passes the ids to the call itself, or uses
    `client.with_options(client_id=...)`.

    Args:
        given: `client_id`, `session_id`, `request_id`, `service_id`, `operation_id`, `trace_id`, `agent_id`, and
            `headers`; one that is None changes nothing.

    Raises:
        TypeError: An unknown keyword.
        InvalidRequestError: A value that no header can hold.

    Example:
        >>> with request_context(client_id="user-17", session_id="dialogue-4"):
        ...     client.chat.completions.create(messages=[{"role": "user", "content": "Привет!"}])
    """

    def __init__(self, **given: Unpack[RequestContext]) -> None:
        check_names(given.keys(), _NAMES, "request_context()")
        self._headers = Hidden(check_headers("headers", given.get("headers"), InvalidRequestTypeError))
        self._ids = Hidden(context_headers(given, InvalidRequestTypeError))
        self._tokens: list[Token[Mapping[str, str | None]]] = []
        del given  # headers among them may hold secrets, and a traceback with locals would show them

    def __enter__(self) -> None:
        self._tokens.append(_fields.set(_merged({**current_context(), **self._headers}, self._ids)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A generator may be closed by another task or thread, whose context knows nothing of the block.
        with suppress(ValueError):
            _fields.reset(self._tokens.pop())

    def __repr__(self) -> str:
        return f"request_context({', '.join(sorted({*self._headers, *self._ids}))})"


def current_context() -> Mapping[str, str | None]:
    """Return the header fields of the block that is running (internal)."""
    return _fields.get(_NOTHING)


def _merged(fields: Mapping[str, str | None], ids: Mapping[str, Any]) -> Mapping[str, str | None]:
    """Put ids over fields of the same name in any case."""
    taken = {name.lower() for name in ids}
    return Hidden({**{name: value for name, value in fields.items() if name.lower() not in taken}, **ids})
