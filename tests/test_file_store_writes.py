"""`FileTokenStore`: writers do not get in each other's way, and what fails for a moment is tried again."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gigachat_sdk._file_places as places_module
import gigachat_sdk._file_store as store_module
from gigachat_sdk import AccessToken, FileTokenStore

NOW = 4_000_000_000.0  # far ahead: tokens whose end lies behind the real clock are dropped
OLD, NEW = AccessToken("old", NOW), AccessToken("new", NOW + 1800)
LEFT = "tokens.json.77-0123456789abcdef.tmp"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def store(path: Path) -> FileTokenStore:
    return FileTokenStore(path)


# ---- temporary files ----


def test_writers_that_do_not_get_the_lock_in_time_do_not_publish_each_others_halves(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.01)
    real, other = json.dump, FileTokenStore(path)
    half: list[str] = []

    def dump(document: Any, file: Any) -> None:
        monkeypatch.setattr(places_module.json, "dump", real)
        text = json.dumps(document)
        file.write(text[:20])
        file.flush()
        other.set("b", OLD)
        half.append(path.read_text())
        file.write(text[20:])

    monkeypatch.setattr(places_module.json, "dump", dump)
    store.set("a", NEW)
    assert len(json.loads(half[0])["tokens"]) == 1
    assert FileTokenStore(path).get("a") == NEW
    assert (store._unsaved, other._unsaved) == ({}, {})
    assert list(path.parent.glob("*.tmp")) == []


KILLED = """
import os, signal, sys
import gigachat_sdk._file_places as places
from gigachat_sdk import AccessToken, FileTokenStore
places.os.replace = lambda *places: os.kill(os.getpid(), signal.SIGKILL)
FileTokenStore(sys.argv[1]).set("a", AccessToken("t"))
"""


def test_what_a_killed_writer_has_left_is_removed(store: FileTokenStore, path: Path) -> None:
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -signal.SIGKILL
    (left,) = path.parent.glob("tokens.json.*.tmp")
    assert left.stat().st_mode & 0o777 == 0o600
    store.set("a", NEW)
    assert left.exists()  # it may yet be somebody's
    os.utime(left, (time.time() - 61, time.time() - 61))
    store.set("a", NEW)
    assert not left.exists()


def old(file: Path) -> None:
    os.utime(file, (0, 0), follow_symlinks=False)


def test_a_link_among_what_was_left_is_removed_and_not_followed(store: FileTokenStore, path: Path) -> None:
    target, link = path.with_name("target"), path.with_name(LEFT)
    target.write_text("mine")
    link.symlink_to(target)
    old(target)
    old(link)
    store.set("a", NEW)
    assert target.read_text() == "mine"
    assert not link.is_symlink()


def test_what_is_not_ours_stays(store: FileTokenStore, path: Path) -> None:
    names = ["tokens.json.backup.tmp", "tokens.json.tmp", "other.77-0123456789abcdef.tmp", "tokens.jsonx" + LEFT[11:]]
    for name in names:
        path.with_name(name).touch()
        old(path.with_name(name))
    os.mkfifo(path.with_name(LEFT))
    old(path.with_name(LEFT))
    store.set("a", NEW)
    assert sorted(file.name for file in path.parent.glob("*.tmp")) == sorted([*names, LEFT])


def test_who_has_not_got_the_lock_removes_nothing(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PATIENCE", 0.01)
    other, left = FileTokenStore(path), path.with_name(LEFT)
    left.touch()
    old(left)
    assert other._changes.acquire()
    store.set("a", NEW)
    assert left.exists()
    other._changes.release()
    store.set("a", NEW)
    assert not left.exists()


@pytest.mark.parametrize("name", ["unlink", "scandir"])
def test_what_cannot_be_removed_does_not_keep_a_token_from_being_saved(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*arguments: Any) -> Any:
        raise PermissionError(errno.EPERM, "it is somebody else's")

    path.with_name(LEFT).touch()
    old(path.with_name(LEFT))
    monkeypatch.setattr(places_module.os, name, refuse)
    store.set("a", NEW)
    assert FileTokenStore(path).get("a") == NEW


# ---- Windows ----


class Readers:
    """Let a rename fail so often, as it does on Windows while somebody reads the file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: float) -> None:
        self.times = times
        self.slept: list[float] = []
        self.real = os.replace
        monkeypatch.setattr(places_module.os, "replace", self.replace)
        monkeypatch.setattr(places_module, "sleep", self.slept.append)

    def replace(self, source: str, target: str) -> None:
        self.times -= 1
        if self.times >= 0:
            raise PermissionError(errno.EACCES, "Access is denied")
        self.real(source, target)


def test_windows_waits_for_those_who_read_the_file(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(monkeypatch, 3)
    monkeypatch.setattr(places_module, "_IS_WINDOWS", True)
    store.set("a", NEW)
    assert FileTokenStore(path).get("a") == NEW
    assert readers.slept == [0.01] * 3


def test_windows_waits_no_longer_than_a_second(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    readers, real = Readers(monkeypatch, float("inf")), time.monotonic
    monkeypatch.setattr(places_module, "_IS_WINDOWS", True)
    monkeypatch.setattr(places_module.time, "monotonic", lambda: real() + sum(readers.slept))
    store.set("a", NEW)
    assert 50 < len(readers.slept) <= 101
    assert "the token is kept in this process alone: [Errno 13] Access is denied" in caplog.text
    assert list(path.parent.glob("*.tmp")) == []


def test_elsewhere_what_is_not_permitted_is_not_tried_again(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = Readers(monkeypatch, 1)
    monkeypatch.setattr(places_module, "_IS_WINDOWS", False)
    store.set("a", NEW)
    assert (readers.slept, FileTokenStore(path).get("a"), store.get("a")) == ([], None, NEW)


# ---- reads that fail ----


class Opening:
    """Let every opening of the tokens fail for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
        self.tries = 0
        real = os.open

        def fail(name: Any, *arguments: Any, **options: Any) -> int:
            if str(name) == str(path):
                self.tries += 1
                raise OSError(number, "no")
            return real(name, *arguments, **options)

        monkeypatch.setattr(store_module.os, "open", fail)


MOMENTARY = [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR, errno.ESTALE]


@pytest.mark.parametrize("number", MOMENTARY)
def test_a_file_that_cannot_be_read_for_a_moment_is_read_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    FileTokenStore(path).set("a", NEW)
    store = FileTokenStore(path)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "gigachat_sdk"):
        opening = Opening(patch, path, number)
        assert store.get("a") is store.get("a") is None
        assert opening.tries == 2
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"tokens are not read from {path}, it will be read again: [Errno {number}]")
    assert store.get("a") == NEW


@pytest.mark.anyio
async def test_a_task_reads_it_again_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileTokenStore(path).set("a", NEW)
    store = FileTokenStore(path)
    with monkeypatch.context() as patch:
        Opening(patch, path, errno.EMFILE)
        assert await store.aget("a") is None
    assert await store.aget("a") == NEW


def test_meanwhile_what_was_known_counts(store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set("a", OLD)
    assert store.get("a") == OLD
    FileTokenStore(path).set("b", OLD)
    with monkeypatch.context() as patch:
        Opening(patch, path, errno.EIO)
        assert (store.get("a"), store.get("b")) == (OLD, None)
        store.set("c", NEW)
    assert (store.get("a"), store.get("c"), FileTokenStore(path).get("a")) == (OLD, NEW, OLD)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR])
def test_what_somebody_has_to_mend_is_not_read_until_it_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    FileTokenStore(path).set("a", NEW)
    store, opening = FileTokenStore(path), Opening(monkeypatch, path, number)
    assert store.get("a") is store.get("a") is None
    assert opening.tries == 1


# ---- refused tokens ----


def test_refused_tokens_are_forgotten_once_others_have_bought_new_ones(store: FileTokenStore, path: Path) -> None:
    other = FileTokenStore(path)
    for number in range(20):
        token = AccessToken(f"t{number}", NOW)
        other.set("a", token)
        assert store.get("a") == token
        store.delete("a", token)
        assert store.get("a") is None
    assert store._refused == {"a": {"t19"}}
    other.set("a", NEW)
    assert store.get("a") == NEW
    assert store._refused == {}


def test_a_refused_token_that_stays_in_the_file_is_remembered_and_the_rest_is_not(
    store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    store.set("a", OLD)
    monkeypatch.setattr(places_module.json, "dump", no_space)
    store.delete("a", OLD)
    for number in range(20):
        token = AccessToken(f"t{number}", NOW)
        store.set("a", token)
        assert store.get("a") == token
        store.delete("a", token)
        assert store.get("a") is None
    assert store._refused == {"a": {"old"}}
