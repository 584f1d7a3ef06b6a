"""What becomes of a run whose journal somebody else removes, moves, replaces or writes while it goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gigachat_sdk import bulk
from gigachat_sdk.bulk import JournalError
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.bulk._journal_file import keep_owner
from gigachat_sdk.bulk._records import line_of
from gigachat_sdk.errors import APIConnectionError
from gigachat_sdk.testing import Emulator

from .conftest import Engine, asked, asking, lines, numbered
from .journals import answer, item, write


def remove(journal: Path) -> None:
    journal.unlink()


def move(journal: Path) -> None:
    journal.rename(journal.with_name("moved.jsonl"))


def replace(journal: Path) -> None:
    other = journal.with_name("other.jsonl")
    other.write_bytes(journal.read_bytes())
    other.replace(journal)


def replace_and_keep(journal: Path) -> None:
    move(journal)
    journal.write_bytes(b"")


def shorten(journal: Path) -> None:
    os.truncate(journal, 5)


def add(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b"{}\n")


HANDS = [
    (remove, "removed", "are gone with it"),
    (move, "moved away", "stand where it is now"),
    (replace, "replaced", "are gone with it"),
    (replace_and_keep, "replaced", "stand where it is now"),
    (shorten, "shortened", "may be gone"),
    (add, "written to", "stand there among others"),
]


@pytest.mark.parametrize(("hand", "what", "where"), HANDS)
@pytest.mark.parametrize("then", ["write", "sort", "close"])
def test_a_journal_that_is_no_longer_what_it_was(
    journal: Path, hand: Callable[[Path], None], what: str, where: str, then: str
) -> None:
    write(journal, (item(0), answer("Раз")))
    again = Journal(journal)
    again.write(line_of(item(1), answer("Два")))
    hand(journal)
    left = journal.read_bytes() if journal.exists() else None
    calls: dict[str, Callable[[], object]] = {
        "write": lambda: again.write(line_of(item(2), answer("Три"))),
        "sort": lambda: again.sort(lambda record: -record.index),
        "close": again.close,
    }
    with pytest.raises(OSError, match="by somebody else") as caught:
        calls[then]()
    assert caught.value.strerror == (
        f"it was {what} by somebody else during the run; the lines of this run, 1 in number, {where}"
    )
    assert caught.value.errno == errno.ESTALE
    assert caught.value.filename == str(journal)
    if then != "close":
        with pytest.raises(OSError, match="by somebody else"):
            again.close()
    again.close()
    assert (journal.read_bytes() if journal.exists() else None) == left


@pytest.mark.parametrize("hand", [remove, move, shorten])
def test_a_run_whose_journal_goes_away_says_so(
    engine: Engine, emulator: Emulator, journal: Path, hand: Callable[[Path], None]
) -> None:
    def progress(state: bulk.BulkProgress) -> None:
        if state.done == 3:
            hand(journal)

    results, error = engine.run(numbered(200), journal, concurrency=2, progress=progress)
    assert isinstance(error, OSError)
    assert "by somebody else during the run" in str(error)
    assert 3 <= len(results) == len([result for result in results if result.error is None])
    assert len(asked(emulator)) < 20
    assert not journal.with_name(f".{journal.name}.lock").exists()


def test_a_run_whose_journal_goes_away_after_the_last_answer_says_so(engine: Engine, journal: Path) -> None:
    results, error = engine.run(numbered(1), journal, progress=lambda state: journal.unlink())
    assert isinstance(error, OSError)
    assert error.strerror == (
        "it was removed by somebody else during the run; the lines of this run, 1 in number, are gone with it"
    )
    assert len(results) == 1


def test_a_journal_that_was_shortened_is_not_filled_up_with_zeros(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        os.truncate(journal, 0)
        raise OSError(errno.ENOSPC, "No space left on device")

    again = Journal(journal)
    again.write(line_of(item(0), answer("Раз")))
    monkeypatch.setattr("gigachat_sdk.bulk._journal.os.write", full)
    with pytest.raises(OSError, match="No space left on device"):
        again.write(line_of(item(1), answer("Два")))
    assert journal.read_bytes() == b""


# ---- the lock ----


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_a_lock_that_was_removed_lets_no_other_run_in(journal: Path, is_rewritten: bool) -> None:
    if is_rewritten:  # then another file stands in the place of the first one
        write(journal, (item(1), answer("Два")), (item(0), answer("Раз")), (item(2), APIConnectionError("gone")))
    first = Journal(journal)
    if is_rewritten:
        first.sort(lambda record: record.index)
    journal.with_name(f".{journal.name}.lock").unlink()
    with pytest.raises(JournalError, match="another run is writing this journal; wait for its end, or give another"):
        Journal(journal)
    first.write(line_of(item(5), answer("Пять")))
    first.close()
    Journal(journal).close()
    assert [line["index"] for line in lines(journal)] == ([0, 1, 5] if is_rewritten else [5])


def test_a_child_of_a_fork_keeps_no_journal_locked(journal: Path) -> None:
    first = Journal(journal)
    (is_there, say), (may_end, let_end) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(let_end)
        os.write(say, b".")
        os.read(may_end, 1)
        os._exit(0 if first._descriptor is None else 1)
    assert os.read(is_there, 1) == b"."
    descriptor, first._descriptor = first._descriptor, None
    assert descriptor is not None
    os.close(descriptor)  # as when the parent is killed: nobody unlocks anything
    first.close()
    Journal(journal).close()
    for end in (is_there, say, may_end, let_end):
        os.close(end)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- whose file it is ----


def test_a_file_that_takes_a_journal_s_place_keeps_its_owner(journal: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    write(journal, (item(0), APIConnectionError("gone")), (item(1), answer("Раз")))
    os.chown(journal, 12345, 23456)
    journal.chmod(0o640)
    Journal(journal).close()
    facts = journal.stat()
    assert (facts.st_uid, facts.st_gid, facts.st_mode & 0o7777) == (12345, 23456, 0o640)


def test_an_owner_that_may_not_be_kept_is_no_error(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[tuple[int, int]] = []

    def refuse(path: Path, owner: int, group: int) -> None:
        asked_for.append((owner, group))
        raise PermissionError(errno.EPERM, "Operation not permitted")

    facts: Any = SimpleNamespace(st_uid=1, st_gid=2)
    monkeypatch.setattr("gigachat_sdk.bulk._journal_file.os.chown", refuse)
    keep_owner(journal, facts)
    assert asked_for == [(-1, 2), (1, -1)]
    monkeypatch.delattr("gigachat_sdk.bulk._journal_file.os.chown")
    keep_owner(journal, facts)


def test_a_run_goes_on_where_one_was_that_lost_its_journal(engine: Engine, emulator: Emulator, journal: Path) -> None:
    def progress(state: bulk.BulkProgress) -> None:
        if state.done == 1:
            move(journal)

    _, error = engine.run(numbered(20), journal, concurrency=1, progress=progress)
    assert isinstance(error, OSError)
    before = asked(emulator)
    results = engine.results([asking("0")], journal.with_name("moved.jsonl"))
    assert [result.from_journal for result in results] == [True]
    assert asked(emulator) == before
