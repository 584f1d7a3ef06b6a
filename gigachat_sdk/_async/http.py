"""The HTTP layer: pools of connections, one request sent once, and httpx's exceptions turned into ours."""

from __future__ import annotations

import ssl
import time
from typing import Any

import httpx

from .._concurrency import AsyncLocal, async_finish_soon, async_in_thread
from .._config import ClientConfig
from .._constants import BODY_END_WAIT
from .._logging import guard_http2_logging
from .._retry import Outcome
from .._tls import cached_context, refused_certificate_message, ssl_context
from ..errors import APIConnectionError, APITimeoutError, ConfigurationError
from ..types.http import Headers

# An idle connection is kept for less than the 15 s after which the service closes it.
_LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100, keepalive_expiry=12.0)


class AsyncFailure(Exception):
    """An attempt without an answer: the error for the user, and how far the attempt got (internal)."""

    def __init__(self, error: APIConnectionError, outcome: Outcome) -> None:
        super().__init__(error.message)
        self.error = error
        self.outcome = outcome


class AsyncHTTPResponse:
    """An answer whose head has arrived."""

    def __init__(self, response: httpx.Response, started: float) -> None:
        self._response = response
        self._pieces: Any = None  # httpx's generator; typed as an iterator there, which cannot be closed
        self._started = started
        self.status_code: int = response.status_code
        self.headers: Headers = Headers(response.headers.raw)
        version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
        self.http_version: str = version.decode("ascii")

    @property
    def elapsed(self) -> float:
        """Seconds since the request was begun."""
        return time.perf_counter() - self._started

    async def read(self) -> bytes:
        """Read the whole body.

        Raises:
            AsyncFailure: The body was cut, or time ran out.
        """
        try:
            return await self._response.aread()
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = _failure(error, str(self._response.url.host))
        await self.aclose()
        raise failure

    async def next_piece(self) -> bytes | None:
        """Read the next piece of the body; None at its end.

        Raises:
            AsyncFailure: The body was cut, or time ran out.
        """
        if self._pieces is None:
            self._pieces = self._response.aiter_bytes()
        try:
            piece: bytes = await self._pieces.__anext__()
        except StopAsyncIteration:
            return None
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = _failure(error, str(self._response.url.host))
        else:
            return piece
        raise failure

    async def finish(self) -> None:
        """Read the end of a complete body, so that its connection can be used again; give up if it lags behind."""
        if self.http_version == "HTTP/1.1":
            stream = self._response.extensions.get("network_stream")
            socket = None if stream is None else stream.get_extra_info("socket")
            await async_finish_soon(self._read_to_end, BODY_END_WAIT, socket)
        await self.aclose()

    async def _read_to_end(self) -> None:
        try:
            while await self.next_piece() is not None:
                pass
        except AsyncFailure:
            pass  # the answer is complete without it; the connection is closed

    async def aclose(self) -> None:
        """Give the connection back, or close it where the body was not read to its end."""
        await self._response.aclose()
        if self._pieces is not None:
            await self._pieces.aclose()


class AsyncHTTP:
    """Pools of connections, made when they are first used: one for each protocol."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._given: httpx.AsyncClient | None = config.http_client
        self._clients: AsyncLocal[httpx.AsyncClient] = AsyncLocal(_close)
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
        client = self._given or self._clients.get(http2) or await self._make(http2=http2)
        request = self._request(client, method, url, headers, body, timeout)
        started = time.perf_counter()
        try:
            response = await client.send(request, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError) as error:
            failure = _failure(error, request.url.host)
        else:
            return AsyncHTTPResponse(response, started)
        raise failure

    def _request(
        self,
        client: httpx.AsyncClient,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | None,
        timeout: httpx.Timeout,
    ) -> httpx.Request:
        extensions: dict[str, Any] = {"timeout": timeout.as_dict()}
        if self._given is not None:  # its own headers, cookies and parameters count
            return client.build_request(method, url, headers=headers, content=body, extensions=extensions)
        return httpx.Request(method, url, headers=headers, content=body, extensions=extensions)

    async def _make(self, *, http2: bool) -> httpx.AsyncClient:
        tls = self._config.tls
        # Reading the usual roots takes milliseconds, too long for an event loop; it is done once a process.
        context = cached_context(tls)
        if context is None:
            context = await async_in_thread(lambda: ssl_context(tls))
        proxy = self._config.proxy
        if http2:
            guard_http2_logging()
        verify: ssl.SSLContext = context
        return await self._clients.add(
            http2,
            lambda: httpx.AsyncClient(
                verify=verify,
                http1=not http2 or not self._is_plain,
                http2=http2,
                limits=_LIMITS,
                proxy=None if proxy is None else proxy.get_secret_value(),
            ),
        )

    @property
    def _is_plain(self) -> bool:
        return self._config.base_url.startswith("http:")

    async def aclose(self) -> None:
        """Close all connections that this layer has made."""
        self.is_closed = True
        await self._clients.aclose()


async def _close(client: httpx.AsyncClient) -> None:
    await client.aclose()


def _failure(error: Exception, host: str) -> AsyncFailure:
    """Say what an exception of httpx means: how far the request got, and what to tell the user."""
    kind = type(error).__name__
    reason = str(error) or kind
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        reason = reason.partition("certificate verify failed: ")[2].partition(" (_ssl")[0] or reason
        return AsyncFailure(APIConnectionError(refused_certificate_message(host, reason)), Outcome.FINAL)
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return AsyncFailure(APIConnectionError(f"cannot send to {host}: {reason}"), Outcome.FINAL)
    if isinstance(error, httpx.PoolTimeout):
        text = "no connection became free in time: more requests are in flight than the pool has connections"
        return AsyncFailure(APITimeoutError(text), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectTimeout):
        return AsyncFailure(APITimeoutError(f"could not connect to {host} in time"), Outcome.NOT_REACHED)
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return AsyncFailure(APIConnectionError(f"could not connect to {host}: {reason}"), Outcome.NOT_REACHED)
    if isinstance(error, httpx.TimeoutException):
        what = "take the request" if isinstance(error, httpx.WriteTimeout) else "answer"
        return AsyncFailure(APITimeoutError(f"{host} did not {what} in time", sent=True), Outcome.LOST)
    if isinstance(error, httpx.DecodingError):
        return AsyncFailure(
            APIConnectionError(f"the answer of {host} cannot be decoded: {reason}", sent=True), Outcome.FINAL
        )
    return AsyncFailure(APIConnectionError(f"the connection to {host} was lost: {reason}", sent=True), Outcome.LOST)
