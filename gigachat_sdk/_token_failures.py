"""Tokens that could not be bought: how long the endpoint is left in peace, and by whom. No I/O.

Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ._constants import (
    FIRST_TOKEN_PAUSE,
    LONGEST_TOKEN_PAUSE,
    REFRESH_PAUSE,
    RETRY_AFTER_LIMIT,
    TOKEN_FAILURE_MEMORY,
)
from .errors import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
)
from .types._narrow import is_dict
from .types.http import Headers, RequestInfo, ResponseInfo

_LARGEST: Final = 1e12  # of the numbers in a note; Python would not make a float of one of thousands of digits


@dataclass(frozen=True)
class TokenFailure:
    """A token could not be bought: what those whom it concerns share, so that the endpoint is left in peace.

    Attributes:
        count: How many attempts have failed one after the other.
        failed_at: When the last one did, in Unix seconds of this machine's clock.
        pause: Seconds from then on in which nobody asks again.
        error: Why.
    """

    count: int
    failed_at: float
    pause: float
    error: APIError = field(repr=False)

    def seconds_left(self, now: float, *, is_early: bool = False) -> float:
        """Return how long to leave the endpoint alone yet; 0 for no longer.

        Args:
            now: Unix seconds.
            is_early: Whether there is a token that is valid yet, so that one may be more patient.
        """
        pause = max(self.pause, REFRESH_PAUSE) if is_early else self.pause
        passed = now - self.failed_at
        return pause - passed if 0 <= passed < pause else 0.0  # a clock that was set back must not prolong it

    def refusal(self, now: float) -> APIError:
        """Return the error for somebody who asks during the pause."""
        left = self.seconds_left(now)
        error = self.error.copy()
        told = (
            "the last call for a token got this"
            if self.count == 1
            else f"the last {self.count} calls for a token failed"
        )
        message = f"{self.error.message} ({told}; the token endpoint is asked again in {left:.1f} s)"
        error.message, error.args = message, (message,)
        if isinstance(error, APIStatusError) and error.retry_after is not None:
            error.retry_after = left
        return error


def next_failure(last: TokenFailure | None, error: APIError, now: float) -> TokenFailure:
    """Return what is shared after an attempt to buy a token has failed.

    The pause doubles from 1 s to 30 s; a longer `Retry-After` counts, up to a minute.

    Args:
        last: The failure before; None after a success.
        error: Why it failed.
        now: Unix seconds.
    """
    count = 1
    if last is not None and now - last.failed_at < last.pause + TOKEN_FAILURE_MEMORY:
        count += last.count
    pause = min(FIRST_TOKEN_PAUSE * 2.0 ** min(count - 1, 10), LONGEST_TOKEN_PAUSE)
    asked = error.retry_after if isinstance(error, APIStatusError) else None
    if asked is not None:
        pause = max(pause, min(asked, RETRY_AFTER_LIMIT))
    return TokenFailure(count, now, pause, error.copy())


_STATUS_ERRORS: Mapping[str, type[APIStatusError]] = {
    kind.__name__: kind
    for kind in (
        APIStatusError,
        AuthenticationError,
        BadRequestError,
        InternalServerError,
        NotFoundError,
        PaymentRequiredError,
        PermissionDeniedError,
        RateLimitError,
    )
}


def concerns_everybody(error: APIError) -> bool:
    """Say whether a failure is the endpoint's answer, so that other clients and machines need not try.

    That it could not be reached, or not in time, may be due to one client's proxy, network or timeout.
    """
    return isinstance(error, APIStatusError)


def failure_document(failure: TokenFailure) -> dict[str, Any]:
    """Return a failure as JSON for other processes: neither the request's headers nor the body of the answer.

    Of failures only those that are answers are read again: see `concerns_everybody`.
    """
    error = failure.error
    request, is_answer = error.request, isinstance(error, APIStatusError)
    return {
        "count": failure.count,
        "failed_at": failure.failed_at,
        "pause": failure.pause,
        "kind": type(error).__name__,
        "message": error.message,
        "method": None if request is None else request.method,
        "url": None if request is None else request.url,
        "status": error.status_code if is_answer else None,
        "request_id": error.request_id if is_answer else None,
        "retry_after": error.retry_after if isinstance(error, APIStatusError) else None,
    }


def failure_of(document: object) -> TokenFailure | None:
    """Return the failure that another process has noted; None where the note makes no sense, or is of no answer."""
    if not is_dict(document):
        return None
    count, failed_at, pause, status = (
        _number(document.get(name)) for name in ("count", "failed_at", "pause", "status")
    )
    kind, message, method, url, identifier = (
        _text(document.get(name)) for name in ("kind", "message", "method", "url", "request_id")
    )
    if count is None or failed_at is None or pause is None or status is None or kind is None or message is None:
        return None
    if count < 1 or not 0 <= pause <= RETRY_AFTER_LIMIT:
        return None
    request = None if method is None or url is None else RequestInfo(method, url)
    response = ResponseInfo(int(status), Headers({} if identifier is None else {"x-request-id": identifier}))
    error = _STATUS_ERRORS.get(kind, APIStatusError)(message, request=request, response=response)
    error.retry_after = _number(document.get("retry_after"))
    return TokenFailure(int(count), failed_at, pause, error)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < _LARGEST else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
