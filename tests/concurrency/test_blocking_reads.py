"""Sources that block for ever: an upload ends all the same, its loop goes on, and nothing stays open."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from gigachat_sdk import APITimeoutError, AsyncClient, Batch, InvalidRequestError, _batches
from gigachat_sdk._async.bodies import AsyncSourceBody
from gigachat_sdk._concurrency import async_read_in_thread, read_in_thread
from gigachat_sdk._deadline import Deadline, DeadlineError, running
from gigachat_sdk._request import Call
from gigachat_sdk._retry import CallKind
from gigachat_sdk._sync.bodies import SourceBody
from gigachat_sdk.testing import Emulator, Reply

BACKENDS = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running_emulator:
        yield running_emulator


class Blocking:
    """A body whose reading waits until the test lets it go on."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.go_on = threading.Event()
        self.is_read = threading.Event()

    def read(self) -> bytes:
        self.is_read.set()
        assert self.go_on.wait(30)
        return b""

    def rewind(self) -> bool:
        return True


class Pipe:
    """A named pipe that somebody has open for writing, and writes a little to."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.end = os.open(path, os.O_RDWR)  # lets the other side open it at once
        os.write(self.end, b"a little")


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    made = Pipe(tmp_path / "pipe.txt")
    yield made
    os.close(made.end)


@BACKENDS
def test_cancelling_an_upload_of_a_pipe_ends_it_and_closes_the_pipe(
    emulator: Emulator, pipe: Pipe, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    plain = Path.open

    def remember(path: Path, *args: Any, **keywords: Any) -> Any:
        file = plain(path, *args, **keywords)
        if path == pipe.path:
            opened.append(file)
        return file

    monkeypatch.setattr(Path, "open", remember)

    async def main() -> None:
        async with emulator.async_client() as client:
            async with anyio.create_task_group() as group:

                async def upload() -> None:
                    await client.files.create(file=pipe.path)

                group.start_soon(upload)
                while not emulator.oauth_requests or not opened:
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            assert await client.models.list()  # the loop goes on
            assert client._session.transport.http.in_flight == 0

    anyio.run(main, backend=backend)
    monkeypatch.undo()
    os.write(pipe.end, b"more")  # the read that was left behind returns
    (file,) = opened
    done = threading.Event()
    for _ in range(1000):
        if file.closed:
            break
        done.wait(0.01)
        os.write(pipe.end, b"x" * 10_000)
    assert file.closed


@BACKENDS
@pytest.mark.parametrize("given", ["a file object", "a path"])
def test_a_deadline_ends_an_upload_whose_source_blocks(
    emulator: Emulator, pipe: Pipe, backend: str, given: str
) -> None:
    file = None if given == "a path" else os.fdopen(os.open(pipe.path, os.O_RDONLY), "rb", buffering=0)

    async def main() -> None:
        async with emulator.async_client() as client:
            await client.models.list()
            source: Any = pipe.path if file is None else ("a.txt", file)
            with pytest.raises(APITimeoutError, match=r"the deadline of 0\.2 s has passed"):
                await client.files.create(file=source, deadline=0.2)
            assert await client.models.list()

    anyio.run(main, backend=backend)
    os.write(pipe.end, b"more")
    if file is not None:
        file.close()


@BACKENDS
def test_a_body_that_blocks_is_left_to_its_thread(emulator: Emulator, backend: str) -> None:
    body = Blocking()
    call = Call("POST", "/things", CallKind.CREATING, body=body, options={"deadline": 2})

    async def main() -> None:
        async with emulator.async_client() as client:
            await client.models.list()
            with pytest.raises(APITimeoutError, match="has passed"):
                await client._session.exchange(call)
            assert body.is_read.is_set()
            assert await client.models.list()

    anyio.run(main, backend=backend)
    body.go_on.set()  # after its loop has ended: nobody is told


def test_time_that_is_up_before_a_body_is_read_is_a_timeout_of_writing() -> None:
    async def main() -> None:
        with running(Deadline(-1)), pytest.raises(httpx.WriteTimeout):
            await AsyncSourceBody(Blocking()).__anext__()

    asyncio.run(main())
    with running(Deadline(-1)), pytest.raises(httpx.WriteTimeout):
        next(iter(SourceBody(Blocking())))


@BACKENDS
def test_a_read_in_a_thread_gives_what_it_gives(backend: str) -> None:
    async def main() -> None:
        loop_thread = threading.get_ident()
        assert await async_read_in_thread(threading.get_ident) != loop_thread
        with pytest.raises(OSError, match="gone") as caught:
            await async_read_in_thread(fail)
        assert caught.value.__context__ is None
        with running(Deadline(-1)), pytest.raises(DeadlineError):
            await async_read_in_thread(threading.get_ident)

    def fail() -> None:
        raise OSError(5, "gone")

    anyio.run(main, backend=backend)
    assert read_in_thread(threading.get_ident) == threading.get_ident()
    with running(Deadline(-1)), pytest.raises(DeadlineError):
        read_in_thread(threading.get_ident)


def test_a_read_that_was_left_behind_does_not_keep_the_program_from_ending() -> None:
    program = """
import anyio, os
from gigachat_sdk._concurrency import async_read_in_thread
reading, writing = os.pipe()
async def main():
    async with anyio.create_task_group() as group:
        group.start_soon(async_read_in_thread, lambda: os.read(reading, 1))
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
anyio.run(main)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=180)  # our own program


@BACKENDS
def test_lines_of_a_batch_are_read_and_written_off_the_loop(
    emulator: Emulator, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: dict[str, set[int]] = {"result": set(), "line": set(), "user": set()}
    result, line = _batches._result, _batches.BatchLines._line

    def watched_result(*args: Any) -> Any:
        threads["result"].add(threading.get_ident())
        return result(*args)

    def watched_line(*args: Any) -> Any:
        threads["line"].add(threading.get_ident())
        return line(*args)

    monkeypatch.setattr(_batches, "_result", watched_result)
    monkeypatch.setattr(_batches.BatchLines, "_line", watched_line)
    request = {"messages": [{"role": "user", "content": "?"}]}

    def requests() -> Iterator[Any]:
        threads["user"].add(threading.get_ident())
        yield request

    async def main(client: AsyncClient) -> None:
        async with client:
            await client.batches.create(requests=requests())
            await client.batches.create(file=json.dumps(request).encode())
            with pytest.raises(InvalidRequestError, match=r"requests\[1\]: expected a dict"):
                await client.batches.create(requests=[request, 5])  # type: ignore[list-item]  # a mistake
            emulator.reply("/v1/files/f/content", Reply(body=b"{}\n" * 3), method="GET")
            assert len(await client.batches.results(Batch(id="b", output_file_id="f"))) == 3

    anyio.run(main, emulator.async_client(), backend=backend)
    here = threading.get_ident()
    assert threads["user"] == {here}
    assert threads["line"]
    assert threads["result"]
    assert here not in threads["line"] | threads["result"]
