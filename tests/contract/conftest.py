"""What the tests of the contract share: the wire as the recorder hears it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from .exchange import Exchange
from .recorder import ContractPlugin, Recorder


class Wire:
    """The SDK's exchanges with the emulator, in the order in which they ended."""

    def __init__(self) -> None:
        self._exchanges: list[Exchange] = []
        self._changed = threading.Condition()

    def note(self, exchange: Exchange) -> None:
        if exchange.is_ours and exchange.status is not None:
            with self._changed:
                self._exchanges.append(exchange)
                self._changed.notify_all()

    def take(self, seconds: float = 10.0) -> list[Exchange]:
        """Give what has come since the last time, waiting for one exchange at least to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._exchanges, seconds)
            taken, self._exchanges = self._exchanges, []
            return taken


@pytest.fixture
def recorder(pytestconfig: pytest.Config) -> Recorder:
    """The recorder that listens to the whole suite."""
    plugin = pytestconfig.pluginmanager.get_plugin("contract")
    assert isinstance(plugin, ContractPlugin)
    return plugin.recorder


@pytest.fixture
def wire(recorder: Recorder) -> Iterator[Wire]:
    heard = Wire()
    listener: Callable[[Exchange], None] = heard.note
    recorder.listeners.append(listener)
    yield heard
    recorder.listeners.remove(listener)
