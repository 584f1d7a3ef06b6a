"""`_uploads.py`: what a file argument is, what it is called, and the form that it is sent in."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tempfile
import zipfile
from email import message_from_bytes
from pathlib import Path
from typing import Any

import anyio
import pytest

from gigachat_sdk import File, GeneratedFile, InvalidRequestError
from gigachat_sdk._body import FramedBody
from gigachat_sdk._request import Call
from gigachat_sdk._retry import CallKind
from gigachat_sdk._uploads import Upload, file_id, mime_type, upload_call, with_client_id
from gigachat_sdk.types import ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.http import Headers


def content_of(upload: Upload) -> bytes:
    try:
        source = upload.open()
        return b"".join(iter(lambda: source.read(3), b""))
    finally:
        upload.close()


def call_of(upload: Upload, purpose: Any = "general", **options: Any) -> Call:
    return upload_call(upload, upload.open(), purpose, options, "BOUNDARY")  # type: ignore[arg-type]


def body_of(call: Call) -> bytes:
    assert isinstance(call.body, FramedBody)
    return b"".join(iter(call.body.read, b""))


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


# ---- what may not ----


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: b"x", "bytes"),
        (lambda: bytearray(b"x"), "bytes"),
        (lambda: io.BytesIO(b"x"), "this BytesIO"),
        (lambda: (None, b"x"), "bytes"),
        (lambda: ("", b"x"), "bytes"),
    ],
)
def test_what_has_no_name_is_refused_with_the_way_to_give_one(make: Any, what: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Upload(make())
    assert str(caught.value) == (
        "file: the service tells formats apart by name and type, and there is no name for "
        f'{what}; give a tuple: ("report.pdf", content)'
    )
    assert caught.value.param == "file"
    if what == "bytes":
        Upload(make(), needs_name=False)


@pytest.mark.parametrize("name", [5, None, "<stdin>", "", "/"])
def test_the_name_of_a_file_object_may_be_none(name: Any) -> None:
    file = io.BytesIO(b"x")
    file.name = name  # type: ignore[attr-defined]
    with pytest.raises(InvalidRequestError, match="there is no name"):
        Upload(file)


def test_the_name_of_a_file_object_may_be_bytes() -> None:
    file = io.BytesIO(b"x")
    file.name = "/srv/отчёт.txt".encode()  # type: ignore[attr-defined]
    assert Upload(file).name == "отчёт.txt"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "expected a path, bytes, a binary file object or (name, content), got NoneType"),
        (5, "expected a path, bytes, a binary file object or (name, content), got int"),
        ({"file": b""}, "expected a path, bytes, a binary file object or (name, content), got dict"),
        (["a", b""], "expected a path, bytes, a binary file object or (name, content), got list"),
        (("a", 5), "expected a path, bytes, a binary file object or (name, content), got int"),
        (("a",), "expected (name, content) or (name, content, mime), got a tuple of 1"),
        (("a", b"", "x", {}), "expected (name, content) or (name, content, mime), got a tuple of 4"),
        ((b"a", b""), "the name in the tuple is a string, not a bytes"),
        (("a", b"", 5), "the mime in the tuple is a string, not a int"),
        (io.StringIO("x"), "it gives text; open it in binary mode, as in open(path, 'rb')"),
        (("a", io.StringIO("x")), "it gives text; open it in binary mode, as in open(path, 'rb')"),
    ],
)
def test_what_is_no_file_is_a_type_error(given: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        Upload(given)
    assert str(caught.value) == f"file: {message}"
    assert isinstance(caught.value, InvalidRequestError)


@pytest.mark.parametrize("mime", ["text/plain\r\nX: 1", " text/plain", "текст", "a\x00"])
def test_a_type_that_no_header_can_hold_is_refused(mime: str) -> None:
    with pytest.raises(InvalidRequestError, match="is no MIME type"):
        Upload(("a", b"", mime))


def test_files_in_text_mode_are_refused_before_anything_is_read(path: Path) -> None:
    with path.open() as file, tempfile.NamedTemporaryFile("w+") as named:
        for given in (file, named):
            with pytest.raises(TypeError, match="open it in binary mode"):
                Upload(given)


def test_a_file_open_for_writing_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file, pytest.raises(InvalidRequestError, match="it cannot be read"):
        Upload(file).open()


def test_asynchronous_files_are_refused_with_advice() -> None:
    class UploadFile:
        filename = "a.txt"

        async def read(self, size: int = -1) -> bytes:
            return b""

    for given in (UploadFile(), anyio.AsyncFile(io.BytesIO())):
        with pytest.raises(TypeError, match=r"its read\(\) is asynchronous; .* \(upload.filename, upload.file\)"):
            Upload(given)


@pytest.mark.parametrize("name", ["missing.txt", "", "report.pdf/inner.txt"])
def test_a_missing_file_stays_an_os_error(path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(OSError) as caught:
        Upload(("a.txt", name)).open()
    error = caught.value
    if "/" in name:
        assert (type(error), error.strerror) == (NotADirectoryError, "file: Not a directory")
    else:
        assert (type(error), error.errno, error.filename) == (FileNotFoundError, errno.ENOENT, name)
        assert error.strerror == "file: No such file or directory (a str is a path; give content as bytes)"
    assert error.__cause__ is None


def test_the_advice_about_strings_is_for_strings(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        Upload(tmp_path / "missing.txt").open()
    assert caught.value.strerror == "file: No such file or directory"


def test_a_whole_text_given_as_a_path_is_not_repeated_in_the_error() -> None:
    with pytest.raises(OSError, match="give content as bytes") as caught:
        Upload(("a.txt", "text " * 10_000)).open()
    assert caught.value.errno == errno.ENAMETOOLONG
    assert len(str(caught.value)) < 300


def test_a_directory_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as caught:
        Upload(tmp_path).open()
    assert (caught.value.errno, caught.value.filename) == (errno.EISDIR, str(tmp_path))
    assert caught.value.strerror.startswith("file: ")


def test_a_path_that_no_system_takes_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequestError, match=r"file: this is no path: .*embedded null"):
        Upload(("a", "a\0b")).open()


def test_a_file_that_was_read_to_its_end_is_refused(path: Path) -> None:
    with path.open("rb") as file:
        file.read()
        with pytest.raises(InvalidRequestError, match=r"read to its end already; go back with seek\(0\)"):
            Upload(file).open()


def test_an_empty_file_is_the_services_to_judge(tmp_path: Path) -> None:
    file = tmp_path / "empty.txt"
    file.touch()
    assert content_of(Upload(file)) == b""
    assert content_of(Upload(("a", io.BytesIO()))) == b""


def test_what_is_opened_after_it_was_given_up_is_closed_at_once(path: Path) -> None:
    upload = Upload(path)  # as when a caller is cancelled while a thread opens the file
    upload.close()
    source = upload.open()
    assert upload._opened._file.closed
    with pytest.raises(InvalidRequestError, match="the upload was given up"):
        source.read(1)


@pytest.mark.parametrize("is_given_up", [False, True])
def test_a_file_that_a_thread_reads_from_is_closed_by_that_thread(path: Path, is_given_up: bool) -> None:
    class Slow:
        is_closed = False

        def read(self, size: int, /) -> bytes:
            if is_given_up:
                upload.close()  # by another thread: closing would wait for this read
            assert not self.is_closed
            return b"x" * size

        def close(self) -> None:
            self.is_closed = True

    slow = Slow()
    upload = Upload(path)
    upload._keep(slow)
    assert upload._opened.read(3) == b"xxx"
    assert slow.is_closed is is_given_up
    upload.close()
    assert slow.is_closed


def test_what_the_system_makes_up_while_it_is_read_has_no_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = os.fstat

    def of_size_0(number: int) -> os.stat_result:  # as all files in /proc are
        facts = list(plain(number))
        facts[stat.ST_SIZE] = 0
        return os.stat_result(facts)

    monkeypatch.setattr("gigachat_sdk._uploads.os.fstat", of_size_0)
    upload = Upload(path)
    assert upload.open().size is None
    upload.close()
    assert content_of(Upload(path)) == b"%PDF-1.7 content"
    path.write_bytes(b"")
    upload = Upload(path)
    assert upload.open().size == 0
    upload.close()


# ---- objects of the user's ----


class Odd(io.BytesIO):
    """Raises, or gives, what it is told to where it is told to."""

    def __init__(self, **outcomes: Any) -> None:
        super().__init__(b"content")
        self.outcomes = outcomes

    def outcome(self, name: str, plain: Any) -> Any:
        given = self.outcomes.get(name, plain)
        if isinstance(given, Exception):
            raise given
        return given

    def tell(self) -> int:
        found: int = self.outcome("tell", super().tell())
        return found

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.outcome("seek", None)
        self.outcome("seek to the end" if whence == os.SEEK_END else "seek back", None)
        return super().seek(offset, whence)

    @property
    def name(self) -> Any:
        return self.outcome("name", "a.txt")


ERRORS = [NotImplementedError("no"), TypeError("no"), RuntimeError("no"), AttributeError("no"), OSError("no")]


@pytest.mark.parametrize("where", ["tell", "seek"])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_object_that_cannot_say_where_it_stands_is_read_like_a_pipe(where: str, error: Exception) -> None:
    source = Upload(Odd(**{where: error})).open()
    assert (source.size, source.read(100), source.rewind()) == (None, b"content", False)


@pytest.mark.parametrize("place", [None, "x", -5, True, 1.5])
def test_a_place_that_is_no_place_is_not_believed(place: Any) -> None:
    source = Upload(Odd(tell=place)).open()
    assert (source.size, source.read(100), source.rewind()) == (None, b"content", False)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_object_that_cannot_go_to_its_end_is_sent_without_a_size(error: Exception) -> None:
    source = Upload(Odd(**{"seek to the end": error})).open()
    assert (source.size, source.read(100), source.rewind()) == (None, b"content", True)


def test_an_end_that_is_no_place_is_not_believed() -> None:
    class Vague(Odd):
        def tell(self) -> Any:
            return "the end" if super().tell() == 7 else super().tell()

    assert Upload(Vague()).open().size is None


def test_an_object_that_does_not_come_back_from_its_end_is_refused() -> None:
    class OneWay(Odd):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            if whence == 0 and super().tell() == 7:
                raise RuntimeError("no way back")
            return super().seek(offset, whence)

    with pytest.raises(
        InvalidRequestError, match="cannot go back to where it stood: RuntimeError: no way back"
    ) as caught:
        Upload(OneWay()).open()
    assert caught.value.__context__ is None


def test_an_object_whose_name_cannot_be_asked_for_has_none() -> None:
    with pytest.raises(InvalidRequestError, match="there is no name for this Odd"):
        Upload(Odd(name=RuntimeError("no")))
    assert Upload(("b.txt", Odd(name=RuntimeError("no")))).name == "b.txt"


def test_a_closed_file_object_is_refused(path: Path) -> None:
    file = path.open("rb")
    file.close()
    with pytest.raises(InvalidRequestError, match="file: the file object is closed; open it again"):
        Upload(file).open()


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
    extra = {"purpose": "other", "text": "Привет", "number": 1, "is_it": True, "list": ["я"], 'q"': "\ud800"}
    body = body_of(call_of(Upload(("a", b"")), extra_body=extra))
    for name, value in {
        "purpose": "other",
        "text": "Привет",
        "number": "1",
        "is_it": "true",
        "list": '["я"]',
        "q%22": "\ufffd",
    }.items():
        assert f'form-data; name="{name}"\r\n\r\n{value}\r\n'.encode() in body
    assert body.count(b'name="purpose"') == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([1], "extra_body: expected a dict, got list"),
        ({"a": object()}, "extra_body.a: object cannot be a field of a form"),
    ],
)
def test_extra_body_that_no_form_can_hold_is_refused(extra: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        call_of(Upload(("a", b"")), extra_body=extra)
    assert str(caught.value) == message


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
