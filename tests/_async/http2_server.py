"""A server of HTTP/2 frames in threads, for what a proper one would not do."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from .servers import Connection, ThreadedServer

SETUP = h2.config.H2Configuration(
    client_side=False, header_encoding="utf-8", validate_outbound_headers=False, normalize_outbound_headers=False
)
STREAM_HEAD = [(":status", "200"), ("content-type", "text/event-stream")]


class Request:
    """One request that has arrived in full, and the means to answer it as one likes."""

    def __init__(self, connection: Connection, state: Any, stream_id: int, number: int, body: bytes) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.number = number  # 1 for the first that the server got
        self.body = body
        self._state = state

    def head(self, *fields: tuple[str, str], is_all: bool = False) -> bytes:
        self._state.send_headers(self.stream_id, fields, end_stream=is_all)
        return self._state.data_to_send()

    def data(self, content: bytes, *, is_all: bool = True) -> bytes:
        self._state.send_data(self.stream_id, content, end_stream=is_all)
        return self._state.data_to_send()

    def answer(self, content: bytes) -> bytes:
        return self.head(*STREAM_HEAD) + self.data(content)

    def hang_up(self) -> None:
        self.connection.is_over = True


Script = Callable[[Request], Iterable[bytes]]


class HTTP2Server(ThreadedServer):
    """Answers each request with the bytes that a function of it yields."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        if context is not None:
            context.set_alpn_protocols(["h2"])
        self._script = script
        self.bodies: list[bytes] = []

    def serve(self, connection: Connection) -> None:
        state = h2.connection.H2Connection(SETUP)
        state.initiate_connection()
        bodies: dict[int, bytes] = {}
        with contextlib.suppress(h2.exceptions.ProtocolError):
            while not connection.is_over and (data := self._next(connection, state)):
                for event in state.receive_data(data):
                    if isinstance(event, h2.events.DataReceived):
                        stream_id = event.stream_id or 0
                        bodies[stream_id] = bodies.get(stream_id, b"") + (event.data or b"")
                        state.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
                    elif isinstance(event, h2.events.StreamEnded):
                        self._answer(connection, state, event.stream_id or 0, bodies.get(event.stream_id or 0, b""))

    def _next(self, connection: Connection, state: Any) -> bytes:
        connection.socket.sendall(state.data_to_send())
        return connection.socket.recv(65536)

    def _answer(self, connection: Connection, state: Any, stream_id: int, body: bytes) -> None:
        connection.socket.sendall(state.data_to_send())
        self.bodies.append(body)
        for piece in self._script(Request(connection, state, stream_id, len(self.bodies), body)):
            connection.socket.sendall(piece)


def goaway(last_stream_id: int, error: int = 0) -> bytes:
    """Return a frame GOAWAY; the state of the server does not get to know of it."""
    return b"\0\0\x08\x07\0\0\0\0\0" + last_stream_id.to_bytes(4, "big") + error.to_bytes(4, "big")


def ping() -> bytes:
    """Return a frame PING."""
    return b"\0\0\x08\x06\0\0\0\0\0" + b"12345678"
