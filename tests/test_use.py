"""`_use.py` and who closes connections: under a thread that is inside, a file stays open until that one has left."""

from __future__ import annotations

import socket
import threading
from typing import Any

import anyio
import httpcore
import pytest

from gigachat_sdk._concurrency import interrupt
from gigachat_sdk._sync.network import Sockets
from gigachat_sdk._use import AsyncUse, Use


class Noted:
    """What was done to a connection, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def close(self) -> None:
        self.done.append("closed")

    async def aclose(self) -> None:
        self.close()

    def wake(self) -> None:
        self.done.append("woken")


def test_what_nobody_uses_is_closed_at_once() -> None:
    noted = Noted()
    use = Use(noted.close, noted.wake)
    with use:
        pass
    assert noted.done == []
    use.close()
    assert noted.done == ["closed"]


def test_the_last_who_leaves_closes_it() -> None:
    noted = Noted()
    use = Use(noted.close, noted.wake)
    with use:
        with use:
            use.close()
            assert noted.done == ["woken"]
        assert noted.done == ["woken"]
    assert noted.done == ["woken", "closed"]


def test_a_connection_of_tasks_is_closed_at_once_which_wakes_them() -> None:
    noted = Noted()

    async def main() -> None:
        use = AsyncUse(noted.aclose, noted.wake)
        with use:
            await use.aclose()
            assert noted.done == ["closed"]

    anyio.run(main)


class Stream(httpcore.NetworkStream):
    """One end of a pair of sockets, as httpcore has it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.sock.settimeout(timeout)
        return self.sock.recv(max_bytes)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.sock.sendall(buffer)

    def close(self) -> None:
        self.sock.close()

    def get_extra_info(self, info: str) -> Any:
        return self.sock if info == "socket" else None


@pytest.mark.parametrize("is_reading", [False, True])
def test_closing_ends_the_read_of_another_thread_and_then_the_connection(is_reading: bool) -> None:
    mine, other = socket.socketpair()
    with mine, other:
        connection: Any = Sockets(httpcore.NetworkBackend(), set()).admit(Stream(mine))
        connection.write(b"x", 60)
        assert other.recv(1) == b"x"
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(connection.read(1, 60)), daemon=True)
        if is_reading:
            reader.start()
            while not connection._use._inside:
                threading.Event().wait(0.001)
        connection.close()
        if is_reading:
            reader.join(30)
            assert read == [b""]
        assert mine.fileno() == -1


class ClosedMeanwhile(set[Any]):
    """The connections of a pool, which another thread closes as one is added."""

    pool: Sockets

    def add(self, connection: Any) -> None:
        closing = threading.Thread(target=self.pool.interrupt)
        closing.start()
        closing.join(30)
        super().add(connection)


def test_a_connection_that_is_made_while_its_pool_is_closed_is_closed_as_well() -> None:
    mine, other = socket.socketpair()
    with mine, other:
        opened = ClosedMeanwhile()
        opened.pool = Sockets(httpcore.NetworkBackend(), opened)
        with pytest.raises(httpcore.ConnectError, match="the client was closed"):
            opened.pool.admit(Stream(mine))
        assert (mine.fileno(), len(opened)) == (-1, 0)
        interrupt(mine)  # which is no trouble
