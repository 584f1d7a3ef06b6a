"""`_body.py`: files that are read while they are sent, measured before and watched meanwhile."""

from __future__ import annotations

import errno
import io
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._body import PIECE, BufferFile, FileSource, FramedBody, named


def source(content: bytes, *, start: int | None = 0, size: int | None = -1) -> FileSource:
    known = len(content) if size == -1 else size
    return FileSource(io.BytesIO(content), "file", "a.txt", start=start, size=known)


def read_all(body: FramedBody) -> list[bytes]:
    return list(iter(body.read, b""))


class Failing:
    """A file object whose reading does one thing."""

    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    def read(self, size: int, /) -> Any:
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


@pytest.mark.parametrize("length", [0, 1, PIECE - 9, PIECE - 8, PIECE - 4, PIECE, 3 * PIECE + 1])
@pytest.mark.parametrize("is_measured", [True, False])
def test_the_frame_stands_around_the_file_in_pieces_of_at_most_64_kib(length: int, is_measured: bool) -> None:
    content = bytes(range(256)) * (length // 256) + bytes(length % 256)
    body = FramedBody(b"head", source(content, size=length if is_measured else None), b"tail")
    assert body.size == (length + 8 if is_measured else None)
    pieces = read_all(body)
    assert b"".join(pieces) == b"head" + content + b"tail"
    assert max(map(len, pieces)) <= PIECE
    assert all(len(piece) == PIECE for piece in pieces[:-1])
    assert body.read() == b""


def test_a_frame_larger_than_a_piece_is_cut_too() -> None:
    body = FramedBody(b"h" * (PIECE + 1), source(b"x"), b"t" * PIECE)
    assert [len(piece) for piece in read_all(body)] == [PIECE, PIECE, 2]


def test_a_body_goes_back_to_where_the_file_stood() -> None:
    file = io.BytesIO(b"skipped wanted")
    file.seek(8)
    body = FramedBody(b"<", FileSource(file, "file", "a", start=8, size=6), b">")
    assert read_all(body) == [b"<wanted>"]
    assert body.rewind() is True
    assert read_all(body) == [b"<wanted>"]
    assert file.tell() == 14


def test_a_body_goes_back_from_its_middle() -> None:
    body = FramedBody(b"<", source(b"x" * PIECE), b">")
    first = body.read()
    assert len(first) == PIECE
    assert body.rewind() is True
    assert b"".join(read_all(body)) == b"<" + b"x" * PIECE + b">"


def test_what_cannot_go_back_can_while_nothing_was_read_of_it() -> None:
    body = FramedBody(b"<", source(b"x", start=None, size=None), b">")
    assert body.rewind() is True
    assert read_all(body) == [b"<x>"]
    assert body.rewind() is False


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ESPIPE, "Illegal seek"), ValueError("I/O operation on closed file"), RuntimeError("of the user's")],
)
def test_what_has_lost_its_way_back_is_not_sent_again(error: Exception) -> None:
    class OneWay(io.BytesIO):
        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise error

    body = FramedBody(b"", FileSource(OneWay(b"x"), "file", "a", start=0, size=1), b"")
    assert read_all(body) == [b"x"]
    assert body.rewind() is False


def test_the_end_is_asked_for_once_since_a_terminal_would_wait_for_more() -> None:
    class Terminal:
        def __init__(self) -> None:
            self.answers = [b"", b"x"]

        def read(self, size: int, /) -> bytes:
            return self.answers.pop()

    body = FramedBody(b"<", FileSource(Terminal(), "file", None, start=None, size=None), b">")
    assert read_all(body) == [b"<x>"]


@pytest.mark.parametrize(
    ("content", "size", "message"),
    [
        (b"abc", 5, "it had 5 bytes, and became shorter: 2 bytes are missing"),
        (b"", 5, "it had 5 bytes, and became shorter: 5 bytes are missing"),
        (b"abcdef", 5, "it had 5 bytes, and became longer"),
        (b"a", 0, "it had 0 bytes, and became longer"),
    ],
)
def test_a_file_that_changes_while_it_is_sent_breaks_the_request_off(content: bytes, size: int, message: str) -> None:
    body = FramedBody(b"<", source(content, size=size), b">")
    with pytest.raises(InvalidRequestError) as caught:
        read_all(body)
    assert str(caught.value) == (f"file: it was changed while it was being sent: {message}; the request was broken off")
    assert caught.value.param == "file"


def test_an_object_that_gives_more_than_it_was_asked_for_counts_as_longer() -> None:
    body = FramedBody(b"", FileSource(Failing(b"abcdef"), "file", None, start=None, size=3), b"")
    with pytest.raises(InvalidRequestError, match="it had 3 bytes, and became longer"):
        body.read()


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        ("text", "file: it gives text; open it in binary mode, as in open(path, 'rb')"),
        (None, "file: its read() gives None, since it does not wait for data; open it in blocking mode"),
        (5, "file: its read() gives a int, and bytes are due"),
    ],
)
def test_what_is_no_bytes_is_a_type_error(outcome: Any, message: str) -> None:
    body = FramedBody(b"", FileSource(Failing(outcome), "file", None, start=None, size=None), b"")
    with pytest.raises(TypeError) as caught:
        body.read()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_buffers_are_bytes_too(kind: Any) -> None:
    class Buffers:
        def __init__(self) -> None:
            self.pieces = [kind(b""), kind(b"x")]

        def read(self, size: int, /) -> Any:
            return self.pieces.pop()

    body = FramedBody(b"", FileSource(Buffers(), "file", None, start=None, size=None), b"")
    assert read_all(body) == [b"x"]


def test_a_disk_that_fails_stays_an_os_error_that_names_argument_and_file() -> None:
    error = OSError(errno.EIO, "Input/output error")
    body = FramedBody(b"", FileSource(Failing(error), "file", "/mnt/a.txt", start=0, size=1), b"")
    with pytest.raises(OSError, match="Input/output error") as caught:
        body.read()
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, "/mnt/a.txt")
    assert caught.value.strerror == "file: Input/output error"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (io.UnsupportedOperation("not readable"), "file: it cannot be read: UnsupportedOperation: not readable"),
        (EOFError("half a file"), "file: it cannot be read: EOFError: half a file"),
    ],
)
def test_what_an_object_of_the_users_raises_is_no_failure_of_the_connection(error: Exception, message: str) -> None:
    body = FramedBody(b"", FileSource(Failing(error), "file", None, start=None, size=None), b"")
    with pytest.raises(InvalidRequestError) as caught:
        body.read()
    assert str(caught.value) == message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"abcdef", b"abcdef"),
        (bytearray(b"abcdef"), b"abcdef"),
        (memoryview(b"abcdef"), b"abcdef"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (memoryview(b"abcdefgh").cast("I"), b"abcdefgh"),
    ],
)
def test_bytes_are_read_like_a_file(content: Any, expected: bytes) -> None:
    file = BufferFile(content)
    assert len(file) == len(expected)
    assert file.read(2) + file.read(100) + file.read(1) == expected
    file.seek(1)
    assert file.read(2) == expected[1:3]


def test_bytes_are_let_go_when_it_is_over() -> None:
    content = bytearray(b"abc")
    file = BufferFile(content)
    with pytest.raises(BufferError):
        content.append(0)
    file.close()
    content.append(0)
    assert content == b"abc\x00"


def test_a_named_error_keeps_class_and_facts() -> None:
    error = named(PermissionError(errno.EACCES, "Permission denied"), "file", "/a", " (why)")
    assert type(error) is PermissionError
    assert (error.errno, error.strerror, error.filename) == (errno.EACCES, "file: Permission denied (why)", "/a")
