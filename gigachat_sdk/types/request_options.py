"""Keywords that every method takes beside those of its endpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from typing_extensions import TypedDict

if TYPE_CHECKING:
    import httpx

TimeoutTypes: TypeAlias = Union[float, "httpx.Timeout", None]
QueryScalar: TypeAlias = str | int | float | bool | None
QueryValue: TypeAlias = QueryScalar | Sequence[QueryScalar]


class RequestOptions(TypedDict, total=False):
    """Keywords of a single call; each wins over the client's setting of the same name."""

    extra_headers: Mapping[str, str | None]
    """Header fields to send as well; they win over the SDK's own, and None takes a field away."""
    extra_query: Mapping[str, QueryValue]
    """Query parameters to send as well."""
    extra_body: Mapping[str, Any]
    """Fields to put into the JSON body as they are: the way to send what this SDK does not know."""
    timeout: TimeoutTypes
    """Seconds for each phase (connect, send, wait between reads, wait for a connection), an `httpx.Timeout`, or None
    for no limit."""
    max_retries: int
    """How often a failed request is sent again; 0 for never."""
    retry_statuses: Collection[int]
    """HTTP statuses after which a request is sent again."""
    retry_lost: bool
    """Whether a request is sent again when its answer was lost on the way; it may be billed twice."""
