"""A port of a test's own, which nobody else is given while no server listens there."""

from __future__ import annotations

import socket
import sys
from types import TracebackType

from typing_extensions import Self


class KeptPort:
    """A free port of this machine, kept until it is closed: without a server it refuses connections.

    A port that was given back may be the next that a server elsewhere is given. This one stays bound, without listening
    there: whoever asks for a free port is not given it, and the server it is for may have it all the same. Linux alone
    lets two sockets have a port so; elsewhere it is given back at once.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: then both may bind it
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def close(self) -> None:
        """Give it back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
