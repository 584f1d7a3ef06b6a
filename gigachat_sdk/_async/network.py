"""Sockets under httpx's pools: every wait on one ends at the call's deadline, and all that are open can be shut."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpcore

from .._concurrency import async_interrupt
from .._deadline import DeadlineError, shortened
from .._logging import logger
from .._use import AsyncUse


class _AsyncSocket(httpcore.AsyncNetworkStream):
    """One connection."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, owner: AsyncSockets) -> None:
        self._stream = stream
        self.owner: AsyncSockets = owner
        self._use = AsyncUse(stream.aclose, partial(_wake, stream))
        self._opened = owner.opened
        self._opened.add(self)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            seconds = shortened(timeout)
        except DeadlineError as error:
            raise httpcore.ReadTimeout(str(error)) from None
        with self._use:
            return await self._stream.read(max_bytes, seconds)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            seconds = shortened(timeout)
        except DeadlineError as error:
            raise httpcore.WriteTimeout(str(error)) from None
        with self._use:
            await self._stream.write(buffer, seconds)

    async def aclose(self) -> None:
        self._opened.discard(self)
        await self._use.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            seconds = shortened(timeout)
        except DeadlineError as error:
            raise httpcore.ConnectTimeout(str(error)) from None
        # While hands are shaken nobody may shut the socket: Python would lose it.
        self._opened.discard(self)
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, seconds)
        except BaseException:
            await self.aclose()  # httpcore leaves it open where the handshake is cancelled, or takes too long
            raise
        return await self.owner.admit(stream)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class AsyncSockets(httpcore.AsyncNetworkBackend):
    """Opens the connections of one pool.

    Args:
        backend: What opens them.
        opened: Where those of all pools stand while they are open.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, opened: set[Any]) -> None:
        self._backend = backend
        self.opened: set[Any] = opened
        self._is_closed = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection, within what the call's deadline leaves of `timeout`."""
        try:
            seconds = shortened(timeout)
        except DeadlineError as error:
            raise httpcore.ConnectTimeout(str(error)) from None
        return await self.admit(await self._backend.connect_tcp(host, port, seconds, local_address, socket_options))

    async def admit(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        """Take a connection among those that are open, unless their pool was closed while it was made."""
        connection = _AsyncSocket(stream, self)
        if self._is_closed:  # looked at last: whoever closes sets it, and then looks which connections there are
            await connection.aclose()
            raise httpcore.ConnectError("the client was closed")
        return connection

    @property
    def is_readable(self) -> bool:
        """Whether there is something to read on one of the connections, if only its end."""
        return any(stream.get_extra_info("is_readable") for stream in self._own())

    def interrupt(self) -> None:
        """Open no more, and wake every thread that reads from one; closing them alone would leave it waiting."""
        self._is_closed = True
        for connection in self._own():
            _wake(connection)

    def _own(self) -> list[Any]:
        return [stream for stream in list(self.opened) if stream.owner is self]


def _wake(stream: httpcore.AsyncNetworkStream) -> None:
    async_interrupt(stream.get_extra_info("socket"))


def async_watch(transport: Any, opened: set[Any]) -> AsyncSockets | None:
    """Put `AsyncSockets` under an HTTP transport of httpx; None where it has no pool of httpcore's.

    httpx has no argument for it. Should another version keep its pool elsewhere, deadlines are kept between reads only.
    """
    pool = getattr(transport, "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if pool is None or backend is None:
        logger.debug("no pool of httpcore's in %r: deadlines are kept between reads only", type(transport).__name__)
        return None
    sockets = AsyncSockets(backend, opened)
    pool._network_backend = sockets
    return sockets
