"""An emulator, a clock, and a store of tokens for each test."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import gigachat_sdk._async.transport as transport_module
from gigachat_sdk import AsyncClient
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .servers import port_that_refuses

Connect = Callable[..., AsyncClient]


class Clock:
    """A clock that a test turns by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


@pytest.fixture(scope="module")
def https_emulator() -> Iterator[Emulator]:
    """An emulator over TLS: a certificate takes a while to make, so one serves all tests of a file."""
    with Emulator(https=True) as running:
        yield running


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Make clients, of an emulator or of anything; they are closed after the test."""
    clients: list[AsyncClient] = []

    def make(server: Emulator | None = None, **options: Any) -> AsyncClient:
        clients.append(AsyncClient(**options) if server is None else server.async_client(**options))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
def client(emulator: Emulator, connect: Connect) -> AsyncClient:
    """A client of the test's emulator with the usual settings."""
    return connect(emulator)


class Late:
    """Answers the requests for a path a minute late, and tells when one has come."""

    def __init__(self, emulator: Emulator, path: str) -> None:
        self.has_come = threading.Event()
        emulator.on(path, self)

    def __call__(self, request: RecordedRequest) -> Reply:
        self.has_come.set()
        return Reply(json={"access_token": "late"}, delay=60)


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port that refuses connections, and is nobody's, for the whole test."""
    with port_that_refuses() as port:
        yield port


@pytest.fixture
def delays(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the client wanted to sleep; it does not."""
    slept: list[float] = []

    async def record(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(transport_module, "async_sleep", record)
    return slept
