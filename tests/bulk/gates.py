"""Requests that are held back at the service, until a test has come as far as it wants."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any

from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, asking

LONG = 60.0  # seconds; nothing that is held back comes before the end of a test, unless it is let go


class Gate:
    """Holds requests back at the service.

    Attributes:
        came: Counts those that are held.
        until: Says when they are answered, with "late"; None for after `delay`. Set before they come.
        delay: Seconds.
        may_answer: For the others.
    """

    def __init__(self, emulator: Emulator, *held: str) -> None:
        self._held = set(held)
        self.came = threading.Semaphore(0)
        self.until: Callable[[], bool] | None = None
        self.delay = LONG
        self.may_answer = threading.Event()
        self.may_answer.set()
        emulator.on(CHAT, self)

    def __call__(self, request: RecordedRequest) -> Reply | None:
        if request.json()["messages"][0]["content"] not in self._held:
            self.may_answer.wait(120)
            return None
        self.came.release()
        return Reply(json=answer("late"), delay=self.delay) if self.until is None else held(answer("late"), self.until)


class Pieces(list[bytes]):
    """An answer in pieces: spaces, which JSON allows, until it may come; the emulator does other things meanwhile.

    Args:
        whole: The answer.
        until: Says whether it may come; it does so after a while in any case.
    """

    def __init__(self, whole: bytes, until: Callable[[], bool]) -> None:
        super().__init__([whole])
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        ends_at = monotonic() + LONG
        while not self._until() and monotonic() < ends_at:
            self.append(b" ")  # so that none of them counts as the last
            yield b" "
        yield self[0]


def held(whole: Any, until: Callable[[], bool], *, status: int = 200) -> Reply:
    """An answer that comes as soon as something is so; `whole` is its JSON."""
    pieces = Pieces(json.dumps(whole).encode(), until)
    return Reply(status, chunks=pieces, chunk_delay=0.01, headers={"Content-Type": "application/json"})


def answer_together(emulator: Emulator, count: int, say: Callable[[str], str] = str) -> None:
    """Answer the first requests once so many have come."""
    came: list[str] = []

    def handler(request: RecordedRequest) -> Reply | None:
        came.append(request.json()["messages"][-1]["content"])
        return held(answer(say(came[-1])), lambda: len(came) >= count) if len(came) <= count else None

    emulator.on(CHAT, handler)


def answer(text: str) -> dict[str, Any]:
    """A whole answer of chat."""
    return {
        "choices": [{"message": {"role": "assistant", "content": text}, "index": 0, "finish_reason": "stop"}],
        "created": 1,
        "model": "GigaChat",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "precached_prompt_tokens": 0},
    }


def taken_ahead(gate: Gate, count: int) -> Iterator[dict[str, Any]]:
    """Give requests of which the first is answered when the second was taken: else the run may wait with that."""
    gate.may_answer.clear()
    for number in range(count):
        if number == 2:
            gate.may_answer.set()
        yield asking(str(number))
