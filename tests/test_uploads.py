"""`_uploads.py`: what a file argument is, what it is called, and the form that it is sent in."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from uploading import body_of, call_of, content_of

from gigachat_sdk import File, GeneratedFile, InvalidRequestError
from gigachat_sdk._body import FramedBody
from gigachat_sdk._retry import CallKind
from gigachat_sdk._uploads import Upload, file_id, mime_type, with_client_id
from gigachat_sdk.types import ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.http import Headers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.7 content")
    return file


# ---- types by name ----


@pytest.mark.parametrize(
    ("name", "mime"),
    [
        ("a.txt", "text/plain"),
        ("a.doc", "application/msword"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.pdf", "application/pdf"),
        ("a.epub", "application/epub"),
        ("a.ppt", "application/ppt"),
        ("a.pptx", "application/pptx"),
        ("a.xlsx", "application/vnd.ms-excel"),
        ("a.jpg", "image/jpeg"),
        ("a.JPEG", "image/jpeg"),
        ("a.png", "image/png"),
        ("a.tif", "image/tiff"),
        ("a.tiff", "image/tiff"),
        ("a.bmp", "image/bmp"),
        ("a.mp4", "audio/mp4"),
        ("a.mp3", "audio/mp3"),
        ("a.m4a", "audio/x-m4a"),
        ("a.wav", "audio/wav"),
        ("a.weba", "audio/webm"),
        ("a.ogg", "audio/x-ogg"),
        ("a.opus", "audio/opus"),
        ("Отчёт за год.PPTX", "application/pptx"),
        ("a.b.c.png", "image/png"),
        ("a.html", "text/html"),
        ("a.txt.gz", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        (".pdf", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
    ],
)
def test_the_type_follows_from_the_name_as_the_service_calls_it(name: str, mime: str) -> None:
    assert mime_type(name) == mime


# ---- what may be given ----


@pytest.mark.parametrize("kind", [str, Path, os.path.join])
def test_a_path_has_a_name_and_is_opened_and_closed_here(path: Path, kind: Any) -> None:
    upload = Upload(kind(path))
    assert (upload.name, upload.mime) == ("report.pdf", "application/pdf")
    source = upload.open()
    assert source.size == 16
    opened = upload._opened
    assert source.read(100) == b"%PDF-1.7 content"
    upload.close()
    assert opened.closed
    upload.close()


def test_a_path_of_bytes_in_its_protocol_is_decoded(path: Path) -> None:
    class Bytes(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return os.fsencode(path)

    upload = Upload(Bytes())
    assert (upload.name, content_of(upload)) == ("report.pdf", b"%PDF-1.7 content")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_come_with_a_name_in_a_tuple(kind: Any) -> None:
    upload = Upload(("a.png", kind(b"content")))
    assert (upload.name, upload.mime, content_of(upload)) == ("a.png", "image/png", b"content")


def test_the_type_in_a_tuple_wins_and_none_means_that_it_follows_from_the_name(path: Path) -> None:
    assert Upload(("a.png", b"", "text/x")).mime == "text/x"
    assert Upload(("a.png", b"", None)).mime == "image/png"
    assert Upload((None, path, "text/x")).name == "report.pdf"


def test_a_string_in_a_tuple_is_a_path_too(path: Path) -> None:
    upload = Upload(("other.txt", str(path)))
    assert (upload.name, upload.mime, content_of(upload)) == ("other.txt", "text/plain", b"%PDF-1.7 content")


def test_a_file_object_has_the_name_of_its_path_and_stays_open(path: Path) -> None:
    with path.open("rb") as file:
        upload = Upload(file)
        assert (upload.name, content_of(upload)) == ("report.pdf", b"%PDF-1.7 content")
        assert not file.closed


def test_a_file_object_is_read_from_where_it_stands(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(9)
        upload = Upload(file)
        source = upload.open()
        assert (source.size, file.tell()) == (7, 9)
        assert source.read(100) == b"content"
        assert source.rewind() is True
        assert source.read(100) == b"content"


def test_many_kinds_of_file_objects_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inner.txt", b"content")
    with gzip.open(tmp_path / "a.txt.gz", "wb") as packed:
        packed.write(b"content")
    with (
        zipfile.ZipFile(tmp_path / "a.zip") as archive,
        archive.open("inner.txt") as inner,
        gzip.open(tmp_path / "a.txt.gz") as unpacked,
        tempfile.NamedTemporaryFile() as named,
        tempfile.SpooledTemporaryFile() as spooled,
        tempfile.TemporaryFile() as nameless,
    ):
        for file in (named, spooled, nameless):
            file.write(b"content")
            file.seek(0)
        for file in (inner, unpacked, named, spooled, nameless):
            assert content_of(Upload(("a.txt", file))) == b"content", file


def test_what_knows_no_end_is_sent_without_a_size_and_goes_back_all_the_same() -> None:
    class Endless(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if whence == os.SEEK_END:
                raise ValueError("Seek from end not supported")
            return super().seek(offset)

    file = Endless(b"skipped content")
    file.seek(8)
    source = Upload(("a.txt", file)).open()
    assert source.size is None
    assert source.read(100) == b"content"
    assert source.rewind() is True
    assert source.read(100) == b"content"


def test_a_pipe_has_no_size_and_cannot_go_back(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        os.write(writing, b"content")
        os.close(writing)
        upload = Upload(("a.txt", file))
        source = upload.open()
        assert (source.size, source.read(100), source.rewind()) == (None, b"content", False)


def test_the_path_of_a_pipe_is_read_like_one(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, b"content")
    os.close(writing)
    try:
        upload = Upload(("a.txt", f"/dev/fd/{reading}"))
        source = upload.open()
        assert (source.size, source.read(100), source.rewind()) == (None, b"content", False)
        upload.close()
    finally:
        os.close(reading)


def test_an_object_with_nothing_but_read_is_enough() -> None:
    class Reader:
        name = "dir/picture.png"

        def __init__(self) -> None:
            self.pieces = [b"", b"ent", b"cont"]

        def read(self, size: int, /) -> bytes:
            return self.pieces.pop()

    upload = Upload(Reader())
    assert (upload.name, upload.mime, content_of(upload)) == ("picture.png", "image/png", b"content")


# ---- the form ----


def test_the_form_is_read_by_others(path: Path) -> None:
    upload = Upload(path)
    call = call_of(upload, "assistant")
    body = body_of(call)
    upload.close()
    assert (call.method, call.path, call.kind) == ("POST", "/files", CallKind.CREATING)
    assert call.content_type == "multipart/form-data; boundary=BOUNDARY"
    assert isinstance(call.body, FramedBody)
    assert call.body.size == len(body)
    message = message_from_bytes(f"Content-Type: {call.content_type}\r\n\r\n".encode() + body)
    purpose, file = message.get_payload()
    assert purpose.get_param("name", header="content-disposition") == "purpose"
    assert purpose.get_payload() == "assistant"
    assert file.get_param("name", header="content-disposition") == "file"
    assert file.get_filename() == "report.pdf"
    assert file.get_content_type() == "application/pdf"
    assert file.get_payload() == "%PDF-1.7 content"


def test_the_form_byte_by_byte() -> None:
    assert body_of(call_of(Upload(("a.txt", b"content")))) == (
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="purpose"\r\n'
        b"\r\n"
        b"general\r\n"
        b"--BOUNDARY\r\n"
        b'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n"
        b"\r\n"
        b"content\r\n"
        b"--BOUNDARY--\r\n"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("Отчёт за 2026.pdf", "Отчёт за 2026.pdf"),
        ('say "cheese".png', "say %22cheese%22.png"),
        ("a\r\nX-Injected: 1.txt", "a%0D%0AX-Injected: 1.txt"),
        ("100%.txt", "100%.txt"),
        ("back\\slash.txt", "back\\slash.txt"),
        ("\udcff\udcfe.txt", "\ufffd\ufffd.txt"),
        ("😀.txt", "😀.txt"),
    ],
)
def test_names_are_written_as_browsers_do(name: str, written: str) -> None:
    assert f'filename="{written}"\r\n'.encode() in body_of(call_of(Upload((name, b""))))


def test_extra_body_becomes_fields_of_the_form() -> None:
    extra = {"purpose": "other", "text": "Привет", "number": 1, "is_it": True, "list": ["я"], 'q"': "x"}
    body = body_of(call_of(Upload(("a", b"")), extra_body=extra))
    for name, value in {
        "purpose": "other",
        "text": "Привет",
        "number": "1",
        "is_it": "true",
        "list": '["я"]',
        "q%22": "x",
    }.items():
        assert f'form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() in body
    assert body.count(b'name="purpose"') == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([1], "extra_body: expected a dict, got list"),
        ({"a": object()}, "extra_body.a: object cannot be a field of a form"),
        ({"a": float("nan")}, "extra_body.a: float cannot be a field of a form"),
        ({"note": "a\ud800b"}, "extra_body.note: character 1 is a lone surrogate, which is no text"),
        ({"note": ["\ud800"]}, "extra_body.note: character 2 is a lone surrogate, which is no text"),
        ({"purpose": "\ud800"}, "extra_body.purpose: character 0 is a lone surrogate, which is no text"),
        ({"a\ud800": 1}, "extra_body: a key of it holds a lone surrogate, which is no text"),
    ],
)
def test_extra_body_that_no_form_can_hold_is_refused(extra: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        call_of(Upload(("a", b"")), extra_body=extra)
    assert str(caught.value) == message
    assert caught.value.param == message.partition(":")[0]


def test_half_a_character_is_no_purpose() -> None:
    with pytest.raises(InvalidRequestError, match=r"^purpose: character 0 is a lone surrogate") as caught:
        call_of(Upload(("a", b"")), "\ud800")
    assert caught.value.param == "purpose"


@pytest.mark.parametrize("purpose", [None, 5, b"general"])
def test_a_purpose_is_a_string(purpose: Any) -> None:
    with pytest.raises(TypeError, match="purpose: expected a string, got"):
        call_of(Upload(("a", b"")), purpose)


# ---- ids ----


def test_a_file_is_named_by_its_id_or_by_what_was_said_of_it() -> None:
    assert file_id("1") == file_id(File(id="1")) == file_id(GeneratedFile("1")) == "1"
    for wrong in (None, 5, b"1", {"id": "1"}):
        with pytest.raises(TypeError, match="file: expected an id, a File or a GeneratedFile, got"):
            file_id(wrong)


def test_the_client_id_that_a_file_was_made_under_goes_along() -> None:
    uploaded = attach(File(id="1"), ResponseInfo(200, Headers(), sent_client_id="me"))
    assert with_client_id({"timeout": 1}, GeneratedFile("1", "me")) == {"timeout": 1, "client_id": "me"}
    assert with_client_id({}, uploaded) == {"client_id": "me"}
    assert with_client_id({"client_id": None}, uploaded) == {"client_id": "me"}
    assert with_client_id({"client_id": "other"}, uploaded) == {"client_id": "other"}
    for unknown in ("1", File(id="1"), GeneratedFile("1")):
        assert with_client_id({}, unknown) == {}
    assert "me" not in repr(with_client_id({}, uploaded))
