"""Types of files, downloads and batches on both clients, checked by mypy and pyright and never run."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from typing_extensions import assert_type

from gigachat_sdk import (
    AsyncBinaryResponse,
    AsyncClient,
    Batch,
    BatchList,
    BatchResult,
    BatchResults,
    BatchTimeoutError,
    BinaryResponse,
    ChatCompletion,
    ChatCompletionRequest,
    Client,
    EmbeddingList,
    File,
    FileDeleted,
    FileList,
    GeneratedFile,
)
from gigachat_sdk.types import BatchMethod, BatchResultError, ChatCompletionParams, FileTypes


def uploads(client: Client) -> None:
    assert_type(client.files.create(file="a.pdf"), File)
    client.files.create(file=Path("a.pdf"), purpose="assistant", timeout=5, client_id="me", deadline=60)
    client.files.create(file=("a.pdf", b"x"))
    client.files.create(file=("a.pdf", bytearray(b"x"), None), purpose="purpose-of-tomorrow")
    client.files.create(file=("a.pdf", io.BytesIO(b"x"), "application/pdf"))
    client.files.create(file=(None, Path("a.pdf"), "application/pdf"))
    with Path("a.pdf").open("rb") as file:
        client.files.create(file=file)
    given: FileTypes = memoryview(b"x")
    client.files.create(file=given)
    with Path("a.txt").open() as text:
        client.files.create(file=text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # text mode
    client.files.create(file=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # no file


def files(client: Client, completion: ChatCompletion) -> None:
    assert_type(client.files.list(), FileList)
    for file in client.files.list():
        assert_type(file, File)
        assert_type(file.modalities, list[str] | None)
        assert_type(client.files.retrieve(file), File)
        assert_type(client.files.delete(file.id), FileDeleted)
    for picture in completion.images():
        assert_type(picture, GeneratedFile)
        assert_type(picture.client_id, str | None)
        assert_type(client.files.content(picture), BinaryResponse)


def downloads(content: BinaryResponse) -> None:
    with content as entered:
        assert_type(entered, BinaryResponse)
        assert_type(content.read(), bytes)
        assert_type(content.iter_bytes(1000), Iterator[bytes])
        content.write_to_file(Path("a.jpg"))
    assert_type(content.content_type, str | None)
    assert_type(content.content_length, int | None)
    content.close()


def batches(client: Client, params: ChatCompletionParams, method: BatchMethod) -> None:
    assert_type(client.batches.create(requests=[params]), Batch)
    client.batches.create(requests=[{"id": "a", "request": params}, ChatCompletionRequest(messages=[])])
    client.batches.create(requests=({"input": text} for text in ("a", "b")), method="embedder")
    batch = client.batches.create(file=Path("a.jsonl"), method=method, client_id="me")
    client.batches.create(requests=[], method="images")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # none
    assert_type(client.batches.list(), BatchList)
    assert_type(client.batches.retrieve(batch), Batch)
    client.batches.wait(batch.id, poll_interval=1, deadline=5, on_progress=lambda seen: print(seen.status))
    results = client.batches.results(batch)
    assert_type(results, BatchResults)
    for result in results:
        assert_type(result, BatchResult)
        assert_type(result.response, ChatCompletion | EmbeddingList | None)
        assert_type(result.completion, ChatCompletion | None)
        assert_type(result.embeddings, EmbeddingList | None)
        assert_type(result.error, BatchResultError | None)


def too_late(error: BatchTimeoutError) -> None:
    assert_type(error.batch, Batch)


async def asynchronously(client: AsyncClient) -> None:
    file = await client.files.create(file="a.pdf")
    assert_type(file, File)
    content = await client.files.content(file)
    assert_type(content, AsyncBinaryResponse)
    assert_type(await content.read(), bytes)
    assert_type(content.iter_bytes(), AsyncIterator[bytes])
    await content.write_to_file("a.pdf")
    batch = await client.batches.create(file="a.jsonl")

    async def tell(seen: Batch) -> None:
        print(seen.status)

    assert_type(await client.batches.wait(batch, on_progress=tell), Batch)
    assert_type(await client.batches.results(batch), BatchResults)
