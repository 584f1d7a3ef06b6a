"""`types/embeddings.py`: texts become a request, vectors an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import EmbeddingList, EmbeddingUsage
from gigachat_sdk.types.embeddings import EmbeddingsRequest


def sent(value: Any, model: Any = "Embeddings") -> dict[str, Any]:
    return validated(EmbeddingsRequest, {"input": value, "model": model}).to_payload()


def texts() -> Iterator[str]:
    yield "a"
    yield "b"


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("Привет", "Привет"),
        ("", ""),  # whether an empty text has a vector is for the service to say
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        ({"a": 1, "b": 2}.keys(), ["a", "b"]),
        (texts(), ["a", "b"]),
    ],
)
def test_a_text_is_sent_as_one_and_any_iterable_of_texts_as_a_list(given: Any, value: Any) -> None:
    assert sent(given) == {"input": value, "model": "Embeddings"}


@pytest.mark.parametrize(
    ("given", "message", "is_kind"),
    [
        ([], "input: expected at least one item, got none", False),
        (iter(()), "input: expected at least one item, got none", False),
        (None, "input: expected a string, or a list of strings, got None", True),
        (5, "input: expected a string, or a list of strings, got 5", True),
        (b"a", "input: expected a string, or a list of strings, got bytes", True),
        ({"a": 1}, "input: expected a string, or a list of strings, got dict", True),
        ([1], "input[0]: expected a string, got 1", True),
        (["a", None], "input[1]: expected a string, got None", True),
        ([["a"]], "input[0]: expected a string, got list", True),
    ],
)
def test_what_holds_no_text_is_refused(given: Any, message: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent(given)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("model", "message"),
    [("", "model: the value is empty"), (None, "model: expected a string, got None")],
)
def test_a_model_has_a_name(model: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        sent("a", model)
    assert str(caught.value) == message


def answer(*usages: dict[str, Any] | None, **fields: Any) -> EmbeddingList:
    items = [
        {"object": "embedding", "index": index, "embedding": [0.5, -1, 1e-9], **({} if usage is None else usage)}
        for index, usage in enumerate(usages)
    ]
    return EmbeddingList.model_validate_json(json.dumps({"object": "list", "model": "M", "data": items, **fields}))


def test_an_answer_is_a_page_of_vectors() -> None:
    page = answer(None, None)
    assert [(item.index, item.embedding) for item in page] == [(0, [0.5, -1.0, 1e-9]), (1, [0.5, -1.0, 1e-9])]
    assert all(type(number) is float for number in page[0].embedding)
    assert (len(page), page.model, page.object, page[1].object) == (2, "M", "list", "embedding")


@pytest.mark.parametrize(
    ("usages", "total"),
    [
        ([{"usage": {"prompt_tokens": 7}}, {"usage": {"prompt_tokens": 5}}], 12),
        ([{"usage": {"prompt_tokens": 7}}, None], 7),
        ([{"usage": {}}], 0),
    ],
)
def test_the_usage_of_all_texts_is_added_up(usages: list[dict[str, Any] | None], total: int) -> None:
    page = answer(*usages)
    assert page.usage == EmbeddingUsage(prompt_tokens=total)
    assert "usage" not in page.to_dict()


@pytest.mark.parametrize("usages", [[], [None, None], [{"usage": None}]])
def test_without_any_usage_there_is_none(usages: list[dict[str, Any] | None]) -> None:
    assert answer(*usages).usage is None
