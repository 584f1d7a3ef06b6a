"""`_uploads.py`: what is no file, and objects of the user's that behave oddly."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import anyio
import pytest
from uploading import content_of

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._uploads import Upload


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "report.pdf"
    file.write_bytes(b"%PDF-1.7 content")
    return file


# ---- what may not ----


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: b"x", "bytes"),
        (lambda: bytearray(b"x"), "bytes"),
        (lambda: io.BytesIO(b"x"), "this BytesIO"),
        (lambda: (None, b"x"), "bytes"),
        (lambda: ("", b"x"), "bytes"),
        (lambda: ("", "report.pdf"), "this str"),
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


@pytest.mark.parametrize("given", ["", Path(), "/", Path("/"), "tests/.."])
def test_a_path_that_names_no_file_is_told_when_it_is_opened(given: Any) -> None:
    kind = FileNotFoundError if given == "" else IsADirectoryError
    with pytest.raises(kind) as caught:
        Upload(given).open()
    error = caught.value
    assert error.filename == os.fsdecode(given)
    words = "No such file or directory (a str is a path; give content as bytes)"
    assert error.strerror == f"file: {words if given == '' else 'Is a directory'}"


def test_a_path_is_called_what_it_is_called() -> None:
    assert Upload("reports/<1>.txt").name == "<1>.txt"


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
