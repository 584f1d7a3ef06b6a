from __future__ import annotations

import gzip
import os
import stat
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import (
    APIConnectionError,
    AsyncBinaryResponse,
    AsyncClient,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from gigachat_sdk._downloads import PartFile
from gigachat_sdk.testing import Emulator, Reply

pytestmark = pytest.mark.anyio

CONTENT = bytes(range(256)) * 3000  # many pieces
NOWHERE = Path("/dev/null")


@pytest.fixture
async def file_id(client: AsyncClient) -> str:
    return (await client.files.create(file=("a.jpg", CONTENT))).id


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def is_device(path: Path) -> bool:
    return path.is_char_device()


# ---- reading ----


async def test_the_head_comes_first_and_the_bytes_as_they_are_read(
    client: AsyncClient, emulator: Emulator, file_id: str
) -> None:
    content = await client.files.content(file_id)
    assert isinstance(content, AsyncBinaryResponse)
    assert (content.content_type, content.content_length) == ("image/jpeg", len(CONTENT))
    assert content.request_id == content.response.headers["x-request-id"]
    assert content.response.status_code == 200
    assert content.is_closed is False
    assert repr(content) == f"<{type(content).__name__} open, image/jpeg, request id {content.request_id}>"
    assert await content.read() == CONTENT
    assert content.is_closed is True
    assert repr(content) == f"<{type(content).__name__} closed, image/jpeg, request id {content.request_id}>"
    headers = emulator.requests[-1].headers
    assert (headers["accept"], headers["accept-encoding"]) == ("*/*", "identity")


async def test_what_was_read_whole_is_kept(
    client: AsyncClient, emulator: Emulator, file_id: str, tmp_path: Path
) -> None:
    content = await client.files.content(file_id)
    first = await content.read()
    assert await content.read() is first
    for _ in range(2):
        assert b"".join([piece async for piece in content.iter_bytes(100_000)]) == CONTENT
        await content.write_to_file(tmp_path / "a.jpg")
        assert (tmp_path / "a.jpg").read_bytes() == CONTENT
    assert len(emulator.requests_to(f"/v1/files/{file_id}/content")) == 1


async def test_pieces_as_they_come(client: AsyncClient, file_id: str) -> None:
    content = await client.files.content(file_id)
    pieces = [piece async for piece in content.iter_bytes()]
    assert b"".join(pieces) == CONTENT
    assert len(pieces) > 1
    assert all(pieces)
    assert content.is_closed is True


@pytest.mark.parametrize("size", [1000, 65_536, 100_000, len(CONTENT), len(CONTENT) + 1])
async def test_pieces_of_a_size(client: AsyncClient, file_id: str, size: int) -> None:
    content = await client.files.content(file_id)
    pieces = [piece async for piece in content.iter_bytes(chunk_size=size)]
    assert b"".join(pieces) == CONTENT
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert 0 < len(pieces[-1]) <= size


async def test_a_file_of_nothing(client: AsyncClient, emulator: Emulator, tmp_path: Path) -> None:
    emulator.reply("/v1/files/1/content", Reply(body=b""), method="GET", times=3)
    assert await (await client.files.content("1")).read() == b""
    assert [piece async for piece in (await client.files.content("1")).iter_bytes()] == []
    await (await client.files.content("1")).write_to_file(tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize(
    ("size", "error", "message"),
    [
        (0, InvalidRequestError, "chunk_size: give 1 or more, not 0"),
        (-5, InvalidRequestError, "chunk_size: give 1 or more, not -5"),
        (1.5, TypeError, "chunk_size: expected a whole number of bytes, got float"),
        (True, TypeError, "chunk_size: expected a whole number of bytes, got bool"),
    ],
)
async def test_a_size_that_makes_no_sense_is_refused(
    client: AsyncClient, file_id: str, size: Any, error: type[Exception], message: str
) -> None:
    async with await client.files.content(file_id) as content:
        with pytest.raises(error, match=message):
            content.iter_bytes(size)
        assert await content.read() == CONTENT


async def test_a_compressed_answer_is_unpacked_and_has_no_known_length(client: AsyncClient, emulator: Emulator) -> None:
    packed = gzip.compress(CONTENT)
    emulator.reply("/v1/files/1/content", Reply(body=packed, headers={"Content-Encoding": "gzip"}), method="GET")
    content = await client.files.content("1")
    assert content.content_length is None
    assert await content.read() == CONTENT


async def test_all_members_of_a_compressed_answer_are_unpacked(client: AsyncClient, emulator: Emulator) -> None:
    packed = gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:])
    emulator.reply("/v1/files/1/content", Reply(body=packed, headers={"Content-Encoding": "gzip"}), method="GET")
    assert await (await client.files.content("1")).read() == CONTENT


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", gzip.compress(CONTENT)[:-1], "its gzip data ends too early"),
        ("deflate", zlib.compress(CONTENT)[:-1], "its deflate data ends too early"),
        ("gzip", CONTENT, "cannot be decoded: Error -3"),
        ("br", CONTENT, "cannot be decoded: its Content-Encoding 'br' is unknown here"),
    ],
)
async def test_a_compressed_answer_that_is_not_whole_is_no_file(
    client: AsyncClient, emulator: Emulator, tmp_path: Path, encoding: str, body: bytes, message: str
) -> None:
    emulator.reply(
        "/v1/files/1/content", Reply(body=body, headers={"Content-Encoding": encoding}), method="GET", times=2
    )
    with pytest.raises(APIConnectionError, match=message):
        await (await client.files.content("1")).read()
    with pytest.raises(APIConnectionError, match=message) as caught:
        await (await client.files.content("1")).write_to_file(tmp_path / "a.jpg")
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    assert names(tmp_path) == []
    assert client._session.transport.http.in_flight == 0


async def test_a_whole_answer_that_was_cut_while_compressed_is_a_lost_one(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    cut = Reply(body=gzip.compress(b'{"data": []}')[:-9], headers={"Content-Encoding": "gzip"})
    emulator.reply("/v1/files", cut, method="GET")
    with pytest.raises(APIConnectionError, match="was lost: its gzip data ends too early"):
        await client.files.list(max_retries=0)
    emulator.reply("/v1/files", cut, method="GET")
    assert [file.id for file in await client.files.list()] == []
    assert delays != []


async def test_an_error_is_told_by_its_status_however_its_body_is_encoded(
    client: AsyncClient, emulator: Emulator
) -> None:
    emulator.reply(
        "/v1/files", Reply(status=403, body=b"\x0b\x02\x80", headers={"Content-Encoding": "br"}), method="GET"
    )
    with pytest.raises(PermissionDeniedError):
        await client.files.list()


async def test_a_missing_file_is_an_error_before_anything_is_read(client: AsyncClient) -> None:
    with pytest.raises(NotFoundError, match="No such file"):
        await client.files.content("1")


async def test_a_download_that_the_service_was_too_busy_for_is_asked_again(
    client: AsyncClient, emulator: Emulator, file_id: str, delays: list[float]
) -> None:
    emulator.reply(f"/v1/files/{file_id}/content", Reply.error(500, "x"), method="GET")
    content = await client.files.content(file_id)
    assert (await content.read(), content.response.retries_taken) == (CONTENT, 1)


# ---- to a disk ----


async def test_a_download_goes_to_a_file(client: AsyncClient, file_id: str, tmp_path: Path) -> None:
    content = await client.files.content(file_id)
    assert await content.write_to_file(tmp_path / "a.jpg") is None
    assert (tmp_path / "a.jpg").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.jpg"]
    assert content.is_closed is True
    (tmp_path / "plain").touch()
    assert stat.S_IMODE((tmp_path / "a.jpg").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


async def test_a_relative_path_of_a_string(
    client: AsyncClient, file_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await (await client.files.content(file_id)).write_to_file("кот.jpg")
    assert (tmp_path / "кот.jpg").read_bytes() == CONTENT


async def test_a_file_that_is_there_is_replaced_and_keeps_its_rights(
    client: AsyncClient, file_id: str, tmp_path: Path
) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")
    target.chmod(0o640)
    await (await client.files.content(file_id)).write_to_file(target)
    assert (target.read_bytes(), stat.S_IMODE(target.stat().st_mode)) == (CONTENT, 0o640)


async def test_a_link_stays_one(client: AsyncClient, file_id: str, tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    for name in ("there.jpg", "missing.jpg"):
        link = tmp_path / name
        link.symlink_to(tmp_path / "dir" / name)
    (tmp_path / "dir" / "there.jpg").touch()
    for name in ("there.jpg", "missing.jpg"):
        await (await client.files.content(file_id)).write_to_file(tmp_path / name)
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "dir" / name).read_bytes() == CONTENT


async def test_what_is_no_ordinary_file_is_written_to_as_it_is(
    client: AsyncClient, file_id: str, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    await (await client.files.content(file_id)).write_to_file(pipe)
    reader.join()
    assert read == [CONTENT]
    assert names(tmp_path) == ["pipe"]
    await (await client.files.content(file_id)).write_to_file(NOWHERE)
    assert is_device(NOWHERE)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("missing/a.jpg", FileNotFoundError),
        ("dir", IsADirectoryError),
        ("nowhere/", IsADirectoryError),
        ("nowhere/.", IsADirectoryError),
        ("file/a.jpg", NotADirectoryError),
        ("", FileNotFoundError),
        ("a\0b", InvalidRequestError),
        (5, TypeError),
        (None, TypeError),
    ],
)
async def test_a_path_that_cannot_be_written_costs_no_download(
    client: AsyncClient,
    file_id: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: Any,
    error: type[Exception],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").touch()
    content = await client.files.content(file_id)
    with pytest.raises(error) as caught:
        await content.write_to_file(name)
    if isinstance(caught.value, OSError):
        assert caught.value.filename == name
    assert caught.value.__cause__ is None
    await content.write_to_file("a.jpg")  # the download is still there
    assert (tmp_path / "a.jpg").read_bytes() == CONTENT
    assert names(tmp_path) == ["a.jpg", "dir", "file"]


async def test_a_full_disk_leaves_the_target_as_it_was(
    client: AsyncClient, file_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.jpg"
    target.write_bytes(b"old")

    def fail(part: PartFile, piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PartFile, "write", fail)
    content = await client.files.content(file_id)
    with pytest.raises(OSError, match="No space left on device"):
        await content.write_to_file(target)
    assert (target.read_bytes(), names(tmp_path)) == (b"old", ["a.jpg"])
    assert content.is_closed is True
