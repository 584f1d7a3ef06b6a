"""Small servers of bytes in threads, for what a proper HTTP server would not do."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType

from typing_extensions import Self

Answer = Callable[["Connection", bytes], Iterable[bytes]]


class Connection:
    """What an answer may do beside yielding bytes: end the connection, write below TLS."""

    def __init__(self, sock: socket.socket, plain: socket.socket) -> None:
        self.socket = sock
        self.plain = plain  # the same connection without its TLS, to write what is no TLS
        self.is_over = False


class ThreadedServer:
    """Serves each connection in a thread; ends them all when its block is left."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._is_stopping = False
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open = 0
        self._changed = threading.Condition()

    def wait_until_all_are_closed(self, seconds: float = 30.0) -> bool:
        """Wait until the other side has closed every connection that it opened; return whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: self._open == 0, seconds)

    def _count(self, change: int) -> None:
        with self._changed:
            self._open += change
            self._changed.notify_all()

    @property
    def url(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def serve(self, connection: Connection) -> None:
        raise NotImplementedError

    def start_thread(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._keep(plain)
            if self._is_stopping:
                plain.close()
                return
            self.connections += 1
            self._count(1)
            self.start_thread(self._run, plain)

    def _keep(self, sock: socket.socket) -> None:
        """Note what `__exit__` has to end, or end it here: either that sees it, or this sees that it has begun."""
        self._sockets.append(sock)
        if self._is_stopping:
            end(sock)

    def _run(self, plain: socket.socket) -> None:
        try:
            self._talk(plain)
        finally:
            self._count(-1)

    def _talk(self, plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), plain:
            twin = plain.dup()
            self._keep(twin)
            with twin:
                sock = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
                self._keep(sock)
                with sock:
                    self.serve(Connection(sock, twin))

    def __enter__(self) -> Self:
        self.start_thread(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_stopping = True
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            pass  # wakes the thread that accepts
        for sock in self._sockets:
            end(sock)
        for thread in self._threads:
            thread.join()
        self._listener.close()


class RawServer(ThreadedServer):
    """Answers each request with the bytes that a function of it yields."""

    def __init__(self, answer: Answer, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self._answer = answer
        self.requests: list[bytes] = []

    def serve(self, connection: Connection) -> None:
        while not connection.is_over and (request := read_request(connection.socket)):
            self.requests.append(request)
            for piece in self._answer(connection, request):
                connection.socket.sendall(piece)


class ConnectProxy(ThreadedServer):
    """An HTTP proxy that forwards CONNECT tunnels to the address they name."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.requests: list[bytes] = []

    def serve(self, connection: Connection) -> None:
        request = read_request(connection.socket)
        self.requests.append(request)
        method, target, _ = request.split(b"\r\n", 1)[0].split(b" ")
        if method != b"CONNECT":
            connection.socket.sendall(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = target.decode().rpartition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self._keep(upstream)
            connection.socket.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self.start_thread(pump, upstream, connection.socket)
            pump(connection.socket, upstream)

    @property
    def targets(self) -> list[str]:
        return [request.split(b" ")[1].decode() for request in self.requests]


def end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def read_request(sock: socket.socket) -> bytes:
    """Read a head and its body by content length; empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        piece = sock.recv(65536)
        if not piece:
            return b""
        body += piece
    return head + b"\r\n\r\n" + body


@contextlib.contextmanager
def port_that_refuses() -> Iterator[int]:
    """Keep a port of this machine where nobody listens, nor can anybody else get it meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        yield port


def plain_answer(body: bytes, status: str = "200 OK", kind: str = "application/json", head: str = "") -> bytes:
    """Return a whole answer with a content length."""
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def http_chunk(data: bytes) -> bytes:
    """Return a piece of a chunked body; the empty one ends it."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
