"""`types/functions.py` and `types/functions_request.py`: functions that the service describes and judges."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest

from gigachat_sdk import ChatCompletionRequest, InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import ConvertedFunctions, FunctionDefinition, FunctionValidation
from gigachat_sdk.types.functions_request import FunctionValidateRequest

WEATHER: dict[str, Any] = {
    "name": "weather",
    "description": "Погода",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "few_shot_examples": [{"request": "Погода в Туле", "params": {"city": "Тула"}, "new": 1}],
    "return_parameters": {"type": "object", "properties": {}},
    "новое": [1],
}
USER = [{"role": "user", "content": "Привет"}]


def test_converted_functions_are_iterated_indexed_and_counted() -> None:
    document = {"functions": [WEATHER, {"name": "f"}], "new": True}
    found = ConvertedFunctions.model_validate(document)
    assert [function.name for function in found] == ["weather", "f"]
    assert (len(found), found[0].parameters, found.functions[1].description) == (2, WEATHER["parameters"], None)
    assert found[0].few_shot_examples is not None
    assert found[0].few_shot_examples[0].params == {"city": "Тула"}
    assert found.to_dict() == document


def test_a_converted_function_can_be_sent_as_it_is() -> None:
    found = ConvertedFunctions.model_validate({"functions": [WEATHER, {"name": "f", "description": None}]})
    for functions in (found, found.functions, [found[0], {"name": "f"}]):
        request = validated(ChatCompletionRequest, {"messages": USER, "functions": functions})
        assert request.to_payload()["functions"] == [WEATHER, {"name": "f"}]


@pytest.mark.parametrize(
    "function",
    [
        WEATHER,
        UserDict(WEATHER),
        FunctionDefinition.model_validate(WEATHER),
    ],
)
def test_the_function_to_judge_is_the_whole_body(function: Any) -> None:
    assert validated(FunctionValidateRequest, {"function": function}).to_payload() == WEATHER


@pytest.mark.parametrize("function", [{}, {"name": "1st"}, {"parameters": "?"}])
def test_a_wrong_function_is_sent_for_the_service_to_judge(function: dict[str, Any]) -> None:
    assert validated(FunctionValidateRequest, {"function": function}).to_payload() == function


@pytest.mark.parametrize("function", [None, "weather", [WEATHER], len])
def test_what_describes_no_function_is_refused(function: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"^function: expected a dict, or a function of") as caught:
        validated(FunctionValidateRequest, {"function": function})
    assert isinstance(caught.value, TypeError)


ISSUE = {"description": "name is required", "schema_location": "(root)"}


@pytest.mark.parametrize(
    ("document", "is_valid"),
    [
        ({"status": 200, "message": "Function is valid", "json_ai_rules_version": "1.0.5"}, True),
        ({"status": 200, "message": "Function is valid", "warnings": [ISSUE]}, True),
        ({"status": 200, "message": "Function is valid", "errors": None, "warnings": None}, True),
        ({"status": 200, "message": "Incorrect function syntax", "errors": [ISSUE]}, False),
        ({"status": 200, "message": "Incorrect function syntax"}, False),
        ({"status": 200, "message": "Нет", "errors": [ISSUE]}, False),
    ],
)
def test_a_verdict_says_whether_the_service_takes_the_function(document: dict[str, Any], is_valid: bool) -> None:
    verdict = FunctionValidation.model_validate(document)
    assert verdict.is_valid is is_valid
    assert verdict.to_dict() == document
    for issue in (verdict.errors or []) + (verdict.warnings or []):
        assert (issue.description, issue.schema_location) == ("name is required", "(root)")
