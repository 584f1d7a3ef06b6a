"""Types of `gigachat_sdk.bulk`, checked by mypy and pyright and never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from gigachat_sdk import AsyncClient, ChatCompletion, Client, bulk, types
from gigachat_sdk.bulk import AsyncBulkRun, BulkProgress, BulkResult, BulkRun


def source_of_dicts() -> Iterator[dict[str, Any]]:
    yield {}


def source_of_requests() -> Iterator[bulk.BulkRequest]:
    yield {"messages": []}
    yield {"id": 1, "request": {"messages": []}}


def threads(client: Client, name: str) -> None:
    assert_type(bulk.map(client, [{"messages": []}]), BulkRun[ChatCompletion])
    assert_type(bulk.map(client, [], endpoint="chat.completions.create"), BulkRun[ChatCompletion])
    assert_type(bulk.map(client, [], endpoint="v2.chat.completions.create"), BulkRun[types.v2.ChatCompletion])
    assert_type(bulk.map(client, [], endpoint="embeddings.create"), BulkRun[types.EmbeddingList])
    assert_type(bulk.map(client, [], endpoint="tokens.count"), BulkRun[types.TokensCountList])
    assert_type(bulk.map(client, [], endpoint="ai.check"), BulkRun[types.AICheckResult])
    assert_type(bulk.map(client, [], endpoint="filter.check"), BulkRun[types.FilterCheckResult])
    assert_type(bulk.map(client, [], endpoint=name), BulkRun[Any])
    assert_type(bulk.map(client, source_of_requests()), BulkRun[ChatCompletion])
    with bulk.map(
        client, source_of_dicts(), Path("out.jsonl"), False, 5, True, max_retries=9, retry_errors=True
    ) as run:
        assert_type(run, BulkRun[ChatCompletion])
        for result in run:
            assert_type(result, BulkResult[ChatCompletion])
            assert_type(result.index, int)
            assert_type(result.id, str | int | None)
            assert_type(result.request, Mapping[str, Any])
            assert_type(result.response, ChatCompletion | None)
            assert_type(result.error, Exception | None)
            assert_type(result.unwrap(), ChatCompletion)
            assert_type(result.from_journal, bool)
        assert_type(run.progress, BulkProgress)
        assert_type(run.progress.total, int | None)


def told(progress: BulkProgress) -> None:
    assert_type(progress.done, int)


async def source() -> AsyncIterator[dict[str, Any]]:
    yield {}


async def tasks(client: AsyncClient, name: str) -> None:
    assert_type(bulk.amap(client, source()), AsyncBulkRun[ChatCompletion])
    assert_type(bulk.amap(client, [{"messages": []}], endpoint="embeddings.create"), AsyncBulkRun[types.EmbeddingList])
    assert_type(bulk.amap(client, [], endpoint="v2.chat.completions.create"), AsyncBulkRun[types.v2.ChatCompletion])
    assert_type(bulk.amap(client, [], endpoint="tokens.count"), AsyncBulkRun[types.TokensCountList])
    assert_type(bulk.amap(client, [], endpoint="ai.check"), AsyncBulkRun[types.AICheckResult])
    assert_type(bulk.amap(client, [], endpoint="filter.check"), AsyncBulkRun[types.FilterCheckResult])
    assert_type(bulk.amap(client, [], endpoint=name), AsyncBulkRun[Any])
    async with bulk.amap(client, source(), progress=told) as run:
        assert_type(run, AsyncBulkRun[ChatCompletion])
        async for result in run:
            assert_type(result, BulkResult[ChatCompletion])
            assert_type(result.unwrap(), ChatCompletion)
