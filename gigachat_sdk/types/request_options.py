"""Keywords that every method takes beside those of its endpoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias

import httpx
from typing_extensions import TypedDict

from .http import RetryInfo

TimeoutTypes: TypeAlias = float | httpx.Timeout | None
QueryScalar: TypeAlias = str | int | float | bool | None
QueryValue: TypeAlias = QueryScalar | Sequence[QueryScalar]


class ContextOptions(TypedDict, total=False):
    """Ids that a request carries: who asks, in which dialogue, on whose behalf; None sends what the client says."""

    client_id: str | None
    """`X-Client-ID`: the user on whose behalf you ask. A file made with one is given only with the same one."""
    session_id: str | None
    """`X-Session-ID`: the dialogue; the same one over its calls makes the service's prompt cache hit."""
    service_id: str | None
    """`X-Service-ID`, forwarded as it is."""
    operation_id: str | None
    """`X-Operation-ID`, forwarded as it is."""
    trace_id: str | None
    """`X-Trace-ID`, forwarded as it is."""
    agent_id: str | None
    """`X-Agent-ID`, forwarded as it is."""


class RequestOptions(ContextOptions, total=False):
    """Keywords of a single call; each wins over the client's setting of the same name.

    None leaves that setting as it is, but for `timeout` and `deadline`, where it stands for no limit.
    """

    request_id: str | None
    """`X-Request-ID`: an id of yours for this request; the service makes one otherwise."""

    extra_headers: Mapping[str, str | None] | None
    """Header fields to send as well; they win over the SDK's own, and None takes a field away."""
    extra_query: Mapping[str, QueryValue] | None
    """Query parameters to send as well."""
    extra_body: Mapping[str, Any] | None
    """Fields to put into the JSON body as they are: the way to send what this SDK does not know."""
    timeout: TimeoutTypes
    """Seconds for each phase (connect, send, wait between reads, wait for a connection), an `httpx.Timeout`, or None
    for no limit."""
    max_retries: int | None
    """How often a failed request is sent again; 0 for never."""
    retry_statuses: Collection[int] | None
    """HTTP statuses after which a request is sent again."""
    retry_lost: bool | None
    """Whether a request is sent again when its answer was lost on the way; it may be billed twice."""
    deadline: float | None
    """Seconds for the whole call, everything included: token, waits, retries, the body or the stream to its end. When
    they have passed, `APITimeoutError` is raised, inside a stream `StreamInterruptedError`. None for no limit."""
    on_retry: Callable[[RetryInfo], object] | None
    """Called before a request is sent again; on an `AsyncClient` it may be a coroutine function."""
