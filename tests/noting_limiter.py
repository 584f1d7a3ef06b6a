"""Limiters that tests of both clients look into; by hand, as they have both kinds of methods."""

from __future__ import annotations

from typing import Any

from gigachat_sdk import LocalLimiter
from gigachat_sdk.limits import LocalSlot


class Watching(LocalLimiter):
    """Keeps the models it was asked for, and how many slots were held then."""

    def __init__(self, n: Any = 1, timeout: float | None = 0) -> None:
        super().__init__(n, timeout)
        self.asked: list[tuple[str | None, int]] = []

    def note(self, model: str | None) -> None:
        self.asked.append((model, self.held))

    def acquire(self, model: str | None = None) -> LocalSlot:
        self.note(model)
        return super().acquire(model)

    async def aacquire(self, model: str | None = None) -> LocalSlot:
        self.note(model)
        return await super().aacquire(model)


class Late(Watching):
    """Says of every slot that it had to be waited for."""

    def acquire(self, model: str | None = None) -> LocalSlot:
        slot = super().acquire(model)
        slot.has_waited = True
        return slot

    async def aacquire(self, model: str | None = None) -> LocalSlot:
        slot = await super().aacquire(model)
        slot.has_waited = True
        return slot
