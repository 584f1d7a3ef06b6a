from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    APIConnectionError,
    AsyncClient,
    AuthenticationError,
    File,
    GeneratedFile,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    RequestTooLargeError,
)
from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import Connect
from .servers import Connection, RawServer, plain_answer

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
CONTENT = bytes(range(256)) * 1000  # more than one piece


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "отчёт.pdf"
    file.write_bytes(CONTENT)
    return file


def uploads(emulator: Emulator) -> list[RecordedRequest]:
    return [request for request in emulator.requests_to("/v1/files") if request.method == "POST"]


class Pipe:
    """A file object that can only be read, once."""

    name = "pipe.txt"

    def __init__(self, content: bytes = CONTENT) -> None:
        self._rest = io.BytesIO(content)

    def read(self, size: int, /) -> bytes:
        return self._rest.read(size)


async def test_a_file_is_uploaded_from_its_path(client: AsyncClient, emulator: Emulator, path: Path) -> None:
    file = await client.files.create(file=path)
    assert isinstance(file, File)
    assert (file.filename, file.bytes, file.purpose, file.object) == ("отчёт.pdf", len(CONTENT), "general", "file")
    assert file.request_id == file.response.headers["x-request-id"]
    (request,) = uploads(emulator)
    assert request.headers["content-length"] == str(len(request.body))
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b"Content-Type: application/pdf\r\n" in request.body
    assert await (await client.files.content(file.id)).read() == CONTENT


@pytest.mark.parametrize("kind", ["str", "bytes", "bytearray", "memoryview", "BytesIO", "open", "pipe", "three"])
async def test_whatever_holds_bytes_is_uploaded(client: AsyncClient, path: Path, kind: str) -> None:
    opened = path.open("rb")
    given: Any = {
        "str": str(path),
        "bytes": ("отчёт.pdf", CONTENT),
        "bytearray": ("отчёт.pdf", bytearray(CONTENT)),
        "memoryview": ("отчёт.pdf", memoryview(CONTENT)),
        "BytesIO": ("отчёт.pdf", io.BytesIO(CONTENT)),
        "open": opened,
        "pipe": ("отчёт.pdf", Pipe()),
        "three": ("отчёт.pdf", path, "application/pdf"),
    }[kind]
    file = await client.files.create(file=given, purpose="assistant")
    assert (file.filename, file.bytes, file.purpose) == ("отчёт.pdf", len(CONTENT), "assistant")
    assert await (await client.files.content(file)).read() == CONTENT
    assert not opened.closed
    opened.close()


async def test_what_has_no_size_is_sent_in_chunks(client: AsyncClient, emulator: Emulator) -> None:
    await client.files.create(file=Pipe())
    (request,) = uploads(emulator)
    assert (request.headers.get("content-length"), request.headers["transfer-encoding"]) == (None, "chunked")


async def test_boundaries_differ(client: AsyncClient, emulator: Emulator) -> None:
    for _ in range(2):
        await client.files.create(file=("a.txt", b"x"))
    first, second = (request.headers["content-type"] for request in uploads(emulator))
    assert first != second


@pytest.mark.off_contract("sends extra_body and extra_query")
async def test_extra_body_is_sent_as_fields(client: AsyncClient, emulator: Emulator) -> None:
    await client.files.create(file=("a.txt", b"x"), extra_body={"keep_for": 5}, extra_query={"a": 1}, client_id="me")
    (request,) = uploads(emulator)
    assert b'name="keep_for"\r\n\r\n5\r\n' in request.body
    assert (request.query, request.headers["x-client-id"]) == ("a=1", "me")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("missing.txt", FileNotFoundError),
        ("..", IsADirectoryError),
        (b"content", InvalidRequestError),
        (io.StringIO("text"), TypeError),
        (None, TypeError),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="file: "):
        await client.files.create(file=given)
    assert emulator.requests == []


async def test_an_unknown_keyword_is_a_type_error(client: AsyncClient, emulator: Emulator, path: Path) -> None:
    with pytest.raises(TypeError, match=r"create\(\) got an unexpected keyword argument 'purpos'"):
        await client.files.create(file=path, purpos="general")
    with pytest.raises(TypeError, match="purpose: expected a string, got int"):
        await client.files.create(file=path, purpose=1)
    for method in (client.files.list, client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(TypeError, match=rf"{method.__name__}\(\) got an unexpected keyword argument 'filter'"):
            await method(*[] if method.__name__ == "list" else ["1"], filter=1)
    assert emulator.requests == []


# ---- sent again, or not ----


async def test_an_upload_that_was_refused_is_sent_again_whole(
    client: AsyncClient, emulator: Emulator, delays: list[float], path: Path
) -> None:
    emulator.reply("/v1/files", Reply.error(500, "x"), Reply.error(429, "y"))
    file = await client.files.create(file=path)
    assert file.bytes == len(CONTENT)
    assert [request.body for request in uploads(emulator)] == [uploads(emulator)[0].body] * 3
    assert len(delays) == 2


async def test_a_file_object_is_sent_again_from_where_it_stood(
    client: AsyncClient, emulator: Emulator, delays: list[float], path: Path
) -> None:
    emulator.reply("/v1/files", Reply.error(500, "x"))
    with path.open("rb") as opened:
        opened.seek(1000)
        file = await client.files.create(file=opened)
    assert file.bytes == len(CONTENT) - 1000
    assert await (await client.files.content(file)).read() == CONTENT[1000:]


async def test_what_cannot_be_read_again_is_not_sent_again(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    emulator.reply("/v1/files", Reply.error(500, "x"))
    with pytest.raises(InternalServerError):
        await client.files.create(file=Pipe())
    assert len(uploads(emulator)) == 1
    assert delays == []


async def test_a_token_that_ended_costs_no_upload(client: AsyncClient, emulator: Emulator, path: Path) -> None:
    await client.models.list()
    emulator.revoke_tokens()
    assert (await client.files.create(file=path)).bytes == len(CONTENT)
    emulator.revoke_tokens()
    with pytest.raises(AuthenticationError):
        await client.files.create(file=Pipe())


async def test_an_upload_whose_answer_was_lost_is_not_sent_again(
    connect: Connect, delays: list[float], path: Path
) -> None:
    def answer(connection: Connection, request: bytes) -> Iterator[bytes]:
        connection.is_over = True
        yield b""

    with RawServer(answer) as server:
        client = connect(access_token="t", base_url=server.url)
        with pytest.raises(APIConnectionError) as caught:
            await client.files.create(file=path)
        await client.aclose()
        assert caught.value.sent is True
        assert (len(server.requests), delays) == (1, [])


async def test_an_early_refusal_of_a_large_upload_is_read(connect: Connect, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(4_000_000))
    with RawServer(lambda connection, request: [plain_answer(b'{"message":"too large"}', "413 Too Large")]) as server:
        client = connect(access_token="t", base_url=server.url)
        with pytest.raises(RequestTooLargeError, match="too large"):
            await client.files.create(file=large)
        await client.aclose()


# ---- what is left behind ----


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The files that were opened by their path."""
    found: list[Any] = []
    plain = Path.open

    def remember(path: Path, *args: Any, **keywords: Any) -> Any:
        opened = plain(path, *args, **keywords)
        if path.suffix == ".pdf":
            found.append(opened)
        return opened

    monkeypatch.setattr(Path, "open", remember)
    return found


async def test_a_path_is_closed_whatever_happens(
    client: AsyncClient, emulator: Emulator, path: Path, opened: list[Any]
) -> None:
    await client.files.create(file=path)
    emulator.reply("/v1/files", Reply.error(413, "Payload too large"))
    with pytest.raises(RequestTooLargeError):
        await client.files.create(file=path)
    with pytest.raises(TypeError):
        await client.files.create(file=path, purpose=5)
    assert [file.closed for file in opened] == [True] * 3


class Lying(io.BytesIO):
    """Says that it is larger than it is, as a file does that is cut while it is being sent."""

    name = "a.txt"

    def tell(self) -> int:
        return super().tell() + (100 if super().tell() == len(self.getvalue()) else 0)


async def test_a_file_that_becomes_shorter_breaks_the_upload_off(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(InvalidRequestError, match=r"had 256100 bytes, and became shorter: 100 bytes are missing"):
        await client.files.create(file=Lying(CONTENT))
    assert [file.filename for file in await client.files.list()] == []


async def test_a_file_that_becomes_longer_breaks_the_upload_off(
    client: AsyncClient, emulator: Emulator, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.fstat

    def measure(number: int) -> os.stat_result:
        found = plain(number)
        with path.open("ab") as more:
            more.write(b"more")
        return found

    monkeypatch.setattr("gigachat_sdk._uploads.os.fstat", measure)
    with pytest.raises(InvalidRequestError, match="had 256000 bytes, and became longer"):
        await client.files.create(file=path)
    assert [file.filename for file in await client.files.list()] == []


async def test_a_disk_that_fails_stays_an_os_error(client: AsyncClient, emulator: Emulator) -> None:
    class Broken(Pipe):
        def read(self, size: int, /) -> bytes:
            if self._rest.tell() > 100_000:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError, match="file: Input/output error") as caught:
        await client.files.create(file=Broken())
    assert (type(caught.value), caught.value.errno) == (OSError, errno.EIO)
    assert [file.filename for file in await client.files.list()] == []


# ---- the other methods ----


async def test_files_are_listed_looked_up_and_deleted(client: AsyncClient, emulator: Emulator) -> None:
    made = [await client.files.create(file=(name, b"x")) for name in ("a.txt", "b.txt")]
    page = await client.files.list()
    assert [(file.id, file.filename) for file in page] == [(file.id, file.filename) for file in made]
    assert (await client.files.retrieve(made[0].id)).filename == "a.txt"
    deleted = await client.files.delete(made[0].id)
    assert (deleted.id, deleted.deleted) == (made[0].id, True)
    request = emulator.requests[-1]
    assert (request.method, request.path, request.body) == ("POST", f"/v1/files/{made[0].id}/delete", b"")
    assert "content-type" not in request.headers
    assert [file.id for file in await client.files.list()] == [made[1].id]
    for method in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(NotFoundError, match="No such file"):
            await method(made[0].id)


async def test_what_was_said_of_a_file_stands_for_its_id(client: AsyncClient, emulator: Emulator) -> None:
    file = await client.files.create(file=("a.txt", b"x"), client_id="me")
    assert (await client.files.retrieve(file)).id == file.id
    assert await (await client.files.content(GeneratedFile(file.id, "me"))).read() == b"x"
    with pytest.raises(NotFoundError):
        await client.files.content(GeneratedFile(file.id))
    with pytest.raises(NotFoundError):
        await client.files.content(file, client_id="you")
    assert (await client.files.delete(file)).deleted is True
    ids = [request.headers.get("x-client-id") for request in emulator.requests[1:]]
    assert ids == ["me", "me", "me", None, "you", "me"]


@pytest.mark.parametrize("wrong", ["", ".", "..", 5, None])
async def test_what_is_no_id_is_refused_before_the_network(client: AsyncClient, emulator: Emulator, wrong: Any) -> None:
    for method in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(InvalidRequestError, match="file: "):
            await method(wrong)
    assert emulator.requests == []


async def test_an_id_stays_one_segment_of_the_path(client: AsyncClient, emulator: Emulator) -> None:
    for method in (client.files.retrieve, client.files.delete, client.files.content):
        with pytest.raises(NotFoundError):
            await method("../a?b")
    assert [request.path for request in emulator.requests[-3:]] == [
        "/v1/files/../a?b",
        "/v1/files/../a?b/delete",
        "/v1/files/../a?b/content",
    ]


async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator) -> None:
    bodies = {name: (WIRE / f"fixture_files_{name}.json").read_bytes() for name in ("upload", "list", "get", "delete")}
    emulator.reply("/v1/files", Reply(body=bodies["upload"]))
    emulator.reply("/v1/files", Reply(body=bodies["list"]), method="GET")
    emulator.reply("/v1/files/123", Reply(body=bodies["get"]), method="GET")
    emulator.reply("/v1/files/123/delete", Reply(body=bodies["delete"]))
    assert (await client.files.create(file=("a.jpg", b"x"))).to_dict() == json.loads(bodies["upload"])
    assert (await client.files.list()).to_dict() == json.loads(bodies["list"])
    assert (await client.files.retrieve("123")).to_dict() == json.loads(bodies["get"])
    assert (await client.files.delete("123")).to_dict() == json.loads(bodies["delete"])


async def test_a_delete_that_the_service_was_too_busy_for_is_sent_again(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    emulator.reply("/v1/files/123/delete", Reply.error(429, "x"), Reply(json={"id": "123", "deleted": True}))
    assert (await client.files.delete("123")).deleted is True
    assert len(delays) == 1
