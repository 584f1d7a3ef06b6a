"""The port of a server: open, or kept so that the operating system refuses connections."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

HOST = "127.0.0.1"
_BACKLOG = 1024  # connections that may wait to be taken

Connected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], None]


class Port:
    """A port of the loopback address, taken at once; nobody is let in before `open`.

    Args:
        number: The port; 0 takes a free one.
        connected: Called with each connection.
        context: For TLS.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, number: int, connected: Connected, context: ssl.SSLContext | None) -> None:
        self._socket = socket.create_server((HOST, number), backlog=_BACKLOG)
        self._socket.setblocking(False)
        self._connected = connected
        self._context = context
        self._is_refusing = False
        self._server: asyncio.Server | None = None
        self._adopting: dict[asyncio.Task[None], socket.socket] = {}
        self.number: int = self._socket.getsockname()[1]

    async def open(self) -> None:
        """Take connections; does nothing twice."""
        self._is_refusing = False
        if self._server is None:
            self._server = await asyncio.start_server(
                self._connected, sock=self._socket, ssl=self._context, backlog=_BACKLOG
            )

    async def refuse(self) -> None:
        """Refuse connections, and keep the port; does nothing twice."""
        if self._is_refusing:
            return
        self._is_refusing = True
        await self.turn_away()
        self._take_in()
        self.close()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
        self._socket.bind((HOST, self.number))  # not listening: nobody gets in, and no other is given the port

    async def turn_away(self) -> None:
        """Let nobody in any more; who has come in is there when this returns, others wait at the port."""
        asyncio.get_running_loop().remove_reader(self._socket)
        await some_rounds()  # asyncio would lose the socket of a connection that comes in while its server closes

    def close(self) -> None:
        """Give the port back; those who wait there are reset."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._socket.close()

    def _take_in(self) -> None:
        """Take those who wait at the port: to them it was open."""
        while True:
            try:
                waiting, _ = self._socket.accept()
            except OSError:  # there are no more
                return
            task = asyncio.get_running_loop().create_task(self._adopt(waiting))
            self._adopting[task] = waiting
            task.add_done_callback(self._adopted)

    async def _adopt(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        protocol = asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), self._connected, loop=loop)
        await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=self._context)

    def _adopted(self, task: asyncio.Task[None]) -> None:
        accepted = self._adopting.pop(task)
        if task.cancelled() or task.exception() is not None:  # everything ends, or the handshake failed
            accepted.close()


async def some_rounds() -> None:
    """Let the event loop do what is due."""
    for _ in range(4):
        await asyncio.sleep(0)
