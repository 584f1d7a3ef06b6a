"""The emulator's command waits for a signal, and looks up now and then."""

from __future__ import annotations

from queue import Empty
from typing import Any

from gigachat_sdk.cli._emulator import _wait


def test_waiting_goes_on_until_a_signal_comes() -> None:
    class Late:
        asked = 0

        def get(self, timeout: float) -> int:
            self.asked += 1
            if self.asked < 3:
                raise Empty
            return 2

    signals: Any = Late()
    _wait(signals)
    assert signals.asked == 3
