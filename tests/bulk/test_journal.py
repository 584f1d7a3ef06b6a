"""The file: what is written, what is read back, what is cut off, dropped or refused."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import ChatCompletion, InvalidRequestError
from gigachat_sdk.bulk import JournalError
from gigachat_sdk.bulk._items import Item, digest_of, endpoint_named, read_item
from gigachat_sdk.bulk._journal import Journal, Record, line_of, read_line
from gigachat_sdk.errors import APIConnectionError
from gigachat_sdk.types import TokensCountList

from .conftest import lines

ENDPOINT = "chat.completions.create"
DIGEST = "0" * 32


def item(index: int, identity: str | int | None = None, text: str = "Привет") -> Item:
    read = read_item({"id": identity, "request": {"messages": [text]}}, index, ENDPOINT)
    assert isinstance(read, Item)
    return read


def counted(index: int, identity: str | None = None) -> Item:
    read = read_item({"id": identity, "request": {"messages": ["Привет"]}}, index, "tokens.count")
    assert isinstance(read, Item)
    return read


def answer(text: str) -> ChatCompletion:
    return ChatCompletion.model_validate(
        {
            "choices": [{"message": {"role": "assistant", "content": text}, "index": 0}],
            "created": 1,
            "model": "m",
            "x": [1],
        }
    )


def write(path: Path, *given: tuple[Item, Any]) -> None:
    journal = Journal(path)
    for one, outcome in given:
        journal.write(line_of(one, outcome))
    journal.close()


def found(journal: Journal, one: Item) -> Any:
    record = journal.find(one)
    if not isinstance(record, Record):
        return record
    result = journal.result_of(record, one, endpoint_named(ENDPOINT))
    return result if isinstance(result, JournalError) else result.response or result.error


# ---- lines ----


@pytest.mark.parametrize(
    "text",
    ["Привет", "a\u2028b\u2029c\x85d\re\nf\x00", "emoji 👋", "\\ud800", "длинный " * 20_000, 'quote " and {"id":'],
)
def test_an_answer_comes_back(journal: Path, text: str) -> None:
    write(journal, (item(0, "a"), answer(text)), (item(1), answer("Второй")))
    assert [list(line) for line in lines(journal)] == [
        ["id", "index", "digest", "response"],
        ["index", "digest", "response"],
    ]
    again = Journal(journal)
    assert found(again, item(0, "a")) == answer(text)
    assert found(again, item(0, "a")) is None  # given once
    assert found(again, item(1)).to_dict() == answer("Второй").to_dict()
    again.close()


def test_an_answer_that_is_an_array_comes_back(journal: Path) -> None:
    counts = TokensCountList.model_validate([{"object": "tokens", "tokens": 2, "characters": 5}])
    write(journal, (counted(0), counts))
    assert lines(journal)[0]["response"] == counts.to_dict()
    again = Journal(journal)
    record = again.find(counted(0))
    assert isinstance(record, Record)
    result = again.result_of(record, counted(0), endpoint_named("tokens.count"))
    assert not isinstance(result, JournalError)
    assert result.response == counts
    assert result.from_journal
    again.close()


def test_half_a_character_in_an_error_is_no_trouble(journal: Path) -> None:
    write(journal, (item(0), TypeError("\ud800")))
    assert lines(journal)[0]["error"] == {"type": "TypeError", "message": "?"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no JSON object"),
        ({"id": 1.5}, "its id is neither a string nor a number"),
        ({"id": True}, "its id is neither a string nor a number"),
        ({"id": "a", "request": {}}, "it has no index"),
        ({"index": -1}, "it has no index"),
        ({"index": True}, "it has no index"),
        ({"index": 0, "digest": 5}, "it has no digest"),
        ({"index": 0, "digest": "short"}, "it has no digest"),
        ({"index": 0, "digest": DIGEST}, "it has neither a response nor an error"),
        ({"index": 0, "digest": DIGEST, "response": {}, "error": {}}, "it has a response and an error"),
        ({"index": 0, "digest": DIGEST, "error": 5}, "its error has no type and message"),
        ({"index": 0, "digest": DIGEST, "error": {"type": "A"}}, "its error has no type and message"),
        ({"index": 0, "digest": DIGEST, "error": {"message": "A"}}, "its error has no type and message"),
    ],
)
def test_what_is_no_line(document: Any, reason: str, journal: Path) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    assert read_line(text.encode()) == reason
    write(journal, (item(0), answer("Раз")))
    content = journal.read_bytes() + text.encode() + b"\n"
    journal.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        Journal(journal)
    assert str(caught.value) == (
        f"{journal}, line 2: this is no line of a journal, {reason}; nothing was changed. Give the journal a file "
        "of its own"
    )
    assert journal.read_bytes() == content


def test_lines_that_others_have_written_are_read() -> None:
    spaced = json.dumps({"digest": DIGEST, "response": [1], "index": 4, "note": "by hand"}, indent=None)
    assert read_line(spaced.encode()) == Record(None, 4, DIGEST, [1], None, True)
    error = {"type": "A", "message": "b"}
    assert read_line(json.dumps({"id": 5, "index": 4, "digest": DIGEST, "error": error}).encode()) == Record(
        5, 4, DIGEST, None, error, False
    )


# ---- the end of the file ----


@pytest.mark.parametrize("identity", ["a", None])
def test_a_torn_line_is_cut_off_wherever_it_ends(journal: Path, identity: str | None) -> None:
    write(journal, (item(0), answer("Раз")), (item(1, identity), answer("Два")))
    content = journal.read_bytes()
    first = content.index(b"\n") + 1
    for end in [*range(first + 1, first + 60), len(content) - 2, len(content) - 1]:
        for zeros in (b"", b"\0\0\0"):
            journal.write_bytes(content[:end] + zeros)
            again = Journal(journal)
            if end == len(content) - 1 and not zeros:  # only its end is gone
                assert found(again, item(1, identity)) == answer("Два")
            else:
                assert journal.read_bytes() == content[:first]
                assert found(again, item(1, identity)) is None
                again.write(line_of(item(1, identity), answer("Два")))
            again.close()
            assert journal.read_bytes() == content


@pytest.mark.parametrize(
    "tail",
    [
        b"notes",
        b"{",
        b'{"id":',
        b'{"id": "a"',
        b'{"id":"a","request":{"messages":',
        b'{"index":0}',
        b'{"index":0,"digest":"x"}',
        b"\0\0\0",
        b'{"id": "a", "request": {}}',
        b'{"messages": [',
        b"[]",
        b"\xff",
        b"12",
    ],
)
def test_what_is_no_torn_line_of_ours_is_refused(journal: Path, tail: bytes) -> None:
    journal.write_bytes(tail)
    with pytest.raises(JournalError, match="line 1: this is no line of a journal"):
        Journal(journal)
    assert journal.read_bytes() == tail


@pytest.mark.parametrize("identity", ["a", 'x "y" \\\\', 7, -7, None])
def test_a_first_line_that_is_torn_is_cut_off_once_it_is_surely_ours(journal: Path, identity: str | int | None) -> None:
    write(journal, (item(0, identity), answer("Раз")))
    content = journal.read_bytes()
    for end in (content.index(b'"digest":"') + 10, content.index(b'"choices"'), len(content) - 2):
        for zeros in (b"", b"\0\0\0"):
            journal.write_bytes(content[:end] + zeros)
            Journal(journal).close()
            assert journal.read_bytes() == b""


def test_a_file_that_an_editor_has_saved(journal: Path) -> None:
    write(journal, (item(1), answer("Два")), (item(0), answer("Раз")), (item(2), APIConnectionError("gone")))
    last = journal.read_bytes().split(b"\n")[2]
    first, second = journal.read_bytes().split(b"\n")[:2]
    for text in (b"\n%s\n\r\n%s\n%s", b"%s\n%s\n\n%s\n\n"):
        journal.write_bytes(text % (first, second, last))
        again = Journal(journal)
        assert found(again, item(0)) == answer("Раз")
        assert found(again, item(1)) == answer("Два")
        assert found(again, item(2)) is None
        again.sort()
        again.close()
        assert [line["index"] for line in lines(journal)] == [0, 1]


def test_empty_lines_are_no_hindrance_to_sorting(journal: Path) -> None:
    write(journal, (item(1), answer("Два")), (item(0), answer("Раз")))
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\n\n"))
    again = Journal(journal)
    again.sort()
    again.close()
    assert [line["index"] for line in lines(journal)] == [0, 1]


def test_what_a_killed_process_has_left_is_removed(journal: Path) -> None:
    write(journal, (item(0), APIConnectionError("gone")))
    journal.with_name(".out.jsonl.new").write_text("half")
    Journal(journal).close()
    assert sorted(path.name for path in journal.parent.iterdir()) == ["out.jsonl"]


def test_the_child_of_a_fork_leaves_the_journal_alone(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = Journal(journal)
    descriptor = shared._descriptor
    lock = journal.with_name(".out.jsonl.lock")
    with monkeypatch.context() as patch:
        patch.setattr("gigachat_sdk.bulk._journal.os.getpid", lambda: -1)
        shared.sort()
        with pytest.raises(JournalError, match="this journal is another process's; give this one a journal of its own"):
            shared.write(b"line\n")
        patch.setattr("gigachat_sdk.bulk._journal.os.close", lambda number: None)
        shared.close()
        assert lock.exists()
    shared._descriptor = descriptor
    shared.close()
    assert not lock.exists()


def test_an_empty_file_is_a_journal(journal: Path) -> None:
    journal.write_bytes(b"")
    Journal(journal).close()
    assert journal.read_bytes() == b""


# ---- what is asked again ----


def test_errors_that_pass_are_dropped_and_final_ones_kept(journal: Path) -> None:
    final, passing = InvalidRequestError("messages: odd"), APIConnectionError("gone")
    write(journal, (item(0), answer("0")), (item(1), passing), (item(2, "a"), final), (item(3), answer("3")))
    journal.chmod(0o640)
    with journal.open("ab") as file:
        file.write(b'{"index":4,"dig')
    again = Journal(journal)
    assert [line["index"] for line in lines(journal)] == [0, 2, 3]
    assert stat.S_IMODE(journal.stat().st_mode) == 0o640
    assert found(again, item(1)) is None
    assert repr(found(again, item(2, "a"))) == "InvalidRequestError('messages: odd')"
    assert found(again, item(3)) == answer("3")
    again.write(line_of(item(1), answer("1")))
    again.close()
    assert [line["index"] for line in lines(journal)] == [0, 2, 3, 1]
    assert sorted(path.name for path in journal.parent.iterdir()) == ["out.jsonl"]

    again = Journal(journal, retry_errors=True)
    assert [line["index"] for line in lines(journal)] == [0, 3, 1]
    assert found(again, item(2, "a")) is None
    assert found(again, item(1)) == answer("1")
    again.close()


def test_a_rewriting_that_fails_changes_nothing(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(journal, (item(0), APIConnectionError("gone")))
    content = journal.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("gigachat_sdk.bulk._journal.os.replace", full)
    with pytest.raises(OSError, match="full"):
        Journal(journal)
    monkeypatch.undo()
    assert journal.read_bytes() == content
    assert sorted(path.name for path in journal.parent.iterdir()) == ["out.jsonl"]
    Journal(journal).close()


def test_lines_are_sorted(journal: Path) -> None:
    given = [(item(index), answer(str(index))) for index in (2, 0, 1)]
    write(journal, *given)
    again = Journal(journal)
    again.sort()
    assert [line["index"] for line in lines(journal)] == [0, 1, 2]
    inode = journal.stat().st_ino
    again.sort()
    assert journal.stat().st_ino == inode  # they are in order: nothing is to be done
    again.write(line_of(item(3), answer("3")))
    again.close()
    again.sort()
    assert [line["index"] for line in lines(journal)] == [0, 1, 2, 3]


# ---- whose file it is ----


@pytest.mark.parametrize("identity", [None, "a"])
def test_an_item_has_one_line(journal: Path, identity: str | None) -> None:
    write(journal, (item(0, identity), answer("Раз")))
    journal.write_bytes(journal.read_bytes() * 2)
    name = "index 0" if identity is None else "id 'a'"
    with pytest.raises(JournalError, match=f"line 2: {name} has a line already; this is no journal of one run"):
        Journal(journal)


def test_another_request_at_a_place(journal: Path) -> None:
    final = InvalidRequestError("odd")
    write(journal, (item(0), answer("Раз")), (item(1, "a"), answer("Два")), (item(2), final), (item(3, "b"), final))
    again = Journal(journal)
    assert str(found(again, item(0, text="Другой"))) == (
        f"the journal {journal} has an answer to another request at this place; give it a file of its own, or requests "
        "an id that they are known by"
    )
    assert str(found(again, item(5, "a", text="Другой"))) == (
        f"the journal {journal} has an answer to another request under the id 'a'; give what is asked now, of this "
        "model, another id, or a journal of its own"
    )
    assert "has the error of another request at this place; give" in str(found(again, item(2, text="Другой")))
    assert str(found(again, item(5, "b", text="Другой"))) == (
        f"the journal {journal} has the error of another request under the id 'b'; give what is asked now, of this "
        "model, another id, or a journal of its own, or ask it again with retry_errors"
    )
    again.close()


def test_an_answer_of_another_endpoint(journal: Path) -> None:
    empty = TokensCountList.model_validate([])
    write(journal, (counted(0, "a"), empty), (counted(1), empty), (counted(2), InvalidRequestError("odd")))
    again = Journal(journal)
    text = f"the journal {journal} has answers of another endpoint"
    assert str(found(again, item(7, "a"))).startswith(f"{text}, tokens.count, under the id 'a'; ")
    assert str(found(again, item(1, text="Другой"))).startswith(f"{text} than {ENDPOINT} at this place; ")
    assert str(found(again, item(2))).startswith(f"{text}, tokens.count, at this place; ")
    again.close()


def test_an_answer_that_is_none(journal: Path) -> None:
    write(journal, (item(0), TokensCountList.model_validate([])))
    again = Journal(journal)
    assert f"the journal {journal} has an answer that is no ChatCompletion" in str(found(again, item(0)))
    again.close()


def test_a_journal_that_is_changed_by_another_hand(journal: Path) -> None:
    write(journal, (item(0), answer("Раз")))
    again = Journal(journal)
    journal.write_bytes(b"")
    assert str(found(again, item(0))) == f"{journal}: it was changed during the run: a line is gone, it is no JSON"
    again.close()


def test_one_run_at_a_time(journal: Path) -> None:
    first = Journal(journal)
    with pytest.raises(JournalError, match="another run is writing this journal; wait for its end, or give another"):
        Journal(journal)
    first.close()
    first.close()
    second = Journal(journal)
    del second
    Journal(journal).close()


def test_a_closed_journal_takes_nothing(journal: Path) -> None:
    closed = Journal(journal)
    closed.close()
    with pytest.raises(JournalError, match="this journal is closed"):
        closed.write(b"\n")
    assert journal.read_bytes() == b""


def test_a_new_journal_has_the_usual_mode(journal: Path) -> None:
    before = os.umask(0o026)
    try:
        Journal(journal).close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o640


def test_a_symbolic_link_is_followed_and_stays(journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.jsonl"
    link.symlink_to(journal)
    write(link, (item(0), APIConnectionError("gone")), (item(1), answer("Раз")))
    Journal(link).close()
    assert link.is_symlink()
    assert [line["index"] for line in lines(journal)] == [1]


def test_places_that_can_hold_no_journal(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        Journal(tmp_path / "nowhere" / "out.jsonl")
    assert missing.value.filename == str(tmp_path / "nowhere" / "out.jsonl")
    with pytest.raises(IsADirectoryError):
        Journal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JournalError, match="a journal is a regular file, which can be read again"):
        Journal(tmp_path / "pipe")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe"]


def test_a_folder_that_cannot_be_written(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(lock: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", lock.path)

    monkeypatch.setattr("gigachat_sdk.bulk._journal.FileLock._take", refuse)
    with pytest.raises(PermissionError) as caught:
        Journal(journal)
    lock = journal.with_name(".out.jsonl.lock")
    assert (caught.value.filename, caught.value.errno) == (str(journal), errno.EACCES)
    assert caught.value.strerror == f"Permission denied, for the lock that stands beside the journal, {lock}"
    assert caught.value.__context__ is None


# ---- the disk ----

FULL = """
import resource, sys
from bulk.test_journal import Journal, Path, answer, item, line_of
journal = Journal(Path(sys.argv[1]))
first, second = (line_of(item(number), answer("x" * 1000)) for number in range(2))
resource.setrlimit(resource.RLIMIT_FSIZE, (len(first) + 500, resource.RLIM_INFINITY))
journal.write(first)
try:
    journal.write(second)
except OSError as error:
    print(error.errno)
journal.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert Path(sys.argv[1]).read_bytes() == first
"""


def test_a_full_disk_raises_and_leaves_whole_lines(journal: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", FULL, str(journal)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, f"{errno.EFBIG}\n", "")


def test_a_line_that_is_written_in_pieces(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[[int, bytes], int] = os.write
    monkeypatch.setattr("gigachat_sdk.bulk._journal.os.write", lambda descriptor, data: real(descriptor, data[:10]))
    write(journal, (item(0), answer("Раз")))
    assert read_line(journal.read_bytes()) == Record(
        None, 0, digest_of(item(0).request, ENDPOINT), answer("Раз").to_dict(), None, True
    )


def test_many_threads_write_whole_lines(journal: Path) -> None:
    shared = Journal(journal)
    items = [[item(100 * thread + number) for number in range(100)] for thread in range(8)]
    written = [line_of(one, answer("x" * (one.index % 50))) for part in items for one in part]

    def work(part: list[Item]) -> None:
        for one in part:
            shared.write(line_of(one, answer("x" * (one.index % 50))))

    threads = [threading.Thread(target=work, args=(part,)) for part in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
    assert sorted(journal.read_bytes().split(b"\n")[:-1]) == sorted(line[:-1] for line in written)
