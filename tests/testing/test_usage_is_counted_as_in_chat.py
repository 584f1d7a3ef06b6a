import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .conftest import open_client

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"


def count(http: httpx.Client, *texts: str, model: str = "GigaChat") -> list[int]:
    counted = http.post("/tokens/count", json={"model": model, "input": texts}).json()
    return [item["tokens"] for item in counted]


@pytest.mark.parametrize(
    ("name", "texts"), [("single", ["Hello, world!"]), ("multiple", ["First text", "Second text"])]
)
def test_counts_are_the_recorded_ones(http: httpx.Client, name: str, texts: list[str]) -> None:
    answer = http.post("/tokens/count", json={"model": "GigaChat", "input": texts})
    assert answer.content == (WIRE / f"tokens_count_{name}.json").read_bytes()


@pytest.mark.parametrize("text", ["Привет!", "Как дела, GigaChat-2?", "слово " * 100, "🙂🙂 и\nстроки"])
def test_chat_counts_its_answer_alike(http: httpx.Client, emulator: Emulator, text: str) -> None:
    emulator.answer(text)
    messages = [{"role": "user", "content": "x"}]
    usage = http.post("/chat/completions", json={"model": "GigaChat", "messages": messages}).json()["usage"]
    assert count(http, text) == [usage["completion_tokens"]]


def test_longer_texts_cost_more_in_chat_by_what_is_counted(http: httpx.Client) -> None:
    def asked(text: str) -> int:
        body = {"model": "GigaChat", "messages": [{"role": "user", "content": text}]}
        used: int = http.post("/chat/completions", json=body).json()["usage"]["prompt_tokens"]
        return used

    short, long = "Привет", "Привет, расскажи о себе"
    assert asked(long) - asked(short) == count(http, long)[0] - count(http, short)[0]


def test_a_token_has_some_letters(http: httpx.Client) -> None:
    text = "В среднем в одном токене три или четыре символа, включая пробелы и знаки препинания. " * 10
    assert 3 <= len(text) / count(http, text)[0] <= 6
    assert count(http) == []
    assert count(http, "", " ") == [0, 1]
    assert count(http, "слово", model="EmbeddingsGigaR") == count(http, "слово", model="GigaChat-3-Ultra")


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        ({"model": "GigaChat"}, 400),
        ({"input": ["текст"]}, 400),
        ({"model": "GigaChat", "input": "текст"}, 400),
        ({"model": "GigaChat", "input": [None]}, 400),
        ({"model": "Nothing", "input": ["текст"]}, 404),
        ({"model": "GigaFilter", "input": ["текст"]}, 404),
    ],
)
def test_wrong_requests_to_count_are_refused(http: httpx.Client, payload: dict[str, Any], status: int) -> None:
    assert http.post("/tokens/count", json=payload).status_code == status


def test_the_balance_is_as_in_the_fixture(http: httpx.Client) -> None:
    assert http.get("/balance").json() == json.loads((WIRE / "fixture_balance.json").read_bytes())


TEXT = {"model": "GigaCheckDetection", "input": "слово " * 20}
LINE = b'{"id":"1","request":{"model":"Embeddings","input":"x"}}'


@pytest.mark.parametrize(
    ("plan", "balance", "corporate"), [(None, 200, 200), ("prepaid", 200, 403), ("pay_as_you_go", 403, 200)]
)
def test_a_plan_closes_what_is_not_in_it(plan: Any, balance: int, corporate: int) -> None:
    with Emulator(plan=plan) as emulator, open_client(emulator) as http:
        octets = {"Content-Type": "application/octet-stream"}
        answers = [
            http.get("/balance"),
            http.post("/ai/check", json=TEXT),
            http.post("/batches?method=embedder", content=LINE, headers=octets),
            http.get("/batches"),
        ]
        assert [answer.status_code for answer in answers] == [balance, *[corporate] * 3]
        for answer in answers:
            if answer.status_code == 403:
                assert answer.text == '{"status":403,"message":"Permission denied"}\n'
        assert http.post("/tokens/count", json={"model": "GigaChat", "input": []}).status_code == 200


def test_an_unknown_plan_is_refused() -> None:
    plan: Any = "free"
    with pytest.raises(ValueError, match="plan must be one of 'prepaid', 'pay_as_you_go' or None, got 'free'"):
        Emulator(plan=plan)
