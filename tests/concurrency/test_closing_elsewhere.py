"""A thread closes what another one reads, at the very moment when it would hurt most."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from gigachat_sdk import APIConnectionError
from gigachat_sdk._deadline import Deadline
from gigachat_sdk._failures import Failure
from gigachat_sdk.testing import Emulator

from .conftest import MESSAGES


def elsewhere(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)


class MeanwhileClosed(Deadline):
    """Time enough; but as a reader looks how much there is, another thread closes what it reads."""

    close: Callable[[], None]

    @property
    def remaining(self) -> float:
        elsewhere(self.close)
        return 60.0


def test_a_body_that_is_closed_as_a_read_of_it_begins_is_not_whole(emulator: Emulator) -> None:
    with emulator.client() as client:
        file = client.files.create(file=("a.txt", b"x" * 1_000_000))
        content = client.files.content(file.id)
        answer = content._answer.http
        assert answer.next_piece()
        deadline = MeanwhileClosed(60)
        deadline.close = answer.close
        answer._deadline = deadline
        with pytest.raises(Failure, match="it was closed before its end"):
            answer.next_piece()


@pytest.mark.parametrize("kind", ["stream", "download"])
def test_what_is_closed_as_its_first_read_begins_ends_like_anything_that_is_closed(
    emulator: Emulator, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with emulator.client() as client:
        file = client.files.create(file=("a.txt", b"x"))
        opened: Any = (
            client.chat.completions.create(messages=MESSAGES, stream=True)
            if kind == "stream"
            else client.files.content(file.id)
        )
        http = opened._answer.http
        begin = http._begin

        def closed_first() -> None:
            elsewhere(opened.close)
            begin()

        monkeypatch.setattr(http, "_begin", closed_first)
        if kind == "stream":
            assert list(opened) == []
            assert not opened.is_complete
        else:
            with pytest.raises(APIConnectionError, match=r"was cut after 0 .*: it was closed"):
                opened.read()


class Seen(deque[Any]):
    """Events that are there; another thread closes the stream as its reader looks."""

    close: Callable[[], None]

    def __bool__(self) -> bool:
        if len(self) and not hasattr(self, "is_closed"):
            self.is_closed = True
            elsewhere(self.close)
            return True
        return len(self) > 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_stream_that_is_closed_as_its_reader_takes_an_event_ends(emulator: Emulator, version: str) -> None:
    with emulator.client() as client:
        messages: Any = MESSAGES if version == "v1" else [{"role": "user", "content": [{"text": "x"}]}]
        completions: Any = client.chat.completions if version == "v1" else client.v2.chat.completions
        stream = completions.create(messages=messages, stream=True)
        events = stream._events = Seen()
        events.close = stream.close
        assert len(list(stream)) <= 1
        assert events.is_closed
