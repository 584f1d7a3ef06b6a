from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk import (
    APIConnectionError,
    APITimeoutError,
    AsyncBinaryResponse,
    AsyncClient,
    GigaChatError,
)
from gigachat_sdk._concurrency import async_in_thread

from .conftest import Connect
from .servers import Answer, Connection, RawServer, http_chunk

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 3000  # many pieces
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nx-request-id: r\r\n"


@pytest.fixture
async def file_id(client: AsyncClient) -> str:
    return (await client.files.create(file=("a.jpg", CONTENT))).id


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], RawServer]]:
    servers: list[RawServer] = []

    def start(answer: Answer) -> RawServer:
        servers.append(RawServer(answer))
        return servers[-1].__enter__()

    yield start
    for server in servers:
        server.__exit__(None, None, None)


def cut(body: bytes, head: bytes) -> Answer:
    """Answer with a body that ends too early, its connection with it."""

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        connection.is_over = True
        yield HEAD + head + b"\r\n" + body

    return answer


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


async def count(pieces: AsyncIterator[bytes]) -> int:
    """Read to the end."""
    return sum([len(piece) async for piece in pieces])


async def fetch(content: AsyncBinaryResponse, how: str, target: Path) -> None:
    """Read a download in one of the ways."""
    if how == "read":
        await content.read()
    elif how == "write_to_file":
        await content.write_to_file(target)
    else:
        await count(content.iter_bytes(None if how == "iter_bytes" else 1))


def whole(body: bytes) -> bytes:
    return HEAD + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


async def download(connect: Connect, server: RawServer, **options: Any) -> AsyncBinaryResponse:
    return await connect(access_token="t", base_url=server.url).files.content("1", **options)


# ---- cut ----


@pytest.mark.parametrize(
    ("body", "head", "so_far"),
    [
        (b"12345", b"Content-Length: 10\r\n", "5 of 10 bytes"),
        (b"", b"Content-Length: 10\r\n", "0 of 10 bytes"),
        (http_chunk(b"12345"), b"Transfer-Encoding: chunked\r\n", "5 bytes"),
    ],
)
@pytest.mark.parametrize("how", ["read", "iter_bytes", "pieces of a size", "write_to_file"])
async def test_a_cut_download_is_an_error_that_says_how_much_had_come(
    serve: Callable[[Answer], RawServer],
    connect: Connect,
    tmp_path: Path,
    body: bytes,
    head: bytes,
    so_far: str,
    how: str,
) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")
    server = serve(cut(body, head))
    content = await download(connect, server)
    with pytest.raises(APIConnectionError) as caught:
        await fetch(content, how, target)
    error = caught.value
    assert str(error).startswith(
        f"the download was cut after {so_far}: the connection to 127.0.0.1:{server.port} was lost"
    )
    assert str(error).endswith("; nothing is asked again by itself")
    assert (error.sent, error.request.method, error.request.url) == (True, "GET", f"{server.url}/files/1/content")
    assert (error.__cause__, error.__context__) == (None, None)
    assert content.is_closed is True
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a.jpg"])
    with pytest.raises(GigaChatError, match="was read already"):
        await content.read()
    assert len(server.requests) == 1


async def test_a_download_that_falls_silent_times_out(serve: Callable[[Answer], RawServer], connect: Connect) -> None:
    is_over = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 10\r\n\r\n12345"
        is_over.wait(10)
        connection.is_over = True

    content = await download(connect, serve(answer), timeout=httpx.Timeout(30, read=2.0))
    with pytest.raises(
        APITimeoutError, match=r"the download was cut after 5 of 10 bytes: .* did not answer within 2\.0 s"
    ):
        await content.read()
    is_over.set()


async def test_a_body_that_a_given_transport_cuts_silently_is_an_error_too(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Length": "10"}, stream=httpx.ByteStream(b"12345"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as given:
        client = connect(access_token="t", http_client=given)
        content = await client.files.content("1")
        with pytest.raises(APIConnectionError, match="after 5 of 10 bytes: the service closed the connection"):
            await content.read()


async def test_a_length_that_is_no_number_is_none(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Length": "many"}, stream=httpx.ByteStream(b"12345"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as given:
        content = await connect(access_token="t", http_client=given).files.content("1")
        assert (content.content_length, content.content_type) == (None, None)
        assert await content.read() == b"12345"


# ---- letting go ----


async def test_reading_in_pieces_is_done_once(client: AsyncClient, file_id: str, tmp_path: Path) -> None:
    content = await client.files.content(file_id)
    async for _ in content.iter_bytes():
        break
    with pytest.raises(GigaChatError, match="this download was read already"):
        await content.read()
    with pytest.raises(GigaChatError, match="this download was read already"):
        content.iter_bytes()
    with pytest.raises(GigaChatError, match="this download was read already"):
        await content.write_to_file(tmp_path / "a.jpg")
    assert names(tmp_path) == []
    await content.aclose()


async def test_reading_after_closing_is_an_error(client: AsyncClient, file_id: str, tmp_path: Path) -> None:
    async with await client.files.content(file_id) as content:
        pass
    assert content.is_closed is True
    await content.aclose()
    with pytest.raises(GigaChatError, match="this download is closed"):
        await content.read()
    with pytest.raises(GigaChatError, match="this download is closed"):
        content.iter_bytes()
    with pytest.raises(GigaChatError, match="this download is closed"):
        await content.write_to_file(tmp_path / "a.jpg")
    assert names(tmp_path) == []


async def test_closing_while_it_is_read_is_no_end_of_the_file(client: AsyncClient, file_id: str) -> None:
    content = await client.files.content(file_id)
    pieces = content.iter_bytes(1000)
    got = len(await pieces.__anext__())
    await content.aclose()
    with pytest.raises(APIConnectionError, match=r"cut after \d+ of 768000 bytes: it was closed; nothing") as caught:
        await count(pieces)
    assert got == 1000
    assert caught.value.sent is True


async def test_closing_the_client_says_so(client: AsyncClient, file_id: str) -> None:
    content = await client.files.content(file_id)
    pieces = content.iter_bytes()
    await pieces.__anext__()
    await client.aclose()
    with pytest.raises(APIConnectionError, match="the client was closed"):
        await count(pieces)


async def test_a_download_read_to_its_end_leaves_its_connection_reusable(
    serve: Callable[[Answer], RawServer], connect: Connect, tmp_path: Path
) -> None:
    server = serve(lambda connection, request: [whole(CONTENT)])
    client = connect(access_token="t", base_url=server.url)
    for _ in range(2):
        await (await client.files.content("1")).read()
        await (await client.files.content("1")).write_to_file(tmp_path / "a.jpg")
        assert len([piece async for piece in (await client.files.content("1")).iter_bytes()]) > 1
    assert (server.connections, len(server.requests)) == (1, 6)


@pytest.mark.parametrize("how", ["closed", "left", "dropped"])
async def test_a_download_that_is_left_early_ends_its_connection(
    serve: Callable[[Answer], RawServer], connect: Connect, how: str
) -> None:
    is_gone = threading.Event()

    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        yield HEAD + b"Content-Length: 1000000\r\n\r\n12345"
        try:
            if connection.socket.recv(1) == b"":
                is_gone.set()
        except OSError:
            is_gone.set()
        connection.is_over = True

    server = serve(answer)
    client = connect(access_token="t", base_url=server.url)
    content = await client.files.content("1")
    if how == "closed":
        await content.aclose()
    elif how == "left":
        async with content:
            await content.iter_bytes().__anext__()
    else:
        del content
        gc.collect()
    assert await async_in_thread(lambda: is_gone.wait(10))  # the loop runs what the collector has asked for


async def test_a_download_outlives_its_client_object(serve: Callable[[Answer], RawServer]) -> None:
    server = serve(lambda connection, request: [whole(CONTENT)])
    client = AsyncClient(access_token="t", base_url=server.url)
    content = await client.files.content("1")
    del client
    gc.collect()
    assert await content.read() == CONTENT
