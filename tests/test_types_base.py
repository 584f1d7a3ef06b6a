"""`types/_base.py`: unknown fields are kept, answers remember how they came, lists of the service are lists."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from gigachat_sdk.types import BaseModel, Headers, Model, ModelList, Page, ResponseInfo, ResponseModel
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.tokens import TokenAnswer

INFO = ResponseInfo(200, Headers({"x-request-id": "abc"}), elapsed=0.5, retries_taken=1)
DOCUMENT: dict[str, Any] = {"id": "GigaChat", "object": "model", "owned_by": "sber", "новое": {"поле": [1, None, "ё"]}}


class Item(BaseModel):
    model_name: str = "m"
    number: int | None = None


def test_to_dict_gives_what_came_and_nothing_else() -> None:
    assert Model.model_validate(DOCUMENT).to_dict() == DOCUMENT
    assert Model.model_validate({"id": "GigaChat"}).to_dict() == {"id": "GigaChat"}
    assert Model.model_validate({"id": "GigaChat", "type": None}).to_dict() == {"id": "GigaChat", "type": None}


def test_to_dict_is_the_callers_own() -> None:
    model = Model.model_validate(DOCUMENT)
    model.to_dict()["новое"]["поле"].append("changed")
    assert model.to_dict() == DOCUMENT


@pytest.mark.parametrize("indent", [None, 2])
def test_to_json_is_readable_text_of_the_same_document(indent: int | None) -> None:
    text = Model.model_validate(DOCUMENT).to_json(indent=indent)
    assert json.loads(text) == DOCUMENT
    assert "поле" in text
    assert ("\n" in text) is (indent is not None)


def test_unknown_fields_are_attributes() -> None:
    model = Model.model_validate(DOCUMENT)
    assert model.model_extra == {"новое": {"поле": [1, None, "ё"]}}
    assert getattr(model, "новое") == {"поле": [1, None, "ё"]}  # noqa: B009  # typed code cannot name it


def test_fields_may_begin_with_model_without_a_warning() -> None:
    assert Item(model_name="x").model_name == "x"


def test_an_object_built_by_hand_came_from_nowhere() -> None:
    model = Model(id="GigaChat")
    assert model.response is None
    assert model.request_id is None
    assert copy.copy(model).response is None
    assert pickle.loads(pickle.dumps(model)).response is None


def test_an_answer_without_a_request_id_says_none() -> None:
    assert attach(Model(id="m"), ResponseInfo(200, Headers())).request_id is None


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        lambda model: model.model_copy(),
        lambda model: model.model_copy(deep=True),
        *(
            lambda model, protocol=protocol: pickle.loads(pickle.dumps(model, protocol))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        attach(Model.model_validate(DOCUMENT), INFO),
        attach(ModelList.model_validate({"data": [DOCUMENT], "object": "list", "next": "x"}), INFO),
    ],
    ids=["model", "page"],
)
def test_copies_keep_fields_and_response(model: Any, copied: Any) -> None:
    twin = copied(model)
    assert twin is not model
    assert type(twin) is type(model)
    assert twin == model
    assert twin.to_dict() == model.to_dict()
    assert twin.response == INFO
    assert twin.request_id == "abc"


def test_a_deep_copy_shares_nothing_that_can_change() -> None:
    model = attach(Model.model_validate(DOCUMENT), INFO)
    twin = copy.deepcopy(model)
    assert twin.model_extra is not None
    twin.model_extra["новое"]["поле"].clear()
    assert model.to_dict() == DOCUMENT


def test_the_response_is_no_field() -> None:
    model = attach(Model(id="m"), INFO)
    assert model == Model(id="m")
    assert "response" not in repr(model)
    assert model.to_dict() == {"id": "m"}


def page(*ids: str) -> ModelList:
    return ModelList.model_validate({"object": "list", "data": [{"id": name} for name in ids]})


def test_a_page_is_iterated_indexed_and_counted_like_its_items() -> None:
    models = page("a", "b", "c")
    assert [model.id for model in models] == ["a", "b", "c"]
    assert list(models) == models.data
    assert len(models) == 3
    assert models[0].id == "a"
    assert models[-1].id == "c"
    assert models.data[1] in models
    assert Model(id="d") not in models
    assert [model.id for model in reversed(models.data)] == ["c", "b", "a"]
    with pytest.raises(IndexError):
        models[3]


def test_an_empty_page_is_a_page() -> None:
    models = page()
    assert list(models) == []
    assert len(models) == 0
    assert models  # an answer came; `if page:` does not ask for its length


def test_a_page_keeps_fields_beside_its_data() -> None:
    document = {"object": "list", "data": [{"id": "a", "new": 1}], "has_more": True}
    assert ModelList.model_validate(document).to_dict() == document
    assert Page[int].model_validate({"data": [1, 2]}).object == "list"


@pytest.mark.parametrize(
    ("document", "value", "expires_at"),
    [
        ({"access_token": "t", "expires_at": 4102444800000}, "t", 4102444800000),
        ({"tok": "t", "exp": 4102444800}, "t", 4102444800),
        ({"access_token": "t"}, "t", None),
        ({"access_token": "t", "expires_at": None}, "t", None),
        ({"access_token": "t", "expires_at": 1706026848841.5, "token_type": "Bearer"}, "t", 1706026848841.5),
    ],
)
def test_both_token_endpoints_are_read_into_one_shape(
    document: dict[str, Any], value: str, expires_at: float | None
) -> None:
    answer = TokenAnswer.model_validate_json(json.dumps(document))
    assert (answer.access_token, answer.expires_at) == (value, expires_at)


@pytest.mark.parametrize("document", [{}, {"access_token": ""}, {"access_token": None}, {"access_token": 5}, []])
def test_an_answer_without_a_token_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="TokenAnswer"):
        TokenAnswer.model_validate_json(json.dumps(document))


def test_the_repr_of_a_token_answer_holds_nothing() -> None:
    answer = TokenAnswer.model_validate({"access_token": "s3cr3t", "expires_at": 1, "refresh_token": "s3cr3t"})
    assert repr(answer) == "TokenAnswer()"
    assert "s3cr3t" not in str(answer)


def test_every_answer_is_lenient_about_new_fields() -> None:
    kinds = [BaseModel]
    for kind in kinds:
        kinds.extend(child for child in kind.__subclasses__() if child.__module__.startswith("gigachat_sdk."))
    assert ResponseModel in kinds
    assert {kind.__name__ for kind in kinds if kind.model_config.get("extra") != "allow"} == set()
