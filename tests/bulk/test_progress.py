"""Who is told how far a run is."""

from __future__ import annotations

import builtins
import io
from typing import Any

import pytest

from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._progress import PlainBar, RichBar, Told, check_progress, reporter_for
from gigachat_sdk.errors import InvalidRequestTypeError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_for(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest puts a stream of its own in place before each test."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return stream


@pytest.fixture
def without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **more: Any) -> Any:
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)


@pytest.mark.parametrize(
    ("progress", "shown"),
    [
        (BulkProgress(), "0"),
        (BulkProgress(3, 0, 0, 10), "3 of 10"),
        (BulkProgress(3, 1, 0, 10), "3 of 10 (1 failed)"),
        (BulkProgress(3, 0, 2), "3 (2 from the journal)"),
        (BulkProgress(3, 1, 2), "3 (1 failed, 2 from the journal)"),
    ],
)
def test_progress_in_words(progress: BulkProgress, shown: str) -> None:
    assert str(progress) == shown


def test_a_function_is_told() -> None:
    told: list[BulkProgress] = []
    reporter = reporter_for(told.append)
    reporter.tell(BulkProgress(1))
    reporter.close()
    assert told == [BulkProgress(1)]


def test_who_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal_for(monkeypatch)
    assert isinstance(reporter_for(False), Told)
    for given in (None, True):
        reporter = reporter_for(given)
        assert isinstance(reporter, RichBar)
        reporter.close()
    for stream in (io.StringIO(), None):
        monkeypatch.setattr("sys.stderr", stream)
        reporter = reporter_for(None)
        assert isinstance(reporter, Told)
        reporter.tell(BulkProgress(1))


def test_a_bar_of_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    bar = reporter_for(True)
    bar.tell(BulkProgress(3, 1, 0, 10))
    bar.close()
    bar.close()
    assert "3 of 10 (1 failed)" in terminal.getvalue()


def test_a_bar_without_a_total(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    bar = RichBar()
    bar.tell(BulkProgress(3))
    bar.close()
    assert " 3 " in terminal.getvalue()


@pytest.mark.usefixtures("without_rich")
def test_a_plain_bar_where_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    bar = reporter_for(None)
    assert isinstance(bar, PlainBar)
    bar.close()
    assert terminal.getvalue() == ""


def test_a_plain_bar_is_written_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_for(monkeypatch)
    now = [100.0]
    bar = PlainBar(lambda: now[0])
    bar.tell(BulkProgress(1, 1))
    bar.tell(BulkProgress(2))
    now[0] += 0.2
    bar.tell(BulkProgress(3))
    bar.tell(BulkProgress(4))
    assert terminal.getvalue() == "\r1 (1 failed)\r3           "
    bar.close()
    bar.close()
    assert terminal.getvalue() == "\r1 (1 failed)\r3           \r4\n"


@pytest.mark.parametrize("given", [1, "yes", []])
def test_no_way_to_show_progress(given: Any) -> None:
    with pytest.raises(InvalidRequestTypeError, match="progress: expected True, False, None or a function, got "):
        check_progress(given)
