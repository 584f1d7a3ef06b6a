"""`types/chat_request.py`: a None is not given, but inside of the user's own JSON it is data."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._request import validated
from gigachat_sdk.types import ChatCompletion, ChatCompletionRequest


def message(role: str, content: Any = "x", **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content, **more}]}


def call(value: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "function_call": value}]}


def given(**fields: Any) -> dict[str, Any]:
    return {**message("user"), **fields}


def payload(fields: dict[str, Any]) -> dict[str, Any]:
    return validated(ChatCompletionRequest, fields).to_payload()


ANSWER = {
    "role": "assistant",
    "content": "",
    "function_call": {"name": "f", "arguments": {"city": None}},
    "functions_state_id": "state",
    "new": {"a": None},
}
SCHEMA = {"type": "object", "properties": {"a": {"default": None, "enum": ["x", None]}}}


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (
            message("user", attachments=None, name=None, new=None),
            message("user"),
        ),
        (
            message("assistant", "hi", functions_state_id=None, attachments=None, reasoning_content=None),
            message("assistant", "hi"),
        ),
        (message("assistant", None, function_call=None), message("assistant", "")),
        (message("function", {"a": None}, name=None), message("function", '{"a": null}')),
        (
            call({"name": "f", "arguments": {"a": None}, "id": None}),
            call({"name": "f", "arguments": {"a": None}}),
        ),
        (
            call({"name": "f", "arguments": '{"a": [null]}'}),
            call({"name": "f", "arguments": {"a": [None]}}),
        ),
        (
            given(functions=[{"name": "f", "description": None, "parameters": SCHEMA, "few_shot_examples": None}]),
            given(functions=[{"name": "f", "parameters": SCHEMA}]),
        ),
        (
            given(functions=[{"name": "f", "few_shot_examples": [{"request": "r", "params": {"a": None}}]}]),
            given(functions=[{"name": "f", "few_shot_examples": [{"request": "r", "params": {"a": None}}]}]),
        ),
        (
            given(function_call={"name": "f", "partial_arguments": {"a": None}}),
            given(function_call={"name": "f", "partial_arguments": {"a": None}}),
        ),
        (given(function_call={"name": "f", "partial_arguments": None}), given(function_call={"name": "f"})),
        (
            given(response_format={"type": "json_schema", "schema": SCHEMA, "strict": None}),
            given(response_format={"type": "json_schema", "schema": SCHEMA}),
        ),
        (
            given(storage={"is_stateful": True, "thread_id": None, "metadata": {"a": None}}),
            given(storage={"is_stateful": True, "metadata": {"a": None}}),
        ),
        (given(function_ranker={"enabled": True, "top_n": None}), given(function_ranker={"enabled": True})),
        (given(additional_data={"a": None}), given(additional_data={"a": None})),
    ],
)
def test_a_none_is_not_given_and_one_in_the_users_own_json_stays(fields: dict[str, Any], sent: dict[str, Any]) -> None:
    assert payload(fields) == sent


def test_an_answer_dumped_by_pydantic_goes_back_without_its_nones() -> None:
    answer = ChatCompletion.model_validate({"choices": [{"message": ANSWER}]}).choices[0].message
    assert payload({"messages": [answer.model_dump()]})["messages"] == [ANSWER]


def test_a_model_that_is_written_as_no_dict_is_no_message() -> None:
    class Bare(pydantic.BaseModel):
        role: str = "user"

        @pydantic.model_serializer
        def _write(self) -> Any:
            return self.role

    with pytest.raises(InvalidRequestError, match=r"messages\[0\]: expected {'role': 'user'") as caught:
        payload({"messages": [Bare()]})
    assert isinstance(caught.value, TypeError)


def test_a_call_in_a_dict_may_be_a_model_of_the_users() -> None:
    class MyCall(pydantic.BaseModel):
        name: str = "f"
        arguments: dict[str, Any] = {"a": None}
        id: str | None = None

    assert payload(call(MyCall()))["messages"][0]["function_call"] == {"name": "f", "arguments": {"a": None}}
