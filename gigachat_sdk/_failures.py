"""What an exception of httpx means: how far the request got, and what to tell the user."""

from __future__ import annotations

from types import FrameType
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


class SpentBody(httpx.StreamConsumed):
    """The body of a request is to be sent once more, and cannot be read again (internal)."""


# Whose exceptions are turned into ours; httpx speaks for most, but not for all of a broken HTTP/2 connection.
_NETWORK_PACKAGES = frozenset({"anyio", "h11", "h2", "hpack", "httpcore", "httpx", "hyperframe", "ssl", "trio", "zlib"})
# Where bytes become an answer: what Python itself raises there, say of a status that is no number, the service caused.
_PROTOCOL = ("h11", "h2", "hpack", "httpcore._async", "httpcore._sync", "hyperframe")
# What it counts and locks with: where that raises, its caller has miscounted.
_MEANS = ("anyio", "httpcore._synchronization", "threading", "trio")
# How h2 shows a GOAWAY without an error; before Python 3.11, and since.
_FAREWELLS = ("<ConnectionTerminated error_code:ErrorCodes.NO_ERROR,", "<ConnectionTerminated error_code:0,")
_DEQUE = "pop from an empty deque"  # what anyio finds where a connection is closed while it is read
# What only code of the user's makes httpx raise: a hook that wants a status, a body or a cookie that it cannot have.
_OF_THE_USER = (httpx.HTTPStatusError, httpx.StreamError, httpx.CookieConflict)


def is_of_the_network(error: BaseException) -> TypeGuard[Exception]:
    """Say whether an exception comes from the connection, and not from code of the user's or from a bug of ours."""
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return False  # a cancellation, for one
    if isinstance(error, _OF_THE_USER):
        return isinstance(error, SpentBody)
    if any(kind.__module__.partition(".")[0] in _NETWORK_PACKAGES for kind in type(error).__mro__):
        return True
    # Another package's may come from anywhere: a runner of jobs raises its own wherever a thread happens to be.
    if type(error).__module__ != "builtins":
        return False
    modules = [_module(frame) for frame in _frames(error)]
    while modules and _is_in(modules[-1], _MEANS):
        modules.pop()
    return bool(modules) and _is_in(modules[-1], _PROTOCOL)


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
    if reason == _DEQUE:
        reason = "it was closed"
    if reason.startswith(_FAREWELLS):
        reason = "the service is ending it, as it does when it restarts (GOAWAY of HTTP/2)"
    if _is_untaken(error):
        text = f"the HTTP/2 connection to {place} was closed before the request was taken"
        return Failure(APIConnectionError(text), Outcome.NOT_REACHED)
    if _breaks_rules(error):
        # The words of others may show a header's value; those of h11 itself, about the body, do not.
        hint = f": {reason}" if _is_of(error, "h11") else "; is there a line end or another odd sign in a header?"
        return Failure(APIConnectionError(f"the request to {place} breaks the rules of HTTP{hint}"), Outcome.FINAL)
    if isinstance(error, SpentBody):  # another connection was needed, or a given client's `auth` asked
        text = f"the request to {place} had to be sent once more, and its body cannot be read again"
        return Failure(APIConnectionError(text, sent=True), Outcome.FINAL)
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


def _is_untaken(error: BaseException) -> bool:
    """Say whether a connection over HTTP/2 ended before it took anything of the request."""
    origin = _h2_error(error)
    # The connection itself refuses in this module; headers are looked at in others.
    return origin is not None and _is_sending_head(origin) and _module(_frames(origin)[-1]) == "h2.connection"


def _breaks_rules(error: Exception) -> bool:
    """Say whether a request was refused before it was sent, or sent whole.

    httpcore's `LocalProtocolError` says so of HTTP/1.1 only. Over HTTP/2 it is all that h2 raises, also of what came.
    """
    if _is_of(error, "h11"):
        return type(error).__name__ == "LocalProtocolError"
    origin = _h2_error(error)
    return isinstance(error, httpx.LocalProtocolError) and (origin is None or _is_sending_head(origin))


def _is_of(error: BaseException, package: str) -> bool:
    return type(error).__module__.partition(".")[0] == package


def _h2_error(error: BaseException) -> BaseException | None:
    """What h2 raised, of which httpcore's exception and httpx's were made."""
    seen: BaseException | None = error
    while seen is not None and not _is_of(seen, "h2"):
        seen = seen.__cause__ or seen.__context__
    return seen


def _is_sending_head(origin: BaseException) -> bool:
    """Say whether h2 refused to send the head of a request, which comes first."""
    return any(
        frame.f_code.co_name == "send_headers" and _module(frame) == "h2.connection" for frame in _frames(origin)
    )


def _frames(error: BaseException) -> list[FrameType]:
    """The frames that an exception has passed, the one that raised it last."""
    frames: list[FrameType] = []
    trace = error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame)
        trace = trace.tb_next
    return frames


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return f"{module}.".startswith(tuple(f"{name}." for name in packages))


def _reason(error: BaseException) -> str:
    """The words of an exception, or of what is behind it: on trio the outer ones have none."""
    if type(error).__module__ == "builtins":  # its words alone would tell little
        return f"{type(error).__name__}: {error}"
    seen: BaseException | None = error
    while seen is not None:
        if str(seen):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
