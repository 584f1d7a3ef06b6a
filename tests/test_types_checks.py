"""`types/checks.py`: texts and dialogues that are checked."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest

from gigachat_sdk import ChatCompletionMessage, InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import AICheckResult, FilterCheckResult, FunctionDefinition
from gigachat_sdk.types.checks import AICheckRequest, FilterCheckRequest

USER = [{"role": "user", "content": "Привет"}]


@pytest.mark.parametrize(
    ("fields", "message", "is_kind"),
    [
        ({"input": ""}, "input: the value is empty", False),
        ({"input": None}, "input: expected a string, got None", True),
        ({"input": ["a"]}, "input: expected a string, got list", True),
        ({"input": "a", "model": ""}, "model: the value is empty", False),
    ],
)
def test_what_cannot_be_checked_is_refused(fields: dict[str, Any], message: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        validated(AICheckRequest, {"model": "GigaCheckDetection", **fields})
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize("intervals", [{"ai_intervals": [[1, 262], [415, 533]]}, {"ai_intervals": None}, {}])
def test_a_verdict_on_a_text(intervals: dict[str, Any]) -> None:
    document = {"category": "mixed", "characters": 533, "tokens": 224, **intervals}
    verdict = AICheckResult.model_validate(document)
    assert (verdict.category, verdict.characters, verdict.tokens) == ("mixed", 533, 224)
    assert verdict.ai_intervals == intervals.get("ai_intervals")
    assert verdict.to_dict() == document


def filtered(**fields: Any) -> dict[str, Any]:
    return validated(FilterCheckRequest, {"model": "GigaFilter", "messages": USER, **fields}).to_payload()


def test_a_dialogue_to_filter_is_sent_as_in_chat() -> None:
    answer = ChatCompletionMessage(content="да")
    sent = filtered(
        messages=iter([*USER, answer]),
        settings=MappingProxyType({"neuro": True, "blacklist": False, "future": 1}),
        functions=({"name": name} for name in ("text2image", "f.1-a_B")),
    )
    assert sent == {
        "messages": [*USER, {"role": "assistant", "content": "да"}],
        "model": "GigaFilter",
        "settings": {"neuro": True, "blacklist": False, "future": 1},
        "functions": [{"name": "text2image"}, {"name": "f.1-a_B"}],
    }
    assert filtered(settings=None, functions=None) == {"messages": USER, "model": "GigaFilter"}


@pytest.mark.parametrize(
    ("fields", "message", "is_kind"),
    [
        ({"messages": []}, "messages: expected at least one item, got none", False),
        ({"messages": "Привет"}, "messages: expected a list, got 'Привет'", True),
        ({"settings": {"neuro": 1}}, "settings.neuro: expected a boolean, got 1", True),
        ({"settings": "neuro"}, "settings: expected a dictionary, got 'neuro'", True),
        ({"functions": "f"}, "functions: expected a list, got 'f'", True),
        ({"functions": ["f"]}, "functions[0]: expected a dictionary, got 'f'", True),
    ],
)
def test_what_cannot_be_filtered_is_refused(fields: dict[str, Any], message: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        filtered(**fields)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError) is is_kind


@pytest.mark.parametrize("name", ["1st", "", "погода", "a b", "a\n", "\ud800"])
@pytest.mark.parametrize("kind", [lambda name: {"name": name}, lambda name: FunctionDefinition(name=name)])
def test_a_function_has_a_name_that_the_service_takes(name: str, kind: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        filtered(functions=[{"name": "fine"}, kind(name)])
    assert str(caught.value) == (
        f"functions[1]: the service takes no function named {name!r}: Latin letters, digits, '_', '-' and '.', "
        "no digit first"
    )
    assert not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "document", [{"is_profane": True, "usage": {"filter_tokens": 12, "new": 1}}, {"is_profane": False}, {}]
)
def test_a_verdict_on_a_dialogue(document: dict[str, Any]) -> None:
    verdict = FilterCheckResult.model_validate(document)
    assert verdict.is_profane is document.get("is_profane")
    assert (None if verdict.usage is None else verdict.usage.filter_tokens) == document.get("usage", {}).get(
        "filter_tokens"
    )
    assert verdict.to_dict() == document
