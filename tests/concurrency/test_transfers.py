"""Uploads and downloads that are cancelled leave nothing open and nothing half written."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from gigachat_sdk import APIConnectionError, AsyncBinaryResponse
from gigachat_sdk._body import FileSource
from gigachat_sdk._downloads import PartFile
from gigachat_sdk._uploads import Upload
from gigachat_sdk.testing import Emulator, Reply

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.pdf"
    file.write_bytes(CONTENT)
    return file


class Held:
    """A method that blocks its thread until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, kind: type[Any], name: str) -> None:
        self.has_come = threading.Event()
        self.may_go = threading.Event()
        self.has_gone = threading.Event()
        plain: Callable[..., Any] = getattr(kind, name)

        def held(*args: Any, **keywords: Any) -> Any:
            self.has_come.set()
            assert self.may_go.wait(10)
            try:
                return plain(*args, **keywords)
            finally:
                self.has_gone.set()

        monkeypatch.setattr(kind, name, held)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files that were opened by their path."""
    found: list[Any] = []
    plain = Path.open

    def remember(path: Path, *args: Any, **keywords: Any) -> Any:
        opened = plain(path, *args, **keywords)
        if path.suffix in (".pdf", ".part"):
            found.append(opened)
        return opened

    monkeypatch.setattr(Path, "open", remember)
    return found


async def cancelled(held: Held, work: Callable[[], Awaitable[Any]]) -> None:
    """Cancel a task as asyncio does, while a thread of it works; asyncio does not wait for the thread."""
    task = asyncio.ensure_future(work())
    assert await asyncio.to_thread(held.has_come.wait, 10)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    else:
        raise AssertionError("it was not cancelled")
    finally:
        held.may_go.set()
    assert await asyncio.to_thread(held.has_gone.wait, 10)


@pytest.mark.parametrize("moment", ["open", "read"])
def test_a_cancelled_upload_closes_its_file(
    emulator: Emulator, path: Path, opened: list[Any], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    held = Held(monkeypatch, Upload if moment == "open" else FileSource, moment)

    async def main() -> None:
        async with emulator.async_client() as client:
            await client.models.list()
            await cancelled(held, lambda: client.files.create(file=path))
            assert len((await client.files.list()).data) == 0

    asyncio.run(main())
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("moment", ["open", "write", "commit"])
def test_a_cancelled_download_leaves_no_half_of_a_file(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = tmp_path / "b.pdf"
    target.write_bytes(b"old")
    held = Held(monkeypatch, PartFile, moment)

    async def main() -> None:
        async with emulator.async_client() as client:
            file = await client.files.create(file=("a.pdf", CONTENT))

            async def download() -> None:
                await (await client.files.content(file)).write_to_file(target)

            await cancelled(held, download)

    asyncio.run(main())
    gc.collect()
    assert target.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["b.pdf"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_time_that_runs_out_leaves_nothing_either(
    emulator: Emulator, path: Path, opened: list[Any], backend: str
) -> None:
    emulator.reply("/v1/files", Reply(json={}, delay=60))
    slow = Reply(chunks=[CONTENT, b"x"], chunk_delay=60, headers={"Content-Length": str(len(CONTENT) + 1)})
    emulator.reply("/v1/files/1/content", slow, method="GET")
    target = path.parent / "b.pdf"

    async def main() -> None:
        async with emulator.async_client() as client:
            await client.models.list()
            await out_of_time(partial(client.files.create, file=path), lambda: bool(emulator.requests_to("/v1/files")))
            content = await client.files.content("1")
            await out_of_time(partial(content.write_to_file, target), lambda: len(opened) == 2)
            assert content.is_closed

    anyio.run(main, backend=backend)
    gc.collect()
    assert [file.closed for file in opened] == [True, True]
    assert [file.name for file in path.parent.iterdir()] == ["a.pdf"]


async def out_of_time(work: Callable[[], Awaitable[Any]], has_begun: Callable[[], bool]) -> None:
    """Let time run out a moment after something has begun, however long that takes."""

    async def end() -> None:
        while not has_begun():  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.01)
        await anyio.sleep(0.1)
        scope.deadline = anyio.current_time()

    async with anyio.create_task_group() as group:
        with anyio.move_on_after(60) as scope:
            group.start_soon(end)
            await work()
    assert scope.cancelled_caught


STALLED = Reply(chunks=[b"12345", b"x"], chunk_delay=60, headers={"Content-Length": "6"})
CLOSED = r"the download was cut after 5 of 6 bytes: it was closed; nothing is asked again by itself"


def test_a_download_that_another_thread_closes_says_so(emulator: Emulator) -> None:
    emulator.reply("/v1/files/1/content", STALLED, method="GET")
    with emulator.client() as client:
        content = client.files.content("1")
        pieces = content.iter_bytes()
        assert next(pieces) == b"12345"
        closer = threading.Timer(0.1, content.close)
        closer.start()
        with pytest.raises(APIConnectionError, match=CLOSED):
            next(pieces)
        closer.join()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_download_that_another_task_closes_says_so(emulator: Emulator, backend: str) -> None:
    emulator.reply("/v1/files/1/content", STALLED, method="GET")

    async def close(content: AsyncBinaryResponse) -> None:
        await anyio.sleep(0.1)
        await content.aclose()

    async def main() -> None:
        async with emulator.async_client() as client, anyio.create_task_group() as group:
            content = await client.files.content("1")
            pieces = content.iter_bytes()
            assert await pieces.__anext__() == b"12345"
            group.start_soon(close, content)
            with pytest.raises(APIConnectionError, match=CLOSED):
                await pieces.__anext__()

    anyio.run(main, backend=backend)
