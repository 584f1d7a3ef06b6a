"""`types/token_counts.py`, and pages that come as a bare array."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import ArrayPage, BaseModel, Page, TokensCount, TokensCountList
from gigachat_sdk.types.token_counts import TokensCountRequest

ARRAY = [{"object": "tokens", "tokens": 2, "characters": 10, "новое": 1}, {"object": "tokens", "tokens": 3}]
OBJECT = {"data": ARRAY, "new": "ё"}


def read(document: Any) -> TokensCountList:
    return TokensCountList.model_validate_json(json.dumps(document))


@pytest.mark.parametrize(
    ("given", "texts"), [("one", ["one"]), ("", [""]), (["a", "b"], ["a", "b"]), ((x for x in "ab"), ["a", "b"])]
)
def test_texts_are_always_sent_as_a_list(given: Any, texts: list[str]) -> None:
    request = validated(TokensCountRequest, {"model": "GigaChat", "input": given})
    assert request.to_payload() == {"input": texts, "model": "GigaChat"}


@pytest.mark.parametrize(
    ("fields", "message", "is_kind"),
    [
        ({"input": []}, "input: expected at least one item, got none", False),
        ({"input": 5}, "input: expected a string, or a list of strings, got 5", True),
        ({"input": ["a", 5]}, "input[1]: expected a string, got 5", True),
        ({"input": "a", "model": ""}, "model: the value is empty", False),
    ],
)
def test_what_cannot_be_counted_is_refused(fields: dict[str, Any], message: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(TokensCountRequest, {"model": "GigaChat", **fields})
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize("document", [ARRAY, OBJECT])
def test_counts_are_a_page_in_whichever_shape_they_come(document: Any) -> None:
    page = read(document)
    assert [count.tokens for count in page] == [2, 3]
    assert (len(page), page[0].characters, page.total_tokens) == (2, 10, 5)


@pytest.mark.parametrize("document", [ARRAY, OBJECT, [], {"data": []}])
@pytest.mark.parametrize(
    "copied",
    [
        lambda page: page,
        copy.copy,
        copy.deepcopy,
        lambda page: pickle.loads(pickle.dumps(page)),
        lambda page: page.model_copy(),
    ],
)
def test_a_page_gives_back_the_shape_that_came(document: Any, copied: Any) -> None:
    page = copied(read(document))
    assert page.to_dict() == document
    assert json.loads(page.to_json()) == document
    assert json.loads(page.to_json(indent=2)) == document
    assert page.model_dump(exclude={"data"}) == ({"new": "ё"} if document is OBJECT else {})


def test_an_array_with_half_a_character_is_still_json() -> None:
    document = [{"tokens": 1, "text": "\ud800"}]
    assert json.loads(TokensCountList.model_validate(document).to_json()) == document


def test_a_page_built_by_hand_is_an_object() -> None:
    assert TokensCountList(data=[TokensCount(tokens=1)]).to_dict() == {"data": [{"tokens": 1}]}
    assert TokensCountList.model_validate([{"tokens": 1}]).to_dict() == [{"tokens": 1}]


@pytest.mark.parametrize("document", [5, "x", None, [5], {"items": []}, [{"tokens": "x"}]])
def test_what_is_no_list_of_counts_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="TokensCount"):
        read(document)


class Item(BaseModel):
    id: int


class Shelf(ArrayPage[Item]):
    _items_field = "books"

    books: list[Item]


@pytest.mark.parametrize("document", [[{"id": 1}], {"books": [{"id": 1}], "count": 1}])
def test_the_items_may_have_any_name(document: Any) -> None:
    shelf = Shelf.model_validate(document)
    assert [book.id for book in shelf] == [book.id for book in shelf.books] == [1]
    assert shelf.to_dict() == document


def test_pages_with_a_plain_object_have_no_other_shape() -> None:
    with pytest.raises(ValueError, match="Page"):
        Page[int].model_validate([1])
