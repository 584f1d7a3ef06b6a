"""Standard streams that are closed, full or gone: the work is done all the same, and its status is the right one."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from gigachat_sdk.bulk import BulkProgress
from gigachat_sdk.bulk._progress import PlainBar, RichBar, Screen
from gigachat_sdk.cli import _streams
from gigachat_sdk.testing import Emulator, RecordedRequest

CHAT = "/v1/chat/completions"
PYTHON = [sys.executable, "-W", "error", "-m", "gigachat_sdk"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "in.jsonl"
    requests = [{"messages": [{"role": "user", "content": str(number)}]} for number in range(5)]
    source.write_text("".join(json.dumps(request) + "\n" for request in requests))
    return source


def shell(redirection: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command with its streams as a shell makes them."""
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *PYTHON, *args],
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )


@pytest.mark.parametrize(
    ("redirection", "errors"),
    [
        (">&-", "done: 5\n"),
        ("2>&-", ""),
        ("<&-", "done: 5\n"),
        ("<&- >&- 2>&-", ""),
        ("2>/dev/full", ""),
        (">/dev/full", "done: 5\n"),
    ],
)
def test_a_run_needs_no_standard_stream(
    settings: Emulator, source: Path, tmp_path: Path, redirection: str, errors: str
) -> None:
    output = tmp_path / "out.jsonl"
    result = shell(redirection, "bulk", str(source), str(output))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", errors)
    assert len(output.read_bytes().splitlines()) == 5


@pytest.mark.parametrize(
    ("redirection", "args", "status", "errors"),
    [
        ("<&-", ["bulk", "-", "{output}"], 2, "error: standard input is closed; name a file as INPUT\n"),
        ("<&-", ["chat"], 2, "error: there is no question: give it as an argument, or pipe it in "),
        ("<&-", ["chat", "-"], 2, "error: there is no question: give it as an argument, or pipe it in "),
        ("<&-", ["chat", "Раз"], 0, ""),
        (">&-", ["chat", "Раз"], 0, ""),
        ("2>&-", ["chat", "-m", "GigaChat-99", "Раз"], 1, ""),
        ("2>/dev/full", ["chat", "-m", "GigaChat-99", "Раз"], 1, ""),
        ("2>/dev/full", [], 2, ""),
    ],
)
def test_what_a_command_needs_a_stream_for(
    settings: Emulator, tmp_path: Path, redirection: str, args: list[str], status: int, errors: str
) -> None:
    result = shell(redirection, *(arg.format(output=tmp_path / "out.jsonl") for arg in args))
    assert result.returncode == status
    assert result.stderr.startswith(errors)
    assert bool(result.stderr) is bool(errors)


def test_streams_that_are_closed_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    real = os.open

    def noting(path: str, flags: int) -> int:
        opened.append(real(path, flags))
        return opened[-1]

    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    with monkeypatch.context() as patch:
        patch.setattr("gigachat_sdk.cli._streams.os.open", noting)
        _streams.fill_gaps()
    made: list[Any] = [sys.stdout, sys.stderr]
    assert _streams.standard_input() is None
    _streams.say("nobody reads this")
    assert [stream.fileno() for stream in made] == opened[1:]
    assert len(opened) == 3
    for stream in made:
        stream.close()  # it leaves its descriptor open, and must not find it closed later
    for descriptor in opened:
        os.close(descriptor)


def test_what_cannot_be_said_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        for _ in range(2):
            _streams.say("nobody reads this")


# ---- a bar whose terminal is gone ----


class Gone:
    """A terminal that goes away after some writes."""

    encoding = "utf-8"

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, text: str) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "Input/output error")

    def flush(self) -> None:
        if self.left < 0:
            raise OSError(5, "Input/output error")

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("writes", [0, 1, 3])
@pytest.mark.parametrize("kind", [PlainBar, RichBar])
def test_a_bar_whose_terminal_is_gone_is_no_longer_shown(
    monkeypatch: pytest.MonkeyPatch, kind: Callable[[], PlainBar | RichBar], writes: int
) -> None:
    stream = Gone(writes)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    bar = kind()
    for done in range(5):
        bar.tell(BulkProgress(done, total=5))
    bar.close()
    bar.close()
    assert stream.left >= -1  # it was tried once


def test_a_screen_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    bar = PlainBar()
    bar.tell(BulkProgress(1))
    bar.close()
    assert not hasattr(Screen(), "encoding")


WITHOUT_RICH = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if sys.argv.pop(1) == "plain":
    sys.modules["rich.console"] = None
from gigachat_sdk.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize("kind", ["rich", "plain"])
def test_a_run_outlives_its_terminal(settings: Emulator, source: Path, tmp_path: Path, kind: str) -> None:
    controller, terminal = pty.openpty()

    def handler(request: RecordedRequest) -> None:
        if request.json()["messages"][0]["content"] == "2":
            os.close(controller)

    settings.on(CHAT, handler)
    output = tmp_path / "out.jsonl"
    with subprocess.Popen(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            WITHOUT_RICH,
            kind,
            "bulk",
            "--concurrency",
            "1",
            str(source),
            str(output),
        ],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    ) as process:
        os.close(terminal)
        assert process.wait(timeout=180) == 0
    assert len(output.read_bytes().splitlines()) == 5


# ---- what is said of a run that ends early ----


def test_a_run_whose_output_is_removed(
    run: Callable[..., Result], settings: Emulator, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"

    def handler(request: RecordedRequest) -> None:
        if request.json()["messages"][0]["content"] == "2":
            output.unlink()

    settings.on(CHAT, handler)
    result = run("bulk", "--concurrency", "1", str(source), str(output))
    assert (result.exit_code, result.output) == (
        1,
        f"error: {output}: it was removed by somebody else during the run; the lines of this run, 2 in number, "
        "are gone with it\n",
    )
