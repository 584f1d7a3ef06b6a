"""A run of threads that is interrupted, by Ctrl-C or its own source, and is followed on then, or dropped."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import ConfigurationError, bulk
from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import CHAT, asked, asking, numbered, texts
from .test_map import closing, gone, workers


class Failing:
    """A source and a progress function that raise; requests are answered once all were taken.

    Args:
        emulator: Where they are asked.
        of_source: What the source raises at its end.
        of_progress: What the function raises, at the first result.
    """

    def __init__(
        self, emulator: Emulator, of_source: BaseException | None = None, of_progress: BaseException | None = None
    ) -> None:
        # An error that a frame has in its names would be a ring.
        self._of_source = [] if of_source is None else [of_source]
        self._of_progress = [] if of_progress is None else [of_progress]
        self._are_taken = threading.Event()
        emulator.on(CHAT, self._answer)

    def _answer(self, request: RecordedRequest) -> Reply | None:
        assert self._are_taken.wait(30)
        return None

    def requests(self) -> Iterator[Any]:
        yield from numbered(3)
        self._are_taken.set()
        if self._of_source:
            raise self._of_source.pop()

    def progress(self, state: BulkProgress) -> None:
        if self._of_progress:
            raise self._of_progress.pop()


@pytest.mark.parametrize(
    "errors",
    [
        lambda: (ValueError("of the source"), None),
        lambda: (KeyboardInterrupt(), None),
        lambda: (None, ValueError("of the function")),
        lambda: (None, KeyboardInterrupt()),
        lambda: (ValueError("of the source"), KeyboardInterrupt()),
    ],
)
def test_a_run_that_something_went_wrong_with_ends_when_it_is_dropped(
    emulator: Emulator, journal: Path, errors: Callable[[], tuple[BaseException | None, BaseException | None]]
) -> None:
    failing = Failing(emulator, *errors())
    with emulator.client() as client:
        threads: list[threading.Thread] = []
        try:
            for _ in bulk.map(client, failing.requests(), journal, concurrency=3, progress=failing.progress):
                break
        except KeyboardInterrupt:
            threads += workers()
        gone(threads or workers())  # no collection of garbage is waited for
        gone(closing())
        assert not journal.with_name(f".{journal.name}.lock").exists()


def test_a_run_may_be_followed_on_after_ctrl_c(emulator: Emulator) -> None:
    failing = Failing(emulator, None, KeyboardInterrupt())
    with (
        emulator.client() as client,
        bulk.map(client, failing.requests(), concurrency=3, progress=failing.progress) as run,
    ):
        with pytest.raises(KeyboardInterrupt):
            next(run)
        assert texts(list(run)) == ["0", "1", "2"]
    assert sorted(asked(emulator)) == ["0", "1", "2"]


def test_a_source_that_was_interrupted_did_not_come_to_its_end(emulator: Emulator) -> None:
    failing = Failing(emulator, KeyboardInterrupt())
    results: list[Any] = []
    with emulator.client() as client, bulk.map(client, failing.requests(), concurrency=3) as run:
        with pytest.raises(KeyboardInterrupt):
            next(run)
        with pytest.raises(ConfigurationError, match="this run was closed before its end"):
            results.extend(run)
    assert texts(results) == ["0", "1", "2"]


def test_the_error_of_a_source_says_where_it_was_raised(emulator: Emulator) -> None:
    def source() -> Iterator[Any]:
        yield asking("0")
        raise LookupError("of the source")

    with emulator.client() as client, pytest.raises(LookupError) as raised:
        list(bulk.map(client, source()))
    assert raised.traceback[-1].name == "source"
