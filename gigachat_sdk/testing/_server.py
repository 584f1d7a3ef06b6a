"""The HTTP server: hypercorn's protocol machines on a socket of ours, in a thread with an event loop of its own.

hypercorn's own entry point waits for clients when it stops and reads certificates from files, so only its
`TCPServer`, one per connection, is used here.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import socket
import ssl
import tempfile
import threading
from pathlib import Path
from typing import Any, cast

import trustme
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import Event, Updated
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

HOST = "127.0.0.1"
_BACKLOG = 1024
_KEEP_ALIVE = 15.0  # seconds an idle connection is kept, as the service announces

_log = logging.getLogger("gigachat_sdk.testing")


class Certificates:
    """A certificate authority of one emulator, and its server certificate."""

    def __init__(self) -> None:
        self._authority = trustme.CA()
        # Any: the type of its `configure_cert` names a class of pyOpenSSL, which need not be there
        self._leaf: Any = self._authority.issue_cert(HOST, "localhost")

    def server_context(self, *, http2: bool, client_ca: str | None) -> ssl.SSLContext:
        """Make the server's TLS context.

        Args:
            http2: Whether HTTP/2 is offered.
            client_ca: Path to the CA certificates (PEM) of clients; with it a client certificate is required.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
        self._leaf.configure_cert(context)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def write_ca(self) -> Path:
        """Write the CA certificate to a new temporary file."""
        with tempfile.NamedTemporaryFile(prefix="gigachat-emulator-", suffix=".pem", delete=False) as file:
            file.write(self._authority.cert_pem.bytes())
        return Path(file.name)


class Server:
    """A running server; made by its constructor, ended by `stop`.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, app: ASGIApp, *, port: int, context: ssl.SSLContext | None) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._context = context
        self._config = _quiet_config()
        self._worker = WorkerContext(None)
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._socket = socket.create_server((HOST, port), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._loop = asyncio.SelectorEventLoop()  # the same on every system, whatever policy is set
        self._loop.set_debug(False)  # the development mode's reports of slow callbacks are of no use here
        self._loop.set_exception_handler(_note_exception)
        self._stopping = asyncio.Event()
        self._listening: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._run, name=f"gigachat-emulator-{self.port}", daemon=True)
        self._thread.start()
        try:
            self._listening.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Close the port and all connections at once, and wait for the thread to end."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.closing(self._loop), contextlib.closing(self._socket):
            try:
                self._loop.run_until_complete(self._serve())
            except BaseException as error:
                self._listening.set_exception(error)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._socket, ssl=self._context, backlog=_BACKLOG)
        self._listening.set_result(None)
        await self._stopping.wait()
        # First no more connections, then the end: asyncio loses the socket of a connection that comes in between.
        self._loop.remove_reader(self._socket)
        await _some_rounds()
        server.close()
        await self._worker.terminated.set()
        await self._drop_all()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio does this only where the listening socket names its protocol; without it an answer takes 40 ms
        with contextlib.suppress(OSError):  # the client has gone
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(self._app, self._loop, self._config, self._worker, {}, reader, writer)
        task = self._loop.create_task(connection.run())
        self._connections[task] = writer
        task.add_done_callback(self._connections.pop)

    async def _drop_all(self) -> None:
        """End every connection, also those in their TLS handshake, without waiting for the other side."""
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # one that ends may start another
            for writer in self._connections.values():
                writer.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await _some_rounds()  # for the loop to close the sockets


class _Connection(TCPServer):
    """hypercorn's server of one connection, which starts no idle timer while everything is being ended."""

    async def protocol_send(self, event: Event) -> None:
        """Write to the connection, or take note of its state."""
        if not (isinstance(event, Updated) and self.context.terminated.is_set()):
            await super().protocol_send(event)


async def _some_rounds() -> None:
    """Let the event loop do what is due."""
    for _ in range(4):
        await asyncio.sleep(0)


def _quiet_config() -> Config:
    config = Config()
    config.accesslog = None
    config.errorlog = None
    config.include_server_header = False
    config.keep_alive_timeout = _KEEP_ALIVE
    config.keep_alive_max_requests = 1 << 31  # a connection ends when the test wants it, not after a count
    return config


def _note_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Keep broken connections out of the log of a test run, unless it asks for them."""
    _log.debug("In the emulator's event loop: %s", context.get("message"), exc_info=context.get("exception"))
