"""A store of tokens whose lock does not answer, for threads and for tasks; by hand, as it has the methods of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gigachat_sdk import MemoryTokenStore
from gigachat_sdk._deadline import DeadlineError, current_deadline


class SlowStore(MemoryTokenStore):
    """Keeps tokens; once it is slow, whoever wants the lock without waiting is told so late."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = self.is_told = False
        self.on_ask: Callable[[], object] = object
        self.asked = 0

    def lock(self, name: str) -> Any:
        return ThreadLock(self) if self.is_slow else super().lock(name)

    def alock(self, name: str) -> Any:
        return TaskLock(self) if self.is_slow else super().alock(name)

    def ask(self) -> bool:
        """Say that the lock was not to be had."""
        assert current_deadline() is not None
        self.asked += 1
        self.on_ask()
        if self.is_told:
            raise DeadlineError
        return False


class ThreadLock:
    """What threads take."""

    def __init__(self, store: SlowStore) -> None:
        self._store = store

    def acquire(self, *, wait: bool) -> bool:
        assert not wait
        return self._store.ask()


class TaskLock:
    """What tasks take."""

    def __init__(self, store: SlowStore) -> None:
        self._store = store

    async def acquire(self, *, wait: bool) -> bool:
        assert not wait
        return self._store.ask()
