"""A fifth of everything goes wrong: each call ends with its own answer or a typed error, and nothing is left open."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from gigachat_sdk import RateLimitError, StreamInterruptedError

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # `benchmarks` is no part of the distribution

from benchmarks import chaos
from benchmarks.chaos import Ending, Job, Report


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries come at once."""

    async def async_sleep(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("gigachat_sdk._async.transport.async_sleep", async_sleep)
    monkeypatch.setattr("gigachat_sdk._sync.transport.sleep", lambda seconds: None)


@pytest.mark.parametrize(
    ("runner", "http2", "calls", "streams"),
    [
        ("threads", False, 2000, 500),
        ("asyncio", False, 2000, 500),
        ("trio", False, 400, 200),
        ("threads", True, 400, 200),
        ("asyncio", True, 400, 200),
        ("trio", True, 400, 200),
    ],
)
@pytest.mark.usefixtures("no_waiting")
def test_nothing_is_lost_nothing_comes_twice_nothing_hangs(runner: Any, http2: bool, calls: int, streams: int) -> None:
    before = set(threading.enumerate())
    report = chaos.run(calls, streams, seed=17, runner=runner, http2=http2, read_timeout=0.5, deadline=4.0)
    gc.collect()  # what was not closed complains here, and warnings are errors
    assert report.violations == []
    assert len(report.endings) == calls + streams
    assert {ending.job.number for ending in report.endings} == set(range(calls + streams))
    assert report.faults.total() > 0.2 * (calls + streams)  # or it would have been no test
    assert sum(ending.error is None for ending in report.endings) > 0.8 * (calls + streams)
    assert any(isinstance(ending.error, StreamInterruptedError) for ending in report.endings)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
    assert set(threading.enumerate()) <= before


JOB = Job(5, "stream", "один два")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("Вы написали: один два", None, None),
        ("Вы написали: один", None, "not 'Вы написали: один два'"),
        ("Вы написали: один один два", None, "not 'Вы написали: один два'"),
        ("", None, "stream 5 gave ''"),
        ("", RateLimitError("x", request=None, response=None, body=None), None),
        ("", KeyError("x"), "which is no error of the SDK's"),
    ],
)
def test_the_judge_sees_what_is_wrong(text: str, error: BaseException | None, words: str | None) -> None:
    found = Ending(JOB, text, error).violation
    assert found is None if words is None else words in str(found)


@pytest.mark.parametrize(
    ("given", "held", "words"),
    [
        ("Вы написали:", "Вы написали:", None),
        ("Вы Вы Вы Вы Вы Вы Вы Вы Вы Вы ", "Вы Вы Вы Вы Вы Вы Вы Вы Вы Вы ", None),  # an endless stream
        ("Вы написали: три", "Вы написали: три", "before its error"),
        ("Вы написали: один два два", "Вы написали: один два два", "before its error"),
        ("Вы написали: Вы написали: один", "Вы написали: Вы написали: один", "before its error"),
        ("Вы написали:", "Вы", "had been given"),
    ],
)
def test_the_judge_looks_at_cut_streams(given: str, held: str, words: str | None) -> None:
    error: Any = StreamInterruptedError("cut")
    error.text = held
    found = Ending(JOB, given, error).violation
    assert found is None if words is None else words in str(found)


def test_a_report_counts_and_names_what_is_wrong() -> None:
    endings = [Ending(JOB, JOB.answer, None, retries=2), Ending(JOB, "x", None)]
    report = Report(endings, chaos.Counter({"garbage": 3}), 1.5, {"requests": 1})
    assert [line.split() for line in report.lines()][:3] == [
        ["ended", "with", "stream"],
        ["answered", "2"],
        ["all", "2"],
    ]
    assert report.violations == ["stream 5 gave 'x', not 'Вы написали: один два'", "1 requests left open"]
    assert "violations: 2" in list(report.lines())
