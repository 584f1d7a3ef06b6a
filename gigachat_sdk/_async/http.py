"""The HTTP layer: pools of connections, one request sent once, and httpx's exceptions turned into ours."""

from __future__ import annotations

import importlib
import os
import sys
import time
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies

import httpx

from .._body import Body
from .._concurrency import async_read_in_thread
from .._config import ClientConfig
from .._deadline import Deadline, DeadlineError, current_deadline, shortened
from .._failures import Failure, failure_of, is_of_the_network
from .._lifetimes import AsyncLocal
from .._logging import guard_http2_logging
from .._retry import Outcome
from .._tls import TLSConfig, cached_context, ssl_context
from ..errors import APIConnectionError, ConfigurationError, InvalidRequestError
from ..limits import Slot
from .answer import AsyncHTTPResponse, in_time, is_spent, too_late
from .bodies import AsyncBytesBody, AsyncSourceBody
from .pool import AsyncPool

if TYPE_CHECKING:
    from .network import AsyncSockets

# A pool of httpcore closes idle connections above its keep-alive limit, and its work grows with their number squared.
# So a pool serves few requests at a time, and more in flight open further pools. An idle connection is kept for less
# than the 15 s after which the service closes it.
_POOL_SIZE = 16
# A connection over HTTP/2 serves one request at a time: httpcore ends all streams of a connection when one times out.
_IDLE_TIME = 12.0
_SPENT = (
    "http_client: something of it (an event hook, its auth, its transport) has closed the answer, or has read it and "
    "not kept it (iter_raw, iter_bytes, iter_lines); let it call response.read(), or await response.aread()"
)
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=_IDLE_TIME)


class AsyncHTTP:
    """Pools of connections, made when they are first used: one for each protocol."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._given: httpx.AsyncClient | None = config.http_client
        self._given_pool = None if self._given is None else _through_client(self._given)
        if self._given is not None:
            guard_http2_logging()
        self._opened: set[Any] = set()  # the sockets of all pools, of those that are gone too
        self._pools: AsyncLocal[list[AsyncPool]] = AsyncLocal(_close)
        self.is_closed: bool = False

    @property
    def in_flight(self) -> int:
        """How many requests are on their way, streams that are still read included."""
        return sum(len(pool.in_flight) for pool in self._all())

    @property
    def connections(self) -> int:
        """How many connections are open; those of a given client are not counted."""
        return len(self._opened)

    def _was_closed(self) -> bool:
        return self.is_closed

    def _all(self) -> list[AsyncPool]:
        given = [] if self._given_pool is None else [self._given_pool]
        return given + [pool for pools in self._pools.values() for pool in pools]

    async def send(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: bytes | Body | None,
        timeout: httpx.Timeout,
        *,
        http2: bool = False,
        slot: Slot | None = None,
    ) -> AsyncHTTPResponse:
        """Send a request once and return when the head of its answer has arrived.

        The answer gives `slot` back when it is closed; without an answer whoever called does.

        Raises:
            Failure: No answer came.
        """
        if self.is_closed:
            raise ConfigurationError("this client is closed; make a new one, or use it inside its 'with' block")
        deadline = current_deadline()
        if deadline is not None:
            timeout = _shortened(timeout, deadline)
        request = self._request(method, url, headers, body, timeout)
        if self._given is not None and self._given.is_closed:
            raise ConfigurationError("http_client: it is closed; close it after the last call")
        pool = await self._pool(http2=http2)
        pool.in_flight[request] = None
        if self._was_closed():  # meanwhile, by another thread or task
            pool.abandon(request)
            await self._close_late(pool)
            raise _closed(sent=False)
        started = time.perf_counter()
        try:
            response = await pool.send(request)
        except BaseException as error:
            pool.abandon(request)
            await pool.leave()
            if not is_of_the_network(error):  # a cancellation, or code of the user's
                raise
            failure = in_time(failure_of(error, request, pool.route), deadline)
        else:
            answer = AsyncHTTPResponse(request, response, started, pool, deadline, slot)
            if self._given is not None and is_spent(response):
                await answer.let_go()
                raise ConfigurationError(_SPENT)
            if not self._was_closed():
                pool.in_flight[request] = answer
                return answer
            # A pool that is closed opens new connections for those who come too late.
            await answer.let_go()
            await self._close_late(pool)
            failure = _closed(sent=True)
        raise failure

    async def _close_late(self, pool: AsyncPool) -> None:
        if pool is not self._given_pool:  # that one is closed by whoever made it
            await pool.aclose()

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | Body | None, timeout: httpx.Timeout
    ) -> httpx.Request:
        extensions: dict[str, Any] = {"timeout": timeout.as_dict()}
        content = body if body is None or isinstance(body, bytes) else AsyncSourceBody(body)
        if not (body is None or isinstance(body, bytes)):
            framing = {"Transfer-Encoding": "chunked"} if body.size is None else {"Content-Length": str(body.size)}
            headers = {**headers, **framing}
        try:
            if self._given is not None:  # its own headers, cookies and parameters count
                request = self._given.build_request(
                    method, url, headers=headers, content=content, extensions=extensions
                )
            else:
                request = httpx.Request(method, _parsed(url), headers=headers, content=content, extensions=extensions)
            if isinstance(content, bytes):
                request.stream = AsyncBytesBody(content)
            elif content is not None:  # httpx has put a generator around it
                request.stream = content
            return request
        except httpx.InvalidURL as error:
            reason = str(error)
        raise InvalidRequestError(f"the address of the call cannot be sent: {reason}")

    async def _pool(self, *, http2: bool) -> AsyncPool:
        """Return a pool with a place for one more request, which is taken."""
        if self._given_pool is not None:
            return self._given_pool
        pools = self._pools.get(http2)
        last = next(reversed(pools or ()), None)
        if pools is not None and last is not None and len(pools) > 1 and _is_stale(last) and last.retire():
            _remove(pools, last)
            await last.aclose()
        if pools is None:
            tls = self._config.tls
            if cached_context(tls) is None or "httpcore" not in sys.modules:  # too long for an event loop
                await async_read_in_thread(lambda: _prepare(tls))  # those of anyio may all be waiting for this one
            if http2:
                guard_http2_logging()
            pools = await self._pools.add(http2, list[AsyncPool])
        for pool in list(pools):
            if pool.claim():
                if not pool.was_left():
                    return pool
                _remove(pools, pool)
                await pool.aclose()
            elif pool.is_retired:
                _remove(pools, pool)
        pool = self._new_pool(http2=http2)
        pool.claim()
        pools.append(pool)
        return pool

    def _new_pool(self, *, http2: bool) -> AsyncPool:
        config, capacity = self._config, 1 if http2 else _POOL_SIZE
        is_plain = config.base_url.startswith("http:")
        context, http1 = ssl_context(config.tls), not (http2 and is_plain)  # without TLS nothing is negotiated
        if config.proxy is None and getproxies():  # httpx's client knows which variable counts for which host
            try:
                client = httpx.AsyncClient(verify=context, http1=http1, http2=http2, limits=_LIMITS)
                return _through_client(client, capacity, " (the environment names proxies)", self._opened)
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
        sockets = _watched(self._opened, transport)
        return AsyncPool(transport.handle_async_request, transport.aclose, capacity, sockets, route)

    async def aclose(self) -> None:
        """Close all connections that this layer has made; answers of a given client end at their next piece."""
        self.is_closed = True
        if self._given_pool is not None:
            self._given_pool.is_retired = True
        await self._pools.aclose()


def _prepare(tls: TLSConfig) -> None:
    """Do what takes tens of milliseconds, once a process: import what httpx imports late, and read the roots."""
    importlib.import_module("httpcore")
    ssl_context(tls)


async def _close(pools: list[AsyncPool]) -> None:
    for pool in pools:
        await pool.aclose()


def _remove(pools: list[AsyncPool], pool: AsyncPool) -> None:
    with suppress(ValueError):  # another thread was quicker
        pools.remove(pool)


def _is_stale(pool: AsyncPool) -> bool:
    """Say whether a pool has done nothing for so long that its connections have expired."""
    return not pool.in_flight and time.monotonic() - pool.idle_since > _IDLE_TIME


def _watched(opened: set[Any], *transports: Any) -> list[AsyncSockets]:
    from .network import async_watch  # it imports httpcore, which takes tens of milliseconds

    found = [async_watch(transport, opened) for transport in transports]
    return [sockets for sockets in found if sockets is not None]


def _through_client(
    client: httpx.AsyncClient, capacity: int | None = None, route: str = "", opened: set[Any] | None = None
) -> AsyncPool:
    """Make a pool of a client; the connections of one of ours are watched."""
    sockets: list[AsyncSockets] = []
    if opened is not None:
        mounts: dict[Any, Any] = getattr(client, "_mounts", {})
        sockets = _watched(opened, getattr(client, "_transport", None), *mounts.values())
    send = partial(client.send, stream=True, follow_redirects=False)
    return AsyncPool(send, client.aclose, capacity, sockets, route)


def _closed(*, sent: bool) -> Failure:
    return Failure(APIConnectionError("it closed its connections", sent=sent), Outcome.FINAL)


def _shortened(timeout: httpx.Timeout, deadline: Deadline) -> httpx.Timeout:
    try:
        return httpx.Timeout(**{phase: shortened(seconds) for phase, seconds in timeout.as_dict().items()})
    except DeadlineError:
        pass
    raise too_late(deadline, sent=False)


@lru_cache(maxsize=128)
def _parsed(url: str) -> httpx.URL:
    """Parse an address once; a client uses few."""
    return httpx.URL(url)
