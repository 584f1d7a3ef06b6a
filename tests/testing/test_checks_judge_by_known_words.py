import json
from pathlib import Path
from typing import Any

import httpx
import pytest

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
HUMAN = "Вчера мы с сестрой ходили в лес за грибами, промокли до нитки и смеялись всю дорогу обратно. "
MACHINE = "Как языковая модель, я могу предложить вам несколько интересных вариантов для проведения досуга сегодня. "
DETECTION, CLASSIFICATION = "GigaCheckDetection", "GigaCheckClassification"


def check(http: httpx.Client, text: str, model: str = DETECTION) -> dict[str, Any]:
    verdict: dict[str, Any] = http.post("/ai/check", json={"model": model, "input": text}).json()
    return verdict


@pytest.mark.parametrize(
    ("text", "by_detection", "by_classification"),
    [
        (HUMAN * 2, "human", "human"),
        (MACHINE * 2, "ai", "ai"),
        (HUMAN + MACHINE * 2, "mixed", "ai"),
        (HUMAN * 2 + MACHINE, "mixed", "human"),
        ("слово " * 20, "human", "human"),
        ("... " * 20, "human", "human"),
    ],
)
def test_a_text_is_judged(http: httpx.Client, text: str, by_detection: str, by_classification: str) -> None:
    assert check(http, text)["category"] == by_detection
    verdict = check(http, text, CLASSIFICATION)
    assert (verdict["category"], verdict["ai_intervals"]) == (by_classification, [])


def test_a_mixed_text_says_where(http: httpx.Client) -> None:
    text = HUMAN + MACHINE + HUMAN
    verdict = check(http, text)
    assert verdict.keys() == json.loads((WIRE / "fixture_ai_check.json").read_bytes()).keys()
    assert [text[start:end] for start, end in verdict["ai_intervals"]] == [MACHINE.strip()]
    counted = http.post("/tokens/count", json={"model": "GigaChat", "input": [text]}).json()[0]
    assert {name: verdict[name] for name in ("characters", "tokens")} == {
        name: counted[name] for name in ("characters", "tokens")
    }


def test_fewer_than_twenty_words_are_refused(http: httpx.Client) -> None:
    answer = http.post("/ai/check", json={"model": DETECTION, "input": "слово " * 19})
    assert answer.status_code == 422
    assert answer.json()["message"] == "Invalid params: input must have at least 20 words"


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"model": DETECTION}, 400),
        ({"input": HUMAN * 2}, 400),
        ({"model": DETECTION, "input": [HUMAN * 2]}, 400),
        ({"model": "GigaChat", "input": HUMAN * 2}, 404),
    ],
)
def test_wrong_requests_to_ai_check_are_refused(http: httpx.Client, payload: dict[str, Any], status: int) -> None:
    assert http.post("/ai/check", json=payload).status_code == status


def say(*texts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


@pytest.mark.parametrize(
    ("texts", "is_profane"),
    [
        (["Привет"], False),
        (["Привет", "Какой же он Дурак!"], True),
        (["дурака"], True),
        (["Damn it"], True),
        (["полудурак"], False),
        ([None], False),
        ([], False),
    ],
)
def test_messages_are_filtered(http: httpx.Client, texts: list[str], is_profane: bool) -> None:
    verdict = http.post("/filter/check", json=say(*texts)).json()
    assert verdict["is_profane"] is is_profane
    given = [text for text in texts if text]
    counted = http.post("/tokens/count", json={"model": "GigaChat", "input": given}).json()
    assert verdict == {
        "is_profane": is_profane,
        "usage": {"filter_tokens": sum(item["tokens"] for item in counted)},
    }


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({**say("x"), "model": "GigaFilter", "settings": {"neuro": True}}, 200),
        ({**say("x"), "model": "GigaChat"}, 404),
        ({**say("x"), "model": 1}, 400),
        ({}, 400),
        ({"messages": ["x"]}, 400),
        ({"messages": [{"content": "x"}]}, 400),
        (say(1), 400),
    ],
)
def test_wrong_requests_to_filter_are_refused(http: httpx.Client, payload: dict[str, Any], status: int) -> None:
    assert http.post("/filter/check", json=payload).status_code == status
