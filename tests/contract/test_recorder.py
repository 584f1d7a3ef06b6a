"""The recorder judges each kind of exchange once, and misses none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from .deviations import is_allowed
from .exchange import Exchange, Violation, violations
from .recorder import Recorder, Sample
from .shape import shape_of
from .test_judging import AGENT, BEARER, BROKEN, CHAT, CHOICE, CHUNK, GOOD, JSON, asked, events, said


def test_like_exchanges_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []

    def judge(side: str) -> Callable[[Exchange], list[Violation]]:
        return lambda exchange: judged.append(side) or []  # type: ignore[func-returns-value]  # that is the trick

    monkeypatch.setattr("contract.recorder.request_violations", judge("request"))
    monkeypatch.setattr("contract.recorder.answer_violations", judge("answer"))
    recorder = Recorder()
    for number in range(3):
        headers = [*CHAT.headers, ("X-Request-ID", str(number))]
        recorder.note(replace(said(CHAT, created=1_800_000_000 + number), headers=headers))
        recorder.note(replace(CHAT, status=None))
        assert recorder.judge() == []
    assert judged == ["request", "answer"]
    recorder.note(said(CHAT, model="other"))
    recorder.note(replace(asked(CHAT, model="other"), status=404, answer=b"{}"))
    recorder.note(replace(CHAT, status=None, headers=[AGENT, JSON]))
    recorder.note(replace(CHAT, headers=[BEARER, JSON], answer=b"[]"))
    recorder.judge()
    assert sorted(judged[2:]) == ["answer", "answer", "answer", "request", "request"]


def test_what_is_wrong_is_told_each_time_it_is_met() -> None:
    recorder = Recorder()
    for _ in range(2):
        recorder.note(said(CHAT, created="1"))
        recorder.note(said(CHAT, created="1"))
        assert len(recorder.judge()) == 1
    assert recorder.judge() == []


def test_exchanges_that_differ_in_their_words_alone_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bytes] = []

    def judge(exchange: Exchange) -> list[Violation]:
        judged.append(exchange.answer)
        return []

    monkeypatch.setattr("contract.recorder.answer_violations", judge)
    recorder = Recorder()
    for exchange in (
        said(CHAT, created=1),
        said(CHAT, created=20),
        said(CHAT, choices=[{**CHOICE, "message": {"role": "assistant", "content": "бвг"}}]),
        said(CHAT, choices=[CHOICE] * 5),
        said(CHAT, choices=[CHOICE] * 50),
        events(f"{CHUNK}{CHUNK}data: [DONE]\n\n"),
        events(f"{CHUNK}{CHUNK.replace('а', 'бвг')}{CHUNK}{CHUNK}data: [DONE]\n\n"),
    ):
        recorder.note(exchange)
    recorder.judge()
    assert len(judged) == 3  # a short list, a long one, a stream


@pytest.mark.parametrize(("exchange", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_found_after_all_that_is_right(exchange: Exchange, expected: str) -> None:
    recorder = Recorder()
    for good in GOOD.values():
        recorder.note(good)
    assert recorder.judge() == []
    recorder.note(exchange)
    assert [str(one) for one in recorder.judge()] == [
        str(one) for one in violations(exchange) if not is_allowed(one, exchange)
    ]


@pytest.mark.parametrize("depth", [300, 9_999, 100_000])
@pytest.mark.parametrize("end", [b"", b"]"])
def test_a_body_that_is_too_deep_is_its_own_shape(depth: int, end: bytes) -> None:
    body = b"[" * depth + end * depth
    assert shape_of(body, "application/json") == body


def test_a_large_body_is_kept_in_part() -> None:
    small, large = Sample(), Sample()
    small.add(b"{}")
    for _ in range(200):
        large.add(b"x" * 65_000 + b"\n")
    assert small.body("application/json") == (b"{}", True)
    assert large.body("application/json") == (b"", False)
    for kind in ("multipart/form-data; boundary=b", "application/octet-stream"):
        kept, is_known = large.body(kind)
        assert is_known
        assert Sample.HEAD / 2 < len(kept) < Sample.HEAD * 2
    assert set(large.body("application/octet-stream")[0].split(b"\n")) == {b"x" * 65_000, b""}
