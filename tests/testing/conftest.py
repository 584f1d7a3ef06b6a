import ssl
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import httpx
import pytest
from kept_port import KeptPort

from gigachat_sdk.testing import Emulator

Way = Literal["http", "https", "http2"]
WAYS: tuple[Way, ...] = get_args(Way)


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
def way() -> Way:
    """How clients come; tests choose others by parameters."""
    return "http"


@pytest.fixture
def emulator(clock: Clock, way: Way) -> Iterator[Emulator]:
    with Emulator(clock=clock, https=way != "http") as running:
        yield running


@pytest.fixture
def kept_port() -> Iterator[int]:
    """A port that no other process is given while it is free, or nobody's again; who names it can listen there."""
    with KeptPort() as port:
        yield port.number


def open_client(emulator: Emulator, *, http2: bool = False, **kwargs: Any) -> httpx.Client:
    """Make an httpx client that trusts the emulator and has a token of it."""
    verify = ssl.create_default_context(cafile=emulator.ca_bundle_file) if emulator.ca_bundle_file else False
    kwargs.setdefault("timeout", 30.0)
    kwargs.setdefault("headers", {"Authorization": f"Bearer {emulator.issue_token()}"})
    return httpx.Client(base_url=emulator.base_url, verify=verify, http2=http2, trust_env=False, **kwargs)


@pytest.fixture
def http(emulator: Emulator, way: Way) -> Iterator[httpx.Client]:
    with open_client(emulator, http2=way == "http2") as client:
        yield client


@pytest.fixture
def ask(http: httpx.Client) -> Callable[..., httpx.Response]:
    """Send a chat request: a text or messages, and other members of the body."""

    def send(messages: Any = "Привет", **members: Any) -> httpx.Response:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        return http.post("/chat/completions", json={"model": "GigaChat", "messages": messages, **members})

    return send
