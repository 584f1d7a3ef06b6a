"""Hooks around each attempt of a call: what they are given, and what they give back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from .http import ResponseInfo


@dataclass
class AttemptRequest:
    """One attempt on its way out; a middleware may change its headers.

    Attributes:
        method: `"GET"`, `"POST"`, ...
        url: The address, with secret query values hidden.
        headers: Header fields to send. The SDK adds `Authorization` later than any middleware sees it, unless one has
            set it.
        content: The body; None where there is none, or where it is a file that is read while it is sent.
        number: 1 for the first attempt, 2 for the first retry, and so on; a new token makes no new number.
        is_stream: Whether an event stream is asked for.
    """

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    number: int
    is_stream: bool


@dataclass(frozen=True)
class AttemptResponse:
    """The answer to one attempt, an error of the service included.

    Attributes:
        info: Status, headers, elapsed time, request id.
        content: The body; None for a stream or a download, which is still on its way.
    """

    info: ResponseInfo
    content: bytes | None = field(repr=False)

    @property
    def status_code(self) -> int:
        """The HTTP status."""
        return self.info.status_code


class Middleware(Protocol):
    """Wraps each attempt of a `Client`'s calls to the API (not those for tokens).

    It must call `send` before it returns, and return what that gave; what it raises goes to the caller. `send` raises
    `APIConnectionError` where no answer came. It runs once per attempt, retries included, in the thread of the call.

    Example:
        >>> def log_attempts(request, send):
        ...     response = send(request)
        ...     print(request.method, request.url, response.status_code)
        ...     return response
        >>> client = Client(middleware=[log_attempts])
    """

    def __call__(
        self, request: AttemptRequest, send: Callable[[AttemptRequest], AttemptResponse], /
    ) -> AttemptResponse:
        """Send `request`, and return its answer."""
        ...


class AsyncMiddleware(Protocol):
    """Wraps each attempt of an `AsyncClient`'s calls to the API (not those for tokens); see `Middleware`.

    Example:
        >>> async def log_attempts(request, send):
        ...     response = await send(request)
        ...     print(request.method, request.url, response.status_code)
        ...     return response
        >>> client = AsyncClient(middleware=[log_attempts])
    """

    async def __call__(
        self, request: AttemptRequest, send: Callable[[AttemptRequest], Awaitable[AttemptResponse]], /
    ) -> AttemptResponse:
        """Send `request`, and return its answer."""
        ...
