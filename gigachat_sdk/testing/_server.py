"""The HTTP server: hypercorn's protocol machines on a socket of ours, in a thread with an event loop of its own.

hypercorn's own entry point waits for clients when it stops and reads certificates from files, so only its
`TCPServer`, one per connection, is used here.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import math
import socket
import ssl
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import trustme
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from starlette.types import ASGIApp

from gigachat_sdk.testing._fault_choice import Faults
from gigachat_sdk.testing._line import Connection
from gigachat_sdk.testing._port import HOST, Port, some_rounds

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


@dataclass(frozen=True)
class _Note:
    """Somebody waits until the port is as the faults want it.

    Attributes:
        cleared: Whether a port that is closed opens before its time; else idle connections end where it closes.
        is_followed: For who waits.
    """

    cleared: bool = False
    is_followed: "concurrent.futures.Future[None]" = field(default_factory=lambda: concurrent.futures.Future())


class Server:
    """A running server; made by its constructor, ended by `stop`.

    Args:
        app: The ASGI application.
        port: The port; 0 takes a free one.
        context: For TLS.
        faults: Say when the port refuses connections.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, app: ASGIApp, *, port: int, context: ssl.SSLContext | None, faults: Faults) -> None:
        self._app = ASGIWrapper(cast("ASGIFramework", app))
        self._faults = faults
        self._config = _quiet_config()
        self._worker = WorkerContext(None)
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._port = Port(port, self._connected, context)
        self.port = self._port.number
        self._loop = asyncio.SelectorEventLoop()  # the same on every system, whatever policy is set
        self._loop.set_debug(False)  # the development mode's reports of slow callbacks are of no use here
        self._loop.set_exception_handler(_note_exception)
        self._is_stopping = False
        self._waking = asyncio.Event()  # there is something to look at
        self._lock = threading.Lock()  # for the next two
        self._notes: list[_Note] = []
        self._has_ended = False
        self._thread = threading.Thread(target=self._run, name=f"gigachat-emulator-{self.port}", daemon=True)
        listening = _Note()
        self._notes.append(listening)
        self._thread.start()
        try:
            listening.is_followed.result()
        except BaseException:
            self._thread.join()
            raise

    def stop(self) -> None:
        """Close the port and all connections at once, and wait for the thread to end."""
        with self._lock:
            if not self._has_ended:
                self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    def follow(self, *, cleared: bool) -> None:
        """Let the port follow the faults, which have changed; returns when it does.

        Args:
            cleared: Whether there are none any more.

        Raises:
            OSError: The port is lost.
        """
        note = _Note(cleared)
        with self._lock:
            if self._has_ended:
                return
            self._notes.append(note)
            self._loop.call_soon_threadsafe(self._waking.set)
        if threading.current_thread() is not self._thread:  # it is where a function of the test answers a request
            note.is_followed.result()

    # ---- on the thread ----

    def _stop(self) -> None:
        self._is_stopping = True
        self._waking.set()

    def _run(self) -> None:
        failure: BaseException | None = None
        with contextlib.closing(self._loop), contextlib.closing(self._port):
            try:
                self._loop.run_until_complete(self._serve())
            except BaseException as error:
                failure = error
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            with self._lock:
                self._has_ended = True
                self._answer(self._notes, failure)

    async def _serve(self) -> None:
        try:
            await self._tend_the_port()
        finally:
            await self._port.turn_away()
            self._port.close()
            await self._worker.terminated.set()
            await self._drop_all()

    async def _tend_the_port(self) -> None:
        """Let the port refuse connections when faults want it, until everything is to end."""
        opens_at: float | None = None  # when a port that refuses connections opens
        while not self._is_stopping:
            self._waking.clear()
            with self._lock:
                notes = list(self._notes)
            if opens_at is not None and (any(note.cleared for note in notes) or self._loop.time() >= opens_at):
                opens_at = None
            if opens_at is None and (fault := self._faults.refusal()) is not None:
                opens_at = self._loop.time() + (math.inf if fault.seconds is None else fault.seconds)
            if opens_at is None:
                await self._port.open()
            else:
                await self._port.refuse()
                self._close_idle(notes)
            with self._lock:
                del self._notes[: len(notes)]
            self._answer(notes, None)
            await self._wait(opens_at)

    def _answer(self, notes: list[_Note], failure: BaseException | None) -> None:
        """Tell those who wait that the port is as the faults want it, or why it can't be."""
        for note in notes:
            if failure is None:
                note.is_followed.set_result(None)
            else:
                note.is_followed.set_exception(failure)
        if failure is not None and not notes:
            _log.error("The emulator has lost its port", exc_info=failure)

    async def _wait(self, until: float | None) -> None:
        """Wait until there is something to look at, or until a time of the loop's clock."""
        seconds = None if until in (None, math.inf) else until - self._loop.time()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._waking.wait(), seconds)

    def _close_idle(self, notes: list[_Note]) -> None:
        """Close what is idle where a test has just closed the port: its next request is to find it so."""
        if any(not note.cleared for note in notes):
            for connection in self._connections.values():
                if connection.is_idle:
                    connection.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio does this only where the listening socket names its protocol; without it an answer takes 40 ms
        with contextlib.suppress(OSError):  # the client has gone
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(self._app, self._loop, self._config, self._worker, {}, reader, writer)
        task = self._loop.create_task(connection.run())
        self._connections[task] = connection
        task.add_done_callback(self._connections.pop)
        if self._faults.connected():
            self._waking.set()

    async def _drop_all(self) -> None:
        """End every connection, also those in their TLS handshake, without waiting for the other side."""
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:  # one that ends may start another
            for connection in self._connections.values():
                connection.writer.transport.abort()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await some_rounds()  # for the loop to close the sockets


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
