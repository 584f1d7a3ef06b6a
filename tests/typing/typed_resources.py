"""Types of the smaller endpoints on both clients, checked by mypy and pyright and never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from gigachat_sdk import (
    AICheckResult,
    Assistant,
    AsyncClient,
    AsyncStream,
    Client,
    EmbeddingList,
    FilterCheckResult,
    FunctionDefinition,
    FunctionValidation,
    Stream,
    StreamInterruptedError,
    Thread,
    ThreadCompletion,
    ThreadCompletionChunk,
    ThreadRun,
    TokensCount,
)
from gigachat_sdk.types import AssistantCreated, BalanceItem, EmbeddingUsage, ThreadDeleted, ThreadMessage


def texts(client: Client) -> None:
    page = client.embeddings.create(input=(text for text in ("a", "b")), model="Embeddings-of-tomorrow", timeout=5)
    assert_type(page, EmbeddingList)
    assert_type(page[0].embedding, list[float])
    assert_type(page.usage, EmbeddingUsage | None)
    for count in client.tokens.count(input="a"):
        assert_type(count, TokensCount)
    assert_type(client.tokens.count(input=["a"], model="GigaChat").total_tokens, int)
    assert_type(client.ai.check(input="a", model="GigaCheckDetection"), AICheckResult)
    assert_type(client.ai.check(input="a").ai_intervals, list[list[int]] | None)


def dialogues(client: Client) -> None:
    answer = client.chat.completions.create(messages=[]).choices[0].message
    verdict = client.filter.check(messages=[{"role": "user", "content": "a"}, answer], settings={"neuro": True})
    assert_type(verdict, FilterCheckResult)
    assert_type(verdict.is_profane, bool | None)


def functions(client: Client) -> None:
    found = client.functions.convert(openapi="openapi: 3.0.0")
    assert_type(found[0], FunctionDefinition)
    client.chat.completions.create(messages=[], functions=found)
    client.chat.completions.create(messages=[], functions=[found[0], {"name": "text2image"}])
    client.threads.messages.run(messages=[], functions=found)
    assert_type(client.functions.validate(function=found[0]), FunctionValidation)
    client.functions.validate(function={"name": "f"})
    anything: dict[str, Any] = {}
    client.functions.validate(function=anything)


def balance(client: Client) -> None:
    for item in client.balance.retrieve():
        assert_type(item, BalanceItem)
        assert_type(item.value, int | float)


def assistants(client: Client) -> None:
    assert_type(client.assistants.create(name="a", file_ids=("1",), metadata={"a": 1}), AssistantCreated)
    assert_type(client.assistants.update("1", functions=[{"name": "f"}]), Assistant)
    assert_type(list(client.assistants.list()), list[Assistant])
    assert_type(client.assistants.delete_file("1", assistant_id="2").deleted, bool)


def threads(client: Client, stream: bool) -> None:
    assert_type(client.threads.create(), Thread)
    assert_type(client.threads.retrieve("1").id, str)
    assert_type(client.threads.retrieve_many(["1"])[0], Thread)
    assert_type(client.threads.delete("1"), ThreadDeleted)
    assert_type(client.threads.messages.list("1")[0], ThreadMessage)
    assert_type(client.threads.runs.create("1"), ThreadRun)
    assert_type(client.threads.runs.create("1", stream=True), Stream[ThreadCompletionChunk])
    assert_type(client.threads.runs.create("1", stream=stream), ThreadRun | Stream[ThreadCompletionChunk])
    assert_type(client.threads.runs.retrieve("1").messages, list[ThreadMessage] | None)
    answer = client.threads.messages.run(messages=[{"role": "user", "content": "a"}], temperature=0.5, limit=3)
    assert_type(answer, ThreadCompletion)
    client.threads.messages.run(messages=[answer.message], stream=False, thread_id=answer.thread_id)
    for chunk in client.threads.messages.run(messages=[], stream=True):
        assert_type(chunk, ThreadCompletionChunk)
    assert_type(client.threads.messages.rerun("1"), ThreadCompletion)
    assert_type(client.threads.messages.rerun("1", stream=stream), ThreadCompletion | Stream[ThreadCompletionChunk])


async def awaited(client: AsyncClient) -> None:
    assert_type(await client.embeddings.create(input="a"), EmbeddingList)
    assert_type((await client.threads.retrieve("1")).id, str)
    assert_type(await client.threads.messages.run(messages=[]), ThreadCompletion)
    stream = await client.threads.messages.run(messages=[], stream=True)
    assert_type(stream, AsyncStream[ThreadCompletionChunk])
    assert_type(await client.threads.runs.create("1", stream=True), AsyncStream[ThreadCompletionChunk])


def cut_streams(error: StreamInterruptedError[ThreadCompletion]) -> None:
    assert_type(error.partial, ThreadCompletion | None)
