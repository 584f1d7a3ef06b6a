"""A pool of connections: its places, its sockets, and what becomes of them when somebody lets go."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

import httpx

if TYPE_CHECKING:
    from .network import AsyncSockets


class AsyncClosable(Protocol):
    """An answer that somebody still reads."""

    async def aclose(self) -> None:
        """Give its connection back."""
        ...


class AsyncPool:
    """One pool of connections and the requests that it has in flight, with their answers once there are any.

    Args:
        send: Sends a request and returns its answer's head.
        aclose: Closes all connections.
        capacity: How many requests it serves at a time; None for any number.
        sockets: Its connections, one group for each transport.
        route: For messages: which proxy stands in between.
    """

    def __init__(
        self,
        send: Callable[[httpx.Request], Awaitable[httpx.Response]],
        aclose: Callable[[], Awaitable[None]],
        capacity: int | None,
        sockets: list[AsyncSockets],
        route: str = "",
    ) -> None:
        self.send: Callable[[httpx.Request], Awaitable[httpx.Response]] = send
        self.capacity: int | None = capacity
        self.route: str = route
        self.in_flight: dict[object, AsyncClosable | None] = {}
        self.idle_since: float = 0.0
        self.is_retired: bool = False
        self._aclose = aclose
        self._sockets = sockets
        self._free = [None] * (capacity or 0)

    def claim(self) -> bool:
        """Take a place for a request, if there is one; threads may ask at the same moment."""
        if self.capacity is None:
            return True
        try:
            self._free.pop()
        except IndexError:
            return False
        if self.is_retired:
            self._free.append(None)
        return not self.is_retired

    def was_left(self) -> bool:
        """Say whether the service has ended the idle HTTP/2 connection that a claimed place stands for.

        httpcore looks at idle connections over HTTP/1.1 only. What there is to read may also be a PING, but TLS hides
        which: so anything counts, for the price of a new connection.
        """
        return self.capacity == 1 and any(sockets.is_readable for sockets in self._sockets)

    def release(self, request: object) -> None:
        """Give a request's place back; once, however often it is told so."""
        is_given_back = self.in_flight.pop(request, self) is self
        self.idle_since = time.monotonic()
        if self.capacity is not None and not is_given_back:
            self._free.append(None)

    def retire(self) -> bool:
        """Take no more requests, if there are none; a thread may be about to claim a place."""
        self.is_retired = True
        if len(self._free) != self.capacity:
            self.is_retired = False
        return self.is_retired

    def abandon(self, request: object) -> None:
        """Give a place back whose connection must serve nobody else: nobody may claim it before `leave` is through."""
        if self.capacity == 1:
            self.is_retired = True
        self.release(request)

    async def leave(self) -> None:
        """Let go of an abandoned HTTP/2 stream: its connection is closed, which tells the server.

        httpcore sends no RST_STREAM, so the server would go on, and count the stream among those it takes.
        """
        if self.capacity == 1:
            await self._aclose()

    async def aclose(self) -> None:
        """Close everything, and wake whoever waits for an answer."""
        self.is_retired = True
        for answer in list(self.in_flight.values()):
            if answer is not None:  # a stream that somebody still holds
                await answer.aclose()
        for sockets in self._sockets:
            sockets.interrupt()
        await self._aclose()
