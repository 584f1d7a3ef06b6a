"""The HTTP layer: pools of connections, one request sent once, and httpx's exceptions turned into ours."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, TypeGuard
from urllib.request import getproxies

import httpx

from .._concurrency import AsyncLocal, async_begin, async_finish_soon, async_in_thread, async_interrupt
from .._config import ClientConfig
from .._constants import BODY_END_WAIT
from .._logging import guard_http2_logging
from .._retry import Outcome
from .._tls import TLSConfig, cached_context, refused_certificate_message, ssl_context
from ..errors import APIConnectionError, APITimeoutError, ConfigurationError, InvalidRequestError
from ..types.http import Headers

# A pool of httpcore closes idle connections above its keep-alive limit, and its work grows with their number squared.
# So a pool serves few requests at a time, and more in flight open further pools. An idle connection is kept for less
# than the 15 s after which the service closes it.
_POOL_SIZE = 16
# A server takes some 100 streams on an HTTP/2 connection, and counts those that were left early until they end.
_MOST_ABANDONED = 50
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=12.0)


class AsyncFailure(Exception):
    """An attempt without an answer: the error for the user, and how far the attempt got (internal)."""

    def __init__(self, error: APIConnectionError, outcome: Outcome) -> None:
        super().__init__(error.message)
        self.error = error
        self.outcome = outcome


class _AsyncPool:
    """One pool of connections and the requests that it has in flight, with their answers once there are any."""

    __slots__ = ("abandoned", "aclose", "in_flight", "route", "send")

    def __init__(
        self,
        send: Callable[[httpx.Request], Awaitable[httpx.Response]],
        aclose: Callable[[], Awaitable[None]],
        route: str = "",
    ) -> None:
        self.abandoned: int = 0  # streams over HTTP/2 that were left early: httpcore does not tell the server
        self.route: str = route  # for messages: which proxy stands in between
        self.send: Callable[[httpx.Request], Awaitable[httpx.Response]] = send
        self.aclose: Callable[[], Awaitable[None]] = aclose
        self.in_flight: dict[object, AsyncHTTPResponse | None] = {}


class _AsyncBody(httpx.AsyncByteStream):
    """The bytes of a request; an object and no generator, which trio would miss when the connection breaks in it."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class _AsyncRawBody(httpx.AsyncByteStream):
    """A body as it came, for httpx to decode; an object and no generator, so that it outlives a failed decoding."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        piece: bytes = await self._pieces.__anext__()
        return piece


class AsyncHTTPResponse:
    """An answer whose head has arrived."""

    def __init__(self, request: httpx.Request, response: httpx.Response, started: float, pool: _AsyncPool) -> None:
        self._request = request  # not response.request: a given client may have sent another one
        self._response = response
        self._pool = pool
        self._raw: Any = None  # httpx's generator; typed as an iterator there, which cannot be closed
        self._pieces: Any = None  # the same, or what decodes it
        self._is_reading = False
        self._is_at_end = False
        self._is_closed = False
        self._started = started
        self.status_code: int = response.status_code
        self.headers: Headers = Headers(response.headers.raw)
        version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
        self.http_version: str = version.decode("ascii", "replace")

    @property
    def elapsed(self) -> float:
        """Seconds since the request was begun."""
        return time.perf_counter() - self._started

    async def read(self) -> bytes:
        """Read the whole body and give the connection back.

        Raises:
            AsyncFailure: The body was cut, or time ran out.
        """
        pieces: list[bytes] = []
        try:
            while (piece := await self.next_piece()) is not None:
                pieces.append(piece)
        finally:
            await self.aclose()
        return b"".join(pieces)

    async def next_piece(self) -> bytes | None:
        """Read the next piece of the body; None at its end.

        Raises:
            AsyncFailure: The body was cut, or time ran out.
        """
        is_first = self._pieces is None
        if is_first:
            self._begin()
        self._is_reading = True
        try:
            piece: bytes = await async_begin(self._pieces.__anext__) if is_first else await self._pieces.__anext__()
        except StopAsyncIteration:
            self._is_at_end = True
            return None
        except Exception as error:
            if not _is_of_the_network(error):
                raise
            failure = _failure(error, self._request, self._pool.route)
        else:
            return piece
        finally:
            self._is_reading = False
        raise failure

    def _begin(self) -> None:
        # Its own iteration, since httpx's adds two layers of generators, and drops the inner ones when decoding fails.
        stream: Any = self._response.stream
        self._raw = self._pieces = stream.__aiter__()
        if "content-encoding" in self._response.headers:
            body = _AsyncRawBody(self._raw)
            self._pieces = httpx.Response(200, headers=self._response.headers, stream=body).aiter_bytes()

    async def finish(self) -> None:
        """Read the end of a complete body, so that its connection can be used again; give up if it lags behind."""
        if self.http_version == "HTTP/1.1":
            await async_finish_soon(self._read_to_end, BODY_END_WAIT, self._socket())
        self._is_at_end = True
        await self.aclose()

    async def _read_to_end(self) -> None:
        with suppress(AsyncFailure):  # the answer is complete without it; the connection is closed
            while await self.next_piece() is not None:
                pass

    def _socket(self) -> Any:
        """The socket of a connection that serves this answer alone."""
        stream = self._response.extensions.get("network_stream") if self.http_version == "HTTP/1.1" else None
        return None if stream is None else stream.get_extra_info("socket")

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        if self._is_closed:
            return
        self._is_closed = True
        self._pool.in_flight.pop(self._request, None)
        if self.http_version == "HTTP/2" and not self._is_at_end:
            self._pool.abandoned += 1
        is_read_elsewhere = self._is_reading  # by another thread or task, which this wakes
        if is_read_elsewhere:
            async_interrupt(self._socket())
        try:
            await self._response.aclose()
        finally:
            if hasattr(self._raw, "aclose") and not is_read_elsewhere:  # a given transport may give an iterator
                await self._raw.aclose()


class AsyncHTTP:
    """Pools of connections, made when they are first used: one for each protocol."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._given: httpx.AsyncClient | None = config.http_client
        self._given_pool = None if self._given is None else _through_client(self._given)
        if self._given is not None:
            guard_http2_logging()
        self._pools: AsyncLocal[list[_AsyncPool]] = AsyncLocal(_close)
        self.is_closed: bool = False

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout: httpx.Timeout,
        *,
        http2: bool = False,
    ) -> AsyncHTTPResponse:
        """Send a request once and return when the head of its answer has arrived.

        Raises:
            AsyncFailure: No answer came.
        """
        if self.is_closed:
            raise ConfigurationError("this client is closed; make a new one, or use it inside its 'with' block")
        pool = await self._pool(http2=http2)
        request = self._request(method, url, headers, body, timeout)
        if self._given is not None and self._given.is_closed:
            raise ConfigurationError("http_client: it is closed; close it after the last call")
        pool.in_flight[request] = None
        started = time.perf_counter()
        try:
            response = await pool.send(request)
        except BaseException as error:
            pool.in_flight.pop(request, None)
            if not _is_of_the_network(error):
                raise  # a cancellation, or a hook or a transport of the user's
            failure = _failure(error, request, pool.route)
        else:
            answer = pool.in_flight[request] = AsyncHTTPResponse(request, response, started, pool)
            return answer
        raise failure

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, timeout: httpx.Timeout
    ) -> httpx.Request:
        extensions: dict[str, Any] = {"timeout": timeout.as_dict()}
        try:
            if self._given is not None:  # its own headers, cookies and parameters count
                return self._given.build_request(method, url, headers=headers, content=body, extensions=extensions)
            request = httpx.Request(method, _parsed(url), headers=headers, content=body, extensions=extensions)
            if body is not None:
                request.stream = _AsyncBody(body)
            return request
        except httpx.InvalidURL as error:
            reason = str(error)
        raise InvalidRequestError(f"the address of the call cannot be sent: {reason}")

    async def _pool(self, *, http2: bool) -> _AsyncPool:
        """Return a pool with room for one more request; one over HTTP/2 has room for all."""
        if self._given_pool is not None:
            return self._given_pool
        pools = self._pools.get(http2)
        if pools is None:
            tls = self._config.tls
            if cached_context(tls) is None or "httpcore" not in sys.modules:  # too long for an event loop
                await async_in_thread(lambda: _prepare(tls))
            if http2:
                guard_http2_logging()
            pools = await self._pools.add(http2, list[_AsyncPool])
        for pool in pools:
            if pool.abandoned < _MOST_ABANDONED and (http2 or len(pool.in_flight) < _POOL_SIZE):
                return pool
        pool = self._new_pool(http2=http2)
        pools.append(pool)
        return pool

    def _new_pool(self, *, http2: bool) -> _AsyncPool:
        config = self._config
        is_plain = config.base_url.startswith("http:")
        context, http1 = ssl_context(config.tls), not (http2 and is_plain)  # without TLS nothing is negotiated
        if config.proxy is None and getproxies():  # httpx's client knows which variable counts for which host
            try:
                client = httpx.AsyncClient(verify=context, http1=http1, http2=http2, limits=_LIMITS)
                return _through_client(client, " (the environment names proxies)")
            except ImportError:
                trouble = "speaks SOCKS, which needs one more package: pip install 'httpx[socks]'"
            except (ValueError, httpx.InvalidURL):
                trouble = "is no address of a proxy"
            names = ", ".join(name for name in os.environ if name.lower().endswith("_proxy"))
            raise ConfigurationError(f"one of the environment's proxy variables ({names}) {trouble}")
        # Without one, its transport does all we need, at half the cost of the client around it.
        proxy, route = None, ""
        if config.proxy is not None:
            address = config.proxy.get_secret_value()
            proxy = httpx.Proxy(address, ssl_context=context if address.lower().startswith("https:") else None)
            route = f" through the proxy {proxy.url.netloc.decode('ascii', 'replace')}"
        transport = httpx.AsyncHTTPTransport(verify=context, http1=http1, http2=http2, limits=_LIMITS, proxy=proxy)
        return _AsyncPool(transport.handle_async_request, transport.aclose, route)

    async def aclose(self) -> None:
        """Close all connections that this layer has made."""
        self.is_closed = True
        await self._pools.aclose()


def _prepare(tls: TLSConfig) -> None:
    """Do what takes tens of milliseconds, once a process: import what httpx imports late, and read the roots."""
    importlib.import_module("httpcore")
    ssl_context(tls)


async def _close(pools: list[_AsyncPool]) -> None:
    for pool in pools:
        for answer in list(pool.in_flight.values()):
            if answer is not None:  # a stream that somebody still holds
                await answer.aclose()
        await pool.aclose()


def _through_client(client: httpx.AsyncClient, route: str = "") -> _AsyncPool:
    return _AsyncPool(partial(client.send, stream=True, follow_redirects=False), client.aclose, route)


@lru_cache(maxsize=128)
def _parsed(url: str) -> httpx.URL:
    """Parse an address once; a client uses few."""
    return httpx.URL(url)


# Whose exceptions are turned into ours; httpx speaks for most, but not for all of a broken HTTP/2 connection.
_NETWORK_PACKAGES = frozenset({"anyio", "h11", "h2", "hpack", "httpcore", "httpx", "hyperframe", "ssl", "trio", "zlib"})


def _is_of_the_network(error: BaseException) -> TypeGuard[Exception]:
    if not isinstance(error, Exception) or isinstance(error, httpx.HTTPStatusError):
        return False  # a cancellation; and a status is raised by a hook of the user's alone
    return any(kind.__module__.partition(".")[0] in _NETWORK_PACKAGES for kind in type(error).__mro__)


def _failure(error: Exception, request: httpx.Request, route: str) -> AsyncFailure:
    """Say what an exception of httpx means: how far the request got, and what to tell the user."""
    place = request.url.netloc.rpartition(b"@")[2].decode("ascii", "replace")
    reason = _reason(error)
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or reason
        return AsyncFailure(APIConnectionError(refused_certificate_message(place, reason)), Outcome.FINAL)
    if "Max outbound streams" in reason:
        text = f"the HTTP/2 connection to {place} takes no more streams"
        return AsyncFailure(APIConnectionError(text), Outcome.NOT_REACHED)
    if "illegal header line" in reason:  # its words may show a cookie
        reason = "an illegal header line"
    if isinstance(error, httpx.LocalProtocolError):  # its words may show a header's value
        text = f"the request to {place} breaks the rules of HTTP; is there a line end or another odd sign in a header?"
        return AsyncFailure(APIConnectionError(text), Outcome.FINAL)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return AsyncFailure(APIConnectionError(f"cannot send to {place}: {reason}"), Outcome.FINAL)
    if isinstance(error, httpx.DecodingError):
        text = f"the answer of {place} cannot be decoded: {reason}"
        return AsyncFailure(APIConnectionError(text, sent=True), Outcome.FINAL)
    if isinstance(error, httpx.TimeoutException):
        return _timeout_failure(error, request, place + route)
    if isinstance(error, httpx.ProxyError):
        text = f"the proxy on the way to {place} refused: {reason}{route}"
        return AsyncFailure(APIConnectionError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectError):
        return AsyncFailure(APIConnectionError(f"could not connect to {place}{route}: {reason}"), Outcome.NOT_REACHED)
    return AsyncFailure(APIConnectionError(f"the connection to {place} was lost: {reason}", sent=True), Outcome.LOST)


def _timeout_failure(error: httpx.TimeoutException, request: httpx.Request, place: str) -> AsyncFailure:
    limits: dict[str, float | None] = request.extensions.get("timeout", {})
    if isinstance(error, httpx.PoolTimeout):
        text = f"no connection to {place} became free within {limits.get('pool')} s"
        return AsyncFailure(APITimeoutError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectTimeout):
        text = f"could not connect to {place} within {limits.get('connect')} s"
        return AsyncFailure(APITimeoutError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.WriteTimeout):
        text = f"{place} did not take the request within {limits.get('write')} s"
    else:
        text = f"{place} did not answer within {limits.get('read')} s"
    return AsyncFailure(APITimeoutError(text, sent=True), Outcome.LOST)


def _reason(error: BaseException) -> str:
    """The words of an exception, or of what is behind it: on trio the outer ones have none."""
    seen: BaseException | None = error
    while seen is not None:
        if str(seen):
            return str(seen)
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
