"""The journal as a file: whose it is, where it stands, what becomes of it when the disk is full."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk.bulk import JournalError
from gigachat_sdk.bulk._items import Item, digest_of
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.bulk._records import Record, line_of, read_line
from gigachat_sdk.errors import APIConnectionError
from gigachat_sdk.types import TokensCountList

from .conftest import lines
from .journals import ENDPOINT, answer, counted, found, item, write

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
    assert str(found(again, item(2, text="Другой"))) == (
        f"the journal {journal} has the error of another request at this place; give it a file of its own, or requests "
        "an id that they are known by, or ask it again with retry_errors"
    )
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
    with pytest.raises(OSError, match="it was shortened by somebody else during the run"):
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
        timeout=180,
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
