"""What an exception of httpx means: how far the request got, and what to tell the user."""

from __future__ import annotations

from typing import TypeGuard

import httpx

from ._retry import Outcome
from ._tls import refused_certificate_message
from .errors import APIConnectionError, APITimeoutError


class Failure(Exception):
    """An attempt without an answer: the error for the user, and how far the attempt got (internal)."""

    def __init__(self, error: APIConnectionError, outcome: Outcome) -> None:
        super().__init__(error.message)
        self.error = error
        self.outcome = outcome


# Whose exceptions are turned into ours; httpx speaks for most, but not for all of a broken HTTP/2 connection.
_NETWORK_PACKAGES = frozenset({"anyio", "h11", "h2", "hpack", "httpcore", "httpx", "hyperframe", "ssl", "trio", "zlib"})


def is_of_the_network(error: BaseException) -> TypeGuard[Exception]:
    if not isinstance(error, Exception) or isinstance(error, httpx.HTTPStatusError):
        return False  # a cancellation; and a status is raised by a hook of the user's alone
    return any(kind.__module__.partition(".")[0] in _NETWORK_PACKAGES for kind in type(error).__mro__)


def failure_of(error: Exception, request: httpx.Request, route: str) -> Failure:
    """Say what an exception of httpx means: how far the request got, and what to tell the user."""
    place = request.url.netloc.rpartition(b"@")[2].decode("ascii", "replace")
    reason = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or reason
        return Failure(APIConnectionError(refused_certificate_message(place, reason)), Outcome.FINAL)
    if "Max outbound streams" in reason:
        text = f"the HTTP/2 connection to {place} takes no more streams"
        return Failure(APIConnectionError(text), Outcome.NOT_REACHED)
    if "illegal header line" in reason:  # its words may show a cookie
        reason = "an illegal header line"
    # Its words may show a header's value. Over HTTP/2 an answer that is not as long as its head says counts as local.
    if isinstance(error, httpx.LocalProtocolError) and "InvalidBodyLength" not in reason:
        text = f"the request to {place} breaks the rules of HTTP; is there a line end or another odd sign in a header?"
        return Failure(APIConnectionError(text), Outcome.FINAL)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return Failure(APIConnectionError(f"cannot send to {place}: {reason}"), Outcome.FINAL)
    if isinstance(error, httpx.DecodingError):
        text = f"the answer of {place} cannot be decoded: {reason}"
        return Failure(APIConnectionError(text, sent=True), Outcome.FINAL)
    if isinstance(error, httpx.TimeoutException):
        return _timeout_failure(error, request, place + route)
    if isinstance(error, httpx.ProxyError):
        text = f"the proxy on the way to {place} refused: {reason}{route}"
        return Failure(APIConnectionError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectError):
        return Failure(APIConnectionError(f"could not connect to {place}{route}: {reason}"), Outcome.NOT_REACHED)
    return Failure(APIConnectionError(f"the connection to {place} was lost: {reason}", sent=True), Outcome.LOST)


def _timeout_failure(error: httpx.TimeoutException, request: httpx.Request, place: str) -> Failure:
    limits: dict[str, float | None] = request.extensions.get("timeout", {})
    if isinstance(error, httpx.PoolTimeout):
        text = f"no connection to {place} became free within {limits.get('pool')} s"
        return Failure(APITimeoutError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectTimeout):
        text = f"could not connect to {place} within {limits.get('connect')} s"
        return Failure(APITimeoutError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.WriteTimeout):
        text = f"{place} did not take the request within {limits.get('write')} s"
    else:
        text = f"{place} did not answer within {limits.get('read')} s"
    return Failure(APITimeoutError(text, sent=True), Outcome.LOST)


def _reason(error: BaseException) -> str:
    """The words of an exception, or of what is behind it: on trio the outer ones have none."""
    seen: BaseException | None = error
    while seen is not None:
        if str(seen):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
