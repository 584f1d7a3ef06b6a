"""`types/assistants.py`: assistants made, changed and read."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import Assistant, AssistantCreated, AssistantDeleted, AssistantFileDeleted, AssistantList
from gigachat_sdk.types._base import RequestModel
from gigachat_sdk.types.assistants import (
    AssistantCreateRequest,
    AssistantFileDeleteRequest,
    AssistantRequest,
    AssistantsQuery,
    AssistantUpdateRequest,
)

NEW: dict[str, Any] = {"model": "GigaChat", "name": "Лектор"}


def test_everything_about_a_new_assistant_is_sent_and_none_is_not() -> None:
    given = {
        **NEW,
        "description": "",
        "instructions": "Отвечай как лектор.",
        "file_ids": iter(["1", "2"]),
        "functions": ({"name": name} for name in "fg"),
        "metadata": MappingProxyType({"a": 234, "b": None}),
    }
    assert validated(AssistantCreateRequest, given).to_payload() == {
        **NEW,
        "description": "",
        "instructions": "Отвечай как лектор.",
        "file_ids": ["1", "2"],
        "functions": [{"name": "f"}, {"name": "g"}],
        "metadata": {"a": 234, "b": None},
    }
    nothing = dict.fromkeys(("description", "instructions", "file_ids", "functions", "metadata"))
    assert validated(AssistantCreateRequest, {**NEW, **nothing}).to_payload() == NEW


def test_a_change_can_empty_a_field() -> None:
    changes: dict[str, Any] = {"assistant_id": "1", "instructions": "", "file_ids": [], "functions": [], "metadata": {}}
    assert validated(AssistantUpdateRequest, {**changes, "name": None}).to_payload() == changes


@pytest.mark.parametrize("model", [AssistantCreateRequest, AssistantUpdateRequest])
@pytest.mark.parametrize(
    ("fields", "message", "is_kind"),
    [
        ({"name": ""}, "name: the value is empty", False),
        ({"name": 5}, "name: expected a string, got 5", True),
        ({"file_ids": "1"}, "file_ids: expected a list, got '1'", True),
        ({"file_ids": [1]}, "file_ids[0]: expected a string, got 1", True),
        ({"functions": {"name": "f"}}, "functions: expected a list, got dict", True),
        ({"functions": [{}]}, "functions[0].name: it is missing", True),
        ({"metadata": ["a"]}, "metadata: expected a dictionary, got list", True),
        ({"metadata": {1: 2}}, "metadata: expected strings as keys, got 1", False),
        ({"description": 5}, "description: expected a string, got 5", True),
    ],
)
def test_what_makes_no_assistant_is_refused(
    model: type[RequestModel], fields: dict[str, Any], message: str, is_kind: bool
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(model, {**NEW, "assistant_id": "1", **fields})
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind


def test_an_assistant_keeps_sixteen_pairs() -> None:
    pairs = {str(number): number for number in range(17)}
    with pytest.raises(InvalidRequestError) as caught:
        validated(AssistantCreateRequest, {**NEW, "metadata": pairs})
    assert str(caught.value) == "metadata: the service keeps 16 pairs at most, got 17"
    del pairs["16"]
    assert validated(AssistantCreateRequest, {**NEW, "metadata": pairs}).to_payload()["metadata"] == pairs


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        (AssistantCreateRequest, {"model": ""}, "model: the value is empty"),
        (AssistantUpdateRequest, {"assistant_id": ""}, "assistant_id: the value is empty"),
        (AssistantRequest, {"assistant_id": ""}, "assistant_id: the value is empty"),
        (AssistantRequest, {"assistant_id": None}, "assistant_id: expected a string, got None"),
        (AssistantsQuery, {"assistant_id": ""}, "assistant_id: the value is empty"),
        (AssistantsQuery, {"assistant_id": 5}, "assistant_id: expected a string, got 5"),
        (AssistantFileDeleteRequest, {"assistant_id": "1", "file_id": ""}, "file_id: the value is empty"),
        (AssistantFileDeleteRequest, {"assistant_id": "", "file_id": "1"}, "assistant_id: the value is empty"),
    ],
)
def test_ids_are_strings_that_are_not_empty(model: type[RequestModel], fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(model, {**NEW, **fields} if model is AssistantCreateRequest else fields)
    assert str(caught.value) == message


def test_the_callers_objects_are_never_changed() -> None:
    metadata, file_ids = {"a": {"b": 1}}, ["1"]
    sent = validated(AssistantCreateRequest, {**NEW, "metadata": metadata, "file_ids": file_ids}).to_payload()
    sent["metadata"]["c"] = sent["file_ids"].append("2")
    assert (metadata, file_ids) == ({"a": {"b": 1}}, ["1"])


@pytest.mark.parametrize(
    "document",
    [
        {"assistant_id": "1", "model": "GigaChat"},
        {
            "assistant_id": "1",
            "model": "GigaChat",
            "name": None,
            "files": [{"file_id": "2", "name": "a.txt", "new": 1}],
            "functions": [{"name": "f", "parameters": {"type": "object"}}],
            "metadata": {"test": 234},
            "threads_count": 3,
            "updated_at": 1715684019,
        },
    ],
)
def test_an_assistant_is_read_with_as_much_as_comes(document: dict[str, Any]) -> None:
    page = AssistantList.model_validate({"data": [document]})
    assert page.to_dict() == {"data": [document]}
    assistant = page[0]
    assert isinstance(assistant, Assistant)
    assert (assistant.assistant_id, assistant.threads_count) == ("1", document.get("threads_count"))
    assert [file.file_id for file in assistant.files or ()] == [file["file_id"] for file in document.get("files", ())]
    assert [function.name for function in assistant.functions or ()] == ["f"] * len(document.get("functions", ()))


def test_short_answers() -> None:
    assert AssistantCreated.model_validate({"assistant_id": "1"}).created_at == 0
    assert AssistantDeleted.model_validate({"assistant_id": "1", "deleted": True}).deleted is True
    assert AssistantDeleted.model_validate({}).deleted is False
    assert AssistantFileDeleted.model_validate({"file_id": "2", "deleted": True}).file_id == "2"
