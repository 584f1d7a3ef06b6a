import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Reply, _blobs
from gigachat_sdk.testing import _app as app
from gigachat_sdk.testing._blobs import IN_MEMORY, PIECE, Blob, BlobWriter, Pieces, Spool

from .conftest import open_client

MIB = 1024 * 1024
UP_AND_DOWN = """
import resource, sys
import httpx
from gigachat_sdk.testing import Emulator

SIZE, PIECE = 200 * 1024 * 1024, bytes(range(256)) * 256
UNIT = 1 if sys.platform == "darwin" else 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1024 / 1024

class Pieces:
    def __init__(self): self.left = SIZE
    def read(self, _=-1):
        self.left -= len(PIECE)
        return PIECE if self.left >= 0 else b""

with Emulator(limits=False) as emulator:
    headers = {"Authorization": f"Bearer {emulator.issue_token()}"}
    with httpx.Client(base_url=emulator.base_url, headers=headers, trust_env=False, timeout=60) as http:
        http.post("/files", files={"file": ("f", b"x" * 100_000, "text/plain")})
        before = peak()
        made = http.post("/files", files={"file": ("f", Pieces(), "text/plain")}).json()
        assert made["bytes"] == SIZE, made
        got = 0
        with http.stream("GET", f"/files/{made['id']}/content") as answer:
            for piece in answer.iter_raw():
                assert piece == PIECE[got % 65536 :][: len(piece)] or len(piece) > 65536 - got % 65536
                got += len(piece)
        assert got == SIZE, got
        assert emulator.requests[1].content.size > SIZE
        print(peak() - before)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def upload(http: httpx.Client, content: Any, **options: Any) -> dict[str, Any]:
    answer = http.post("/files", files={"file": ("файл", content, "text/plain")}, **options)
    made: dict[str, Any] = answer.json()
    return made


def test_two_hundred_megabytes_go_up_and_down_in_a_few() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", UP_AND_DOWN], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 40


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("size", [0, 1, IN_MEMORY - 200, IN_MEMORY, IN_MEMORY + 1, 3 * MIB + 1])
def test_content_of_any_size_comes_back_as_it_was(size: int, http2: bool) -> None:
    content = os.urandom(size)
    with Emulator(https=True) as emulator, open_client(emulator, http2=http2) as http:
        made = upload(http, content)
        assert made["bytes"] == size
        answer = http.get(f"/files/{made['id']}/content")
        assert answer.content == content
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        (request, _) = emulator.requests
        assert content in request.body
        assert isinstance(request.content, bytes) is (len(request.body) <= IN_MEMORY)


def test_a_boundary_may_fall_between_two_pieces() -> None:
    boundary = {"Content-Type": "multipart/form-data; boundary=0123456789"}
    with Emulator() as emulator, open_client(emulator) as http:
        for size in range(PIECE - 200, PIECE + 20):
            content = b"\r\n--0123456" * 20 + b"x" * (size - 220)
            made = upload(http, content, headers=boundary)
            assert http.get(f"/files/{made['id']}/content").content == content


def test_a_large_json_body_is_read_like_a_small_one() -> None:
    text = "слово " * 300_000
    with Emulator() as emulator, open_client(emulator) as http:
        answer = http.post("/tokens/count", json={"model": "GigaChat", "input": [text]})
        assert answer.json()[0]["characters"] == len(text)
        (request,) = emulator.requests
        assert request.json()["input"] == [text]
        assert repr(request.content) == f"<{len(request.body)} bytes>"
        assert repr(request.content) in repr(request)


def test_nothing_large_is_seen_in_the_file_system_and_all_of_it_goes(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[IO[bytes]] = []
    real = tempfile.TemporaryFile

    def noting(*args: Any, **kwargs: Any) -> IO[bytes]:
        made.append(real(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", noting)
    with Emulator() as emulator, open_client(emulator) as http:
        upload(http, b"x" * 1000)
        assert made == []
        contents = [os.urandom(2 * MIB) for _ in range(3)]
        files = [upload(http, content) for content in contents]
        assert len(made) == 1
        assert list(temporary.iterdir()) == []
        assert [http.get(f"/files/{file['id']}/content").content for file in files] == contents
    assert [content in request.body for content, request in zip(contents, emulator.requests[1:4], strict=True)] == [
        True
    ] * 3
    del emulator
    gc.collect()
    assert made[0].closed


def test_requests_outlive_their_emulator() -> None:
    with Emulator() as emulator, open_client(emulator) as http:
        upload(http, b"x" * 2 * MIB)
        (request,) = emulator.requests
    del emulator
    gc.collect()
    assert request.body.count(b"x") >= 2 * MIB


def test_a_body_above_the_limit_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_BODY", 2 * MIB)
    written: list[int] = []
    monkeypatch.setattr(Spool, "append", lambda _, data: written.append(len(data)) or 0)

    def pieces() -> Iterator[bytes]:
        for _ in range(48):
            yield b"x" * PIECE

    with Emulator() as emulator, open_client(emulator) as http:
        for body, most in ((b"x" * 3 * MIB, 0), (pieces(), 2 * MIB)):
            answer = http.post("/files", content=body)
            assert (answer.status_code, answer.text) == (413, '{"status":413,"message":"Payload too large"}\n')
            assert sum(written) <= most
        assert [request.body for request in emulator.requests] == [b"", b""]


@pytest.mark.parametrize("http2", [False, True])
def test_a_client_that_does_not_read_makes_the_server_wait(http2: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Noting(Pieces):
        def __getitem__(self, index: Any) -> Any:
            read.append(index)
            return super().__getitem__(index)

    monkeypatch.setattr("gigachat_sdk.testing._files.Pieces", Noting)
    size = 64 * MIB
    with Emulator(https=http2, limits=False) as emulator, open_client(emulator) as http:
        path = f"/files/{upload(http, b'x' * size)['id']}/content"
        with open_client(emulator, http2=http2) as lazy, lazy.stream("GET", path) as answer:
            assert next(answer.iter_raw()).startswith(b"x")
            seen = -1
            while seen != len(read):  # until it stands still while others are served
                seen = len(read)
                for _ in range(20):
                    assert http.get("/models").status_code == 200
        assert 0 < len(read) * PIECE < size / 2


def test_a_reply_of_the_test_may_be_read_piece_by_piece() -> None:
    blob = Blob.of(b"0123456789" * MIB)
    reply = Reply(chunks=Pieces(blob), headers={"Content-Length": str(blob.size)})
    with Emulator() as emulator, open_client(emulator) as http:
        emulator.reply("/v1/files/1/content", reply, method="GET")
        assert http.get("/files/1/content").content == blob.read()


class TestBlobs:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_blobs, "IN_MEMORY", 10)
        monkeypatch.setattr(_blobs, "_WRITTEN_AT_ONCE", 4)
        monkeypatch.setattr(_blobs, "PIECE", 3)

    def written(self, spool: Spool, text: bytes, between: bytes = b"") -> Blob:
        """Write a text byte by byte, with others writing in between."""
        writer = BlobWriter(spool)
        for index in range(len(text)):
            writer.write(text[index : index + 1])
            if between:
                spool.append(between)
        return Blob.of(writer.finish())

    TEXT = b"the quick brown fox jumps over the lazy dog"

    @pytest.mark.parametrize("between", [b"", b"##"])
    @pytest.mark.parametrize("size", [0, 1, 9, 10, 11, 14, 15, 16, 43])
    def test_all_ways_of_reading_agree(self, size: int, between: bytes) -> None:
        text = self.TEXT[:size]
        blob = self.written(Spool(), text, between)
        assert (blob.size, blob.read()) == (size, text)
        pieces = Pieces(blob)
        assert b"".join(pieces) == text
        assert len(pieces) == len(pieces[:]) == -(-size // 3)
        assert pieces[1:] == list(pieces)[1:]
        for start in range(size + 1):
            for stop in range(start, size + 2):
                assert blob.window(start, stop) == blob.cut(start, stop).read() == text[start:stop]
                assert blob.cut(start, stop).size == len(text[start:stop])

    @pytest.mark.parametrize("between", [b"", b"##"])
    def test_bytes_are_found_where_they_are(self, between: bytes) -> None:
        blob = self.written(Spool(), self.TEXT, between)
        for wanted in (b"the", b"q", b" fox jumps over ", b"dog", b"cat", b"dogs"):
            for start in range(len(self.TEXT) + 1):
                assert blob.find(wanted, start) == self.TEXT.find(wanted, start), (wanted, start)

    def test_a_piece_that_is_not_there_is_an_index_error(self) -> None:
        with pytest.raises(IndexError):
            Pieces(Blob.of(b"abcd"))[2]

    def test_small_things_stay_bytes_and_nothing_reads_an_empty_spool(self) -> None:
        writer = BlobWriter(Spool())
        writer.write(b"0123456789")
        assert writer.finish() == b"0123456789"
        assert Spool().read(0, 5) == b""

    def test_runs_that_follow_each_other_are_one(self) -> None:
        writer = BlobWriter(spool := Spool())
        for _ in range(10):
            writer.write(b"012345")
        blob = writer.finish()
        assert isinstance(blob, Blob)
        assert len(blob._runs) == 1
        assert spool.read(0, 60) == b"012345" * 10
