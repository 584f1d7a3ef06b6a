"""Types of `client.v2`, of `stream(...)` and of `parse(...)`, checked by mypy and pyright and never run."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from typing_extensions import assert_type

from gigachat_sdk import (
    AsyncClient,
    AsyncCompletionStream,
    AsyncStream,
    ChatCompletion,
    ChatCompletionChunk,
    Client,
    CompletionStream,
    ContentFilterError,
    LengthFinishReasonError,
    Stream,
    StreamInterruptedError,
)
from gigachat_sdk.types import GeneratedFile, ParsedChatCompletion, ParsedChoice, ResponseInfo, v2


class City(pydantic.BaseModel):
    """What is asked for."""

    name: str


def whole_answers(client: Client) -> None:
    completion = client.v2.chat.completions.create(messages=[{"role": "user", "content": "Привет"}])
    assert_type(completion, v2.ChatCompletion)
    assert_type(client.v2.chat.completions.create(messages=[], stream=False), v2.ChatCompletion)
    assert_type(client.v2.chat.completions.create(messages=[], stream=None), v2.ChatCompletion)
    assert_type(completion.text, str)
    assert_type(completion.reasoning, str)
    assert_type(completion.function_calls, list[v2.FunctionCall])
    assert_type(completion.files, list[GeneratedFile])
    assert_type(completion.images(), list[GeneratedFile])
    assert_type(completion.finish_reason, str | None)
    assert_type(completion.usage, v2.Usage | None)
    assert_type(completion.messages, list[v2.ResponseMessage])
    assert_type(completion.messages[0].content, list[v2.ContentPart])
    assert_type(completion.messages[0].content[0].text, str | None)
    assert_type(completion.messages[0].state_id, str | None)
    assert_type(completion.request_id, str | None)


def streamed_answers(client: Client, maybe: bool | None) -> None:
    stream = client.v2.chat.completions.create(messages=[], stream=True)
    assert_type(stream, Stream[v2.ChatCompletionChunk])
    for chunk in stream:
        assert_type(chunk, v2.ChatCompletionChunk)
        assert_type(chunk.event, str)
        assert_type(chunk.text, str)
        assert_type(chunk.tool_execution, v2.ToolExecution | None)
    either = client.v2.chat.completions.create(messages=[], stream=maybe)
    assert_type(either, v2.ChatCompletion | Stream[v2.ChatCompletionChunk])


async def awaited(client: AsyncClient) -> None:
    assert_type(await client.v2.chat.completions.create(messages=[]), v2.ChatCompletion)
    stream = await client.v2.chat.completions.create(messages=[], stream=True)
    assert_type(stream, AsyncStream[v2.ChatCompletionChunk])
    async with client.v2.chat.completions.stream(messages=[]) as helper:
        assert_type(helper, AsyncCompletionStream[v2.ChatCompletionChunk, v2.ChatCompletion])
        async for event in helper:
            assert_type(event, v2.ChatCompletionChunk)
        async for text in helper.text_stream:
            assert_type(text, str)
        assert_type(await helper.get_final_completion(), v2.ChatCompletion)
        assert_type(await helper.get_final_text(), str)
    parsed = await client.v2.chat.completions.parse(messages=[], response_format=City)
    assert_type(parsed, v2.ParsedChatCompletion[City])
    assert_type(parsed.parsed, City | None)
    of_v1 = await client.chat.completions.parse(messages=[], response_format=City)
    assert_type(of_v1.choices[0].message.parsed, City | None)
    async with client.chat.completions.stream(messages=[]) as older:
        assert_type(await older.get_final_completion(), ChatCompletion)
    await helper.aclose()


def helpers(client: Client) -> None:
    with client.chat.completions.stream(messages=[], temperature=1) as stream:
        assert_type(stream, CompletionStream[ChatCompletionChunk, ChatCompletion])
        for event in stream:
            assert_type(event, ChatCompletionChunk)
        for text in stream.text_stream:
            assert_type(text, str)
        assert_type(stream.snapshot, ChatCompletion | None)
        assert_type(stream.response, ResponseInfo)
        assert_type(stream.get_final_completion(), ChatCompletion)
        assert_type(stream.get_final_text(), str)
        stream.close()
    with client.v2.chat.completions.stream(messages=[]) as newer:
        assert_type(newer.snapshot, v2.ChatCompletion | None)
        assert_type(newer.get_final_completion(), v2.ChatCompletion)


def parsed_unions(client: Client) -> None:
    completion = client.chat.completions.parse(messages=[], response_format=City | str)
    assert_type(completion.choices[0].message.parsed, City | str | None)
    newer = client.v2.chat.completions.parse(messages=[], response_format=Literal["да", "нет"])
    assert_type(newer.parsed, Literal["да", "нет"] | None)


async def parsed_unions_of_an_async_client(client: AsyncClient) -> None:
    completion = await client.chat.completions.parse(messages=[], response_format=list[City] | None)
    assert_type(completion.choices[0].message.parsed, list[City] | None)
    newer = await client.v2.chat.completions.parse(messages=[], response_format=int | None)
    assert_type(newer.parsed, int | None)


def parsed_answers(client: Client) -> None:
    completion = client.chat.completions.parse(messages=[], response_format=City, temperature=1)
    assert_type(completion, ParsedChatCompletion[City])
    assert_type(completion.choices, list[ParsedChoice[City]])
    assert_type(completion.choices[0].message.parsed, City | None)
    assert_type(completion.choices[0].message.content, str | None)
    newer = client.v2.chat.completions.parse(messages=[], response_format=City, model_options={"temperature": 1})
    assert_type(newer, v2.ParsedChatCompletion[City])
    assert_type(newer.parsed, City | None)
    assert_type(newer.text, str)
    whole: ChatCompletion = completion
    also_whole: v2.ChatCompletion = newer
    client.chat.completions.create(messages=[whole.choices[0].message, completion.choices[0].message])
    client.v2.chat.completions.create(messages=also_whole.messages)


def dialogues(client: Client) -> None:
    answer = client.v2.chat.completions.create(messages=[{"role": "user", "content": ["a", {"files": [{"id": "1"}]}]}])
    history: list[v2.MessageParam | v2.ResponseMessage] = [{"role": "system", "content": "x"}]
    history.append({"role": "user", "content": [{"text": "x"}, v2.ContentPart(text="y")]})
    history.extend(answer.messages)
    history.append(
        {
            "role": "assistant",
            "content": [{"function_call": {"name": "f", "arguments": {"a": 1}}}],
            "tools_state_id": answer.messages[0].state_id,
        }
    )
    history.append(
        {
            "role": "tool",
            "content": [
                {"function_result": {"name": call.name, "id": call.id, "result": {"a": 1}}}
                for call in answer.function_calls
            ],
        }
    )
    client.v2.chat.completions.create(messages=history)
    client.v2.chat.completions.create(messages=[*history, *answer.messages])
    client.v2.chat.completions.create(messages=({"role": "user", "content": x} for x in "ab"))


def every_keyword(client: Client) -> None:
    client.v2.chat.completions.create(
        model="GigaChat-of-tomorrow",
        messages=[{"role": "user", "content": "x"}],
        model_options={
            "temperature": 0.5,
            "top_p": 1,
            "max_tokens": None,
            "reasoning": {"effort": "high", "max_tokens": 100},
            "response_format": {"type": "json_schema", "schema": {"type": "object"}, "strict": True},
            "parallel_tool_calls": True,
            "top_logprobs": 3,
        },
        tools=[
            "web_search",
            "tool_of_tomorrow",
            {"web_search": {"type": "safe_search"}},
            {"image_generate": {}},
            {"name": "f", "parameters": {"type": "object"}},
            {"functions": {"specifications": [{"name": "g"}]}},
        ],
        tool_config={"mode": "forced", "function_name": "f"},
        storage=True,
        user_info={"timezone": "Europe/Moscow"},
        ranker_options={"enabled": True, "top_n": 3},
        disable_filter=False,
        filter_config={"request_content": {"neuro": False}, "response_content": {"blacklist": False}},
        flags=["a"],
        tools_state_id=None,
        assistant_id=None,
        memory_id=None,
        extra_headers={"X-A": "1"},
        extra_body={"new": 1},
        timeout=None,
        session_id="dialogue",
    )
    client.v2.chat.completions.create(messages=[], storage={"thread_id": "t"}, tools=None, tool_config={"mode": "auto"})


def errors(cut: StreamInterruptedError[v2.ChatCompletion], length: LengthFinishReasonError) -> None:
    assert_type(cut.partial, v2.ChatCompletion | None)
    assert_type(length.completion, ChatCompletion)


def errors_of_v2(withheld: ContentFilterError[v2.ChatCompletion], anything: dict[str, Any]) -> None:
    assert_type(withheld.completion, v2.ChatCompletion)
    assert_type(v2.ChatCompletion.model_validate(anything).text, str)
