"""The bytes under HTTP: what a fault may do to a connection, past the server's protocol machine."""

import contextlib
import socket
import struct
import sys
from typing import Any

from h2.errors import ErrorCodes
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Event, RawData, Updated
from hypercorn.protocol.h2 import H2Protocol
from starlette.types import Scope
from typing_extensions import Self

_STATE = "gigachat_sdk.connection"  # where a request's scope has its connection

_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # on, for 0 seconds: closing resets


class Connection(TCPServer):
    """hypercorn's server of one connection, with its bytes in reach.

    An ASGI application can send what HTTP allows and nothing else. All that hypercorn's protocol machines say passes
    through here on its way to the socket (below it is TLS), so this is where bytes can be added, and the connection be
    cut between any two of them.

    Args:
        given: What `TCPServer` takes; its `state` is one dict for each connection.

    Attributes:
        is_idle: Whether no request is being answered.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.is_idle = True
        self.state[_STATE] = self

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Give the connection that a request came by."""
        connection: Self = scope["state"][_STATE]
        return connection

    async def protocol_send(self, event: Event) -> None:
        """Write to the connection, or take note of its state."""
        if isinstance(event, Updated):
            self.is_idle = event.idle
            if self.context.terminated.is_set():
                return  # no idle timer is started while everything is being ended
        await super().protocol_send(event)

    async def write(self, data: bytes) -> None:
        """Write bytes past HTTP."""
        await self.protocol_send(RawData(data))

    async def settle(self, scope: Scope) -> None:
        """Wait until the operating system has all that a request was answered with so far.

        Args:
            scope: Of the request.
        """
        protocol = self.protocol.protocol
        stream = self._stream_of(scope)
        if isinstance(protocol, H2Protocol) and stream in protocol.stream_buffers:
            buffer = protocol.stream_buffers[stream]
            if buffer.buffer:
                await buffer.drain()
        async with self.send_lock:
            self.writer.transport.set_write_buffer_limits(high=1, low=0)  # with 0 TLS would wait for ever
            with contextlib.suppress(ConnectionError):  # the client has gone
                await self.writer.drain()

    def close(self) -> None:
        """Close the connection in good order, and send nothing more."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        with contextlib.suppress(OSError):  # the client has gone
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
        self.writer.transport.abort()

    async def reset_stream(self, scope: Scope) -> bool:
        """End one HTTP/2 stream with `RST_STREAM`; False where there is none, as over HTTP/1.1.

        Args:
            scope: Of its request.
        """
        protocol = self.protocol.protocol
        stream = self._stream_of(scope)
        if not isinstance(protocol, H2Protocol) or stream is None:
            return False
        protocol.connection.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
        await self.write(protocol.connection.data_to_send())
        return True

    def _stream_of(self, scope: Scope) -> int | None:
        """Find the HTTP/2 stream of a request."""
        protocol = self.protocol.protocol
        streams = protocol.streams if isinstance(protocol, H2Protocol) else {}
        return next((number for number, stream in streams.items() if stream.scope is scope), None)
