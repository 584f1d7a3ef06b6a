"""Types of `client.chat.completions.create(...)` on both clients, checked by mypy and pyright and never run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from typing_extensions import assert_type

from gigachat_sdk import (
    AsyncClient,
    AsyncStream,
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    Client,
    Stream,
    StreamInterruptedError,
)
from gigachat_sdk.types import Choice, FewShotExample, FunctionCall, MessageParam, ResponseInfo, Usage


def whole_answers(client: Client) -> None:
    completion = client.chat.completions.create(messages=[{"role": "user", "content": "Привет"}])
    assert_type(completion, ChatCompletion)
    assert_type(client.chat.completions.create(messages=[], stream=False), ChatCompletion)
    assert_type(client.chat.completions.create(messages=[], stream=None), ChatCompletion)
    assert_type(completion.choices, list[Choice])
    assert_type(completion.choices[0].message, ChatCompletionMessage)
    assert_type(completion.choices[0].message.content, str | None)
    assert_type(completion.choices[0].message.function_call, FunctionCall | None)
    assert_type(completion.choices[0].finish_reason, str | None)
    assert_type(completion.usage, Usage | None)
    assert_type(completion.request_id, str | None)
    assert_type(completion.response, ResponseInfo | None)
    assert_type(completion.to_dict(), dict[str, Any])
    assert_type(completion.to_json(), str)
    if completion.response is not None:
        assert_type(completion.response.status_code, int)
        assert_type(completion.response.elapsed, float)
        assert_type(completion.response.retries_taken, int)
        assert_type(completion.response.headers["x-request-id"], str)
    if (call := completion.choices[0].message.function_call) is not None:
        assert_type(call.arguments, dict[str, Any])


def streamed_answers(client: Client) -> None:
    stream = client.chat.completions.create(messages=[], stream=True)
    assert_type(stream, Stream[ChatCompletionChunk])
    for chunk in stream:
        assert_type(chunk, ChatCompletionChunk)
        assert_type(chunk.choices[0].delta.content, str | None)
        assert_type(chunk.usage, Usage | None)
    assert_type(next(iter(stream)), ChatCompletionChunk)
    assert_type(stream.response, ResponseInfo)
    with stream as entered:
        assert_type(entered, Stream[ChatCompletionChunk])
    stream.close()


def either(client: Client, stream: bool, maybe: bool | None) -> None:
    assert_type(
        client.chat.completions.create(messages=[], stream=stream), ChatCompletion | Stream[ChatCompletionChunk]
    )
    assert_type(client.chat.completions.create(messages=[], stream=maybe), ChatCompletion | Stream[ChatCompletionChunk])


async def whole_answers_awaited(client: AsyncClient) -> None:
    completion = await client.chat.completions.create(messages=[{"role": "user", "content": "Привет"}])
    assert_type(completion, ChatCompletion)
    assert_type(await client.chat.completions.create(messages=[], stream=False), ChatCompletion)
    assert_type(completion.choices[0].message, ChatCompletionMessage)


async def streamed_answers_awaited(client: AsyncClient) -> None:
    stream = await client.chat.completions.create(messages=[], stream=True)
    assert_type(stream, AsyncStream[ChatCompletionChunk])
    async for chunk in stream:
        assert_type(chunk, ChatCompletionChunk)
    async with stream as entered:
        assert_type(entered, AsyncStream[ChatCompletionChunk])
    await stream.aclose()


async def either_awaited(client: AsyncClient, stream: bool) -> None:
    assert_type(
        await client.chat.completions.create(messages=[], stream=stream),
        ChatCompletion | AsyncStream[ChatCompletionChunk],
    )


def dialogues(client: Client) -> None:
    completion = client.chat.completions.create(messages=({"role": "user", "content": x} for x in ("a", "b")))
    answer = completion.choices[0].message
    client.chat.completions.create(messages=[{"role": "user", "content": "x"}, answer])
    client.chat.completions.create(messages=(answer,))
    history: list[MessageParam | ChatCompletionMessage] = [{"role": "system", "content": "x"}]
    history.append({"role": "user", "content": "x", "attachments": ["id"]})
    history.append(answer)
    history.append({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": {"a": 1}}})
    history.append({"role": "function", "name": "f", "content": {"weather": "ясно"}})
    client.chat.completions.create(messages=history)
    client.chat.completions.create(messages=[*history, answer])
    plain: list[MessageParam] = [{"role": "user", "content": "x"}]
    client.chat.completions.create(messages=plain)


def every_keyword(client: Client) -> None:
    completion = client.chat.completions.create(
        model="GigaChat-of-tomorrow",
        messages=[{"role": "user", "content": "x"}],
        temperature=0.5,
        top_p=1,
        max_tokens=10,
        repetition_penalty=1.0,
        update_interval=0.1,
        profanity_check=False,
        functions=[{"name": "f", "parameters": {"type": "object"}}, {"name": "text2image"}],
        function_call={"name": "f"},
        response_format={"type": "json_schema", "schema": {"type": "object"}, "strict": True},
        reasoning_effort="high",
        storage={"is_stateful": True},
        flags=["preprocess"],
        extra_headers={"X-A": "1", "X-B": None},
        extra_query={"a": ["1", "b"], "c": True},
        extra_body={"new": {"a": 1}},
        timeout=None,
        max_retries=0,
        retry_statuses={500},
        retry_lost=False,
    )
    assert_type(completion, ChatCompletion)
    client.chat.completions.create(messages=[], model=None, function_call="auto", response_format={"type": "text"})
    client.chat.completions.create(messages=[], response_format={"type": "regex", "regex": "[a-z]"})


def cut_streams(error: StreamInterruptedError[ChatCompletion]) -> None:
    assert_type(error.text, str)
    assert_type(error.partial, ChatCompletion | None)


class Weather(BaseModel):
    """A model of the user's, which stands where his data stand."""

    city: str


def models_for_dicts(client: Client, weather: Weather, schema: BaseModel, example: FewShotExample) -> None:
    said: list[MessageParam] = [
        {"role": "assistant", "function_call": {"name": "f", "arguments": weather}},
        {"role": "function", "content": weather},
    ]
    client.chat.completions.create(
        messages=said,
        functions=[
            {
                "name": "f",
                "parameters": schema,
                "return_parameters": schema,
                "few_shot_examples": [{"request": "?", "params": weather}, example],
            }
        ],
        function_call={"name": "f", "partial_arguments": weather},
        response_format={"type": "json_schema", "schema": schema},
        storage={"is_stateful": True, "metadata": weather},
        additional_data=weather,
    )
    client.v2.chat.completions.create(
        messages=[{"role": "tool", "content": [{"function_result": {"name": "f", "result": weather}}]}],
        tools=[{"image_generate": weather}],
        storage={"metadata": weather},
    )
    client.chat.completions.create(messages=[{"role": "user", "content": weather}])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  # a text is no data
