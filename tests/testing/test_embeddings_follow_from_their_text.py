import json
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .conftest import open_client

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"


def embed(http: httpx.Client, given: Any, model: str = "Embeddings") -> list[list[float]]:
    answer = http.post("/embeddings", json={"model": model, "input": given})
    return [item["embedding"] for item in answer.json()["data"]]


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "texts"), [("single", ["Hello, world!"]), ("multiple", ["First text", "Second text"])]
)
def test_the_answer_is_as_recorded_but_for_the_numbers(http: httpx.Client, name: str, texts: list[str]) -> None:
    recorded = json.loads((WIRE / f"embeddings_{name}.json").read_bytes())
    answer = http.post("/embeddings", json={"model": "Embeddings", "input": texts}).json()
    for body in (recorded, answer):
        for item in body["data"]:
            item["embedding"] = len(item["embedding"])
    assert answer == recorded


@pytest.mark.parametrize(
    ("model", "length"),
    [("Embeddings", 1024), ("Embeddings-2", 1024), ("EmbeddingsGigaR", 2560), ("GigaEmbeddings-3B-2025-09", 2048)],
)
def test_vectors_have_the_length_of_their_model_and_unit_norm(http: httpx.Client, model: str, length: int) -> None:
    for vector in embed(http, ["Привет", "", "   ", "слово " * 1000], model):
        assert len(vector) == length
        assert math.sqrt(likeness(vector, vector)) == pytest.approx(1.0, abs=1e-6)
        assert all(vector)


def test_equal_texts_have_equal_vectors_in_every_emulator(http: httpx.Client) -> None:
    one, other, again = embed(http, ["Кошка спит", "Собака бежит", "Кошка спит"])
    assert one == again != other
    with Emulator() as another, open_client(another) as elsewhere:
        assert embed(elsewhere, "Кошка спит") == [one]
    assert embed(http, "Кошка спит", "Embeddings-2") != [one]


def test_similar_texts_are_closer_than_others(http: httpx.Client) -> None:
    texts = ["Рыжая кошка спит на диване", "На диване спит кошка", "рыжие кошки спят на диванах", "Курс рубля вырос"]
    text, similar, inflected, unrelated, loud = embed(http, [*texts, texts[0].upper()])
    assert likeness(text, loud) > 0.97
    assert likeness(text, similar) > 0.7
    assert likeness(text, inflected) > 0.4
    assert abs(likeness(text, unrelated)) < 0.2


def test_a_bare_text_is_one_input_and_no_input_gives_no_vectors(http: httpx.Client) -> None:
    assert embed(http, "Привет") == embed(http, ["Привет"])
    assert embed(http, []) == []


@pytest.mark.parametrize(
    "payload",
    [
        {"model": "Embeddings"},
        {"input": ["текст"]},
        {"model": 1, "input": ["текст"]},
        {"model": "Embeddings", "input": [1]},
        {"model": "Embeddings", "input": {"text": "текст"}},
    ],
)
def test_a_wrong_shape_is_refused(http: httpx.Client, payload: dict[str, Any]) -> None:
    assert http.post("/embeddings", json=payload).status_code == 400


@pytest.mark.parametrize("model", ["GigaChat", "Nothing"])
def test_a_model_that_makes_no_embeddings_is_refused(http: httpx.Client, model: str) -> None:
    answer = http.post("/embeddings", json={"model": model, "input": "текст"})
    assert (answer.status_code, answer.json()["message"]) == (404, "No such model")


def test_a_token_and_a_right_method_are_needed(http: httpx.Client) -> None:
    assert httpx.post(f"{http.base_url}embeddings", json={}).status_code == 401
    assert http.get("/embeddings").status_code == 405
