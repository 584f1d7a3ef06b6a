"""The file: what is written, what is read back, what is cut off, dropped or refused."""

from __future__ import annotations

import errno
import json
import stat
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk.bulk import JournalError
from gigachat_sdk.bulk._items import endpoint_named
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.bulk._records import Record, line_of, read_line
from gigachat_sdk.errors import APIConnectionError
from gigachat_sdk.types import TokensCountList

from .conftest import lines
from .journals import DIGEST, answer, counted, found, item, write

index_of = attrgetter("index")

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
        again.sort(index_of)
        again.close()
        assert [line["index"] for line in lines(journal)] == [0, 1]


def test_empty_lines_are_no_hindrance_to_sorting(journal: Path) -> None:
    write(journal, (item(1), answer("Два")), (item(0), answer("Раз")))
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\n\n"))
    again = Journal(journal)
    again.sort(index_of)
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
        shared.sort(index_of)
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


def test_lines_that_have_no_place_go_last(journal: Path) -> None:
    write(journal, *((item(index), answer(str(index))) for index in (4, 2, 0, 1)))
    again = Journal(journal)
    first = journal.read_bytes().partition(b"\n")[0]
    with journal.open("r+b") as file:
        file.write(b"changed by hand".ljust(len(first)))
    again.sort(lambda record: {0: 1, 1: 0}.get(record.index))
    again.close()
    one, zero, changed, two = journal.read_bytes().splitlines()
    assert [json.loads(line)["index"] for line in (one, zero, two)] == [1, 0, 2]
    assert changed.rstrip() == b"changed by hand"


def test_lines_are_sorted(journal: Path) -> None:
    given = [(item(index), answer(str(index))) for index in (2, 0, 1)]
    write(journal, *given)
    again = Journal(journal)
    again.sort(index_of)
    assert [line["index"] for line in lines(journal)] == [0, 1, 2]
    inode = journal.stat().st_ino
    again.sort(index_of)
    assert journal.stat().st_ino == inode  # they are in order: nothing is to be done
    again.write(line_of(item(3), answer("3")))
    again.close()
    again.sort(index_of)
    assert [line["index"] for line in lines(journal)] == [0, 1, 2, 3]
