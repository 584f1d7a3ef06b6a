"""`FileTokenStore`: one token for the processes of a machine, in a file that nobody else may read or bend."""

from __future__ import annotations

import errno
import json
import logging
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gigachat_sdk._file_places as places_module
import gigachat_sdk._file_store as store_module
from gigachat_sdk import (
    AccessToken,
    FileTokenStore,
    RateLimitError,
    TokenStore,
)
from gigachat_sdk._token_failures import TokenFailure
from gigachat_sdk.stores import AsyncRefreshLock, RefreshLock, SealsTokens, SharesFailures
from gigachat_sdk.types.http import Headers, ResponseInfo

NOW = 4_000_000_000.0  # far ahead: tokens whose end lies behind the real clock are dropped
OLD, NEW = AccessToken("old", NOW), AccessToken("new", NOW + 1800)
FAILURE = TokenFailure(2, NOW, 2.0, RateLimitError("busy", response=ResponseInfo(429, Headers())))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


@pytest.fixture
def store(path: Path) -> FileTokenStore:
    return FileTokenStore(path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_it_is_a_token_store(store: FileTokenStore) -> None:
    assert isinstance(store, TokenStore)
    assert isinstance(store, SharesFailures)
    assert not isinstance(store, SealsTokens)
    assert isinstance(store.lock("a"), RefreshLock)
    assert isinstance(store.alock("a"), AsyncRefreshLock)


def test_tokens_are_kept_by_name_and_other_processes_see_them(store: FileTokenStore, path: Path) -> None:
    other = FileTokenStore(path)
    assert store.get("a") is None
    store.set("a", OLD)
    assert other.get("a") == OLD
    other.set("b", AccessToken("for ever"[:3]))
    assert (store.get("a"), store.get("b")) == (OLD, AccessToken("for"))
    store.set("a", NEW)
    assert other.get("a") == NEW
    assert pickle.loads(pickle.dumps(store)).get("a") == NEW


@pytest.mark.anyio
async def test_the_async_twins_see_the_same(store: FileTokenStore, path: Path) -> None:
    other = FileTokenStore(path)
    assert await store.aget("a") is None
    await store.aset("a", OLD)
    assert await other.aget("a") == await other.aget("a") == other.get("a") == OLD
    await other.adelete("a", NEW)
    assert await store.aget("a") == OLD
    await other.adelete("a", OLD)
    assert await store.aget("a") is None
    assert await store.aget_failure("a", NOW) is None
    await store.aset_failure("a", FAILURE, NOW)
    assert (await other.aget_failure("a", NOW) or FAILURE).count == 2
    assert store.get_failure("a", NOW) is not None


def test_the_file_is_for_its_owner_alone_and_shows_no_name(store: FileTokenStore, path: Path) -> None:
    previous = os.umask(0)
    try:
        store.set("oauth:1234", OLD)
        os.umask(0o777)
        store.set("oauth:1234", NEW)
    finally:
        os.umask(previous)
    assert mode(path) == 0o600
    assert store.get("oauth:1234") == NEW
    assert "1234" not in path.read_text()
    assert sorted(other.name for other in path.parent.iterdir()) == ["tokens.json", "tokens.json.lock"]


def test_neither_the_repr_nor_the_lock_shows_a_token(store: FileTokenStore, path: Path) -> None:
    store.set("a", AccessToken("s3cr3t"))
    assert repr(store) == f"FileTokenStore({str(path)!r})"
    assert "s3cr3t" not in f"{store.lock('a')!r} {store.__dict__!r}"


def test_it_is_never_seen_half_written(store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.set("a", OLD)
    before = path.read_text()
    seen: list[tuple[str, int]] = []
    real = os.replace

    def replace(source: str, target: str) -> None:
        seen.append((path.read_text(), mode(Path(source))))
        real(source, target)

    monkeypatch.setattr(places_module.os, "replace", replace)
    store.set("a", NEW)
    assert seen == [(before, 0o600)]


@pytest.mark.parametrize(
    ("asked", "left"), [(OLD, None), (AccessToken("old"), None), (AccessToken("old", 99.0), None), (NEW, OLD)]
)
def test_only_the_token_in_question_is_forgotten(
    store: FileTokenStore, path: Path, asked: AccessToken, left: AccessToken | None
) -> None:
    store.set("a", OLD)
    store.set("b", OLD)
    store.delete("a", asked)
    for one in (store, FileTokenStore(path)):
        assert one.get("a") == left
        assert one.get("b") == OLD
    store.delete("c", OLD)


def test_a_token_that_was_renewed_while_the_lock_was_waited_for_stays(store: FileTokenStore) -> None:
    store.set("a", NEW)
    content = store._read()
    store_module._remove(store._key("a"), OLD, content)
    store_module._remove("missing", OLD, content)
    assert content.tokens == {store._key("a"): NEW}


def test_a_file_that_did_not_change_is_not_read_again(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.set("a", OLD)
    assert store.get("a") == OLD
    monkeypatch.setattr(store, "_read", lambda: pytest.fail("it did not change"))
    for _ in range(3):
        assert store.get("a") == OLD
    monkeypatch.undo()
    path.unlink()
    assert store.get("a") is None
    monkeypatch.setattr(store, "_read", lambda: pytest.fail("it is still not there"))
    assert store.get("a") is None


@pytest.mark.parametrize("end", [int(NOW), NOW + 0.5, None])
def test_an_end_may_be_a_whole_number(store: FileTokenStore, path: Path, end: float | None) -> None:
    store.set("a", AccessToken("t", end))
    assert store.get("a") == FileTokenStore(path).get("a") == AccessToken("t", end)


def test_tokens_that_ended_long_ago_are_dropped(store: FileTokenStore, path: Path) -> None:
    store.set("a", AccessToken("ended", 1_000_000_000.0))
    store.set("b", NEW)
    assert len(json.loads(path.read_text())["tokens"]) == 1


# ---- files that are not to be trusted ----


def good(path: Path) -> None:
    FileTokenStore(path).set("a", AccessToken("foreign"))


def as_link(path: Path) -> None:
    target = path.with_name("target")
    good(target)
    path.symlink_to(target)


def as_group_readable(path: Path) -> None:
    good(path)
    path.chmod(0o640)


def as_writable_by_others(path: Path) -> None:
    good(path)
    path.chmod(0o602)


def written(text: str | bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o600)

    return write


FOREIGN: list[tuple[str, Callable[[Path], Any], str]] = [
    ("link", as_link, "it is a link"),
    ("dangling link", lambda path: path.symlink_to(path.with_name("nowhere")), "it is a link"),
    ("group-readable", as_group_readable, r"others may read or write it \(mode 640\)"),
    ("writable by others", as_writable_by_others, r"others may read or write it \(mode 602\)"),
    ("empty", written(""), "its content is no file of tokens"),
    ("cut", written('{"format": "gigachat-sdk tokens 1", "tok'), "its content is no file of tokens"),
    ("binary", written(bytes(range(256))), "its content is no file of tokens"),
    ("deep", written("[" * 100_000), "its content is no file of tokens"),
    ("list", written("[]"), "its content is no file of tokens"),
    ("somebody else's JSON", written('{"tokens": {}}'), "its content is no file of tokens"),
    ("of another version", written('{"format": "gigachat-sdk tokens 2"}'), "its content is no file of tokens"),
    ("large", written(b" " * 5_000_000), "it is larger than any file of tokens"),
]


@pytest.mark.parametrize(("make", "reason"), [row[1:] for row in FOREIGN], ids=[row[0] for row in FOREIGN])
def test_what_is_no_file_of_ours_is_ignored_with_a_warning_and_replaced(
    path: Path, make: Callable[[Path], Any], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    make(path)
    target = path.with_name("target")
    before = target.read_text() if target.exists() else None
    store = FileTokenStore(path)
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        assert store.get("a") is store.get("a") is None
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith(f"tokens are not read from {path}, it will be replaced: ")
    assert __import__("re").search(reason, caplog.text)
    store.set("a", NEW)
    assert FileTokenStore(path).get("a") == NEW
    assert (mode(path), stat.S_ISREG(path.lstat().st_mode)) == (0o600, True)
    assert (target.read_text() if target.exists() else None) == before
    assert not path.with_name("nowhere").exists()
    assert len(caplog.records) == 1


def test_a_file_of_another_user_is_ignored(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good(path)
    store = FileTokenStore(path)
    assert store.get("a") == AccessToken("foreign")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert FileTokenStore(path).get("a") is None


def test_a_link_that_comes_after_the_look_is_not_followed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_link(path)
    plain = path.with_name("target").lstat()
    monkeypatch.setattr(store_module.os, "lstat", lambda name: plain)
    assert FileTokenStore(path).get("a") is None


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = path.with_name("target")
    target.write_text("mine")
    monkeypatch.setattr("secrets.token_hex", lambda size: "ab")
    temporary = path.with_name(f"tokens.json.{os.getpid()}-ab.tmp")
    temporary.symlink_to(target)
    store.set("a", NEW)
    assert store.get("a") == NEW
    assert "File exists" in caplog.text
    assert target.read_text() == "mine"
    assert temporary.is_symlink()


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "x",
        {},
        {"value": 5},
        {"value": ""},
        {"value": "a\nb"},
        {"value": "ы"},
        {"value": "x", "expires_at": "soon"},
        {"value": "x", "expires_at": 1e400},
        {"value": "x", "expires_at": True},
        {"value": "x", "expires_at": 10**400},
        {"value": "x", "expires_at": float("nan")},
    ],
)
def test_of_a_file_with_odd_entries_the_rest_is_taken(store: FileTokenStore, path: Path, entry: Any) -> None:
    store.set("good", NEW)
    document = json.loads(path.read_text())
    document["tokens"][store._key("odd")] = entry
    document["failures"] = {store._key("odd"): entry}
    path.write_text(json.dumps(document))
    assert (store.get("odd"), store.get("good")) == (None, NEW)
    assert store.get_failure("odd", NOW) is None


def test_odd_tables(store: FileTokenStore, path: Path) -> None:
    written(json.dumps({"format": "gigachat-sdk tokens 1", "tokens": [], "failures": 5}))(path)
    assert store.get("a") is None


# ---- files that cannot be written ----


def no_space(*args: Any, **options: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_token_that_cannot_be_saved_is_used_all_the_same(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.set("a", OLD)
    monkeypatch.setattr(places_module.json, "dump", no_space)
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        store.set("a", NEW)
    assert caplog.messages == [
        f"{path} cannot be written, the token is kept in this process alone: [Errno 28] No space left on device"
    ]
    assert store.get("a") == NEW
    assert FileTokenStore(path).get("a") == OLD
    assert list(path.parent.glob("*.tmp")) == []
    monkeypatch.undo()
    FileTokenStore(path).set("a", AccessToken("newest", NOW + 3600))
    assert store.get("a") == AccessToken("newest", NOW + 3600)
    store.set("b", OLD)
    store.set("a", AccessToken("last"))
    assert (store.get("a"), FileTokenStore(path).get("a")) == (AccessToken("last"), AccessToken("last"))


def test_a_refused_token_that_cannot_be_taken_out_is_not_given_out_again(
    store: FileTokenStore, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.set("a", OLD)
    monkeypatch.setattr(places_module.json, "dump", no_space)
    store.delete("a", OLD)
    assert "other processes may find a refused token there: [Errno 28]" in caplog.text
    assert store.get("a") is None
    store.set("a", NEW)
    store.delete("a", OLD)
    assert store.get("a") == NEW
    store.delete("a", NEW)
    assert store.get("a") is None
    store.set_failure("a", FAILURE, NOW)
    assert "other processes do not know of a failure" in caplog.text


def test_a_folder_that_goes_away(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    store = FileTokenStore(folder / "tokens.json")
    folder.rmdir()
    store.set("a", NEW)
    assert store.get("a") == NEW
    assert "cannot be written" in caplog.text
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        assert store.lock("a").acquire()
    assert "processes cannot share a token, each buys its own" in caplog.text
    other = store.lock("a")
    other.release()
    assert other.acquire(wait=False)
    other.leave_to_parent()


def test_the_child_of_a_fork_leaves_the_lock_of_a_token_to_its_parent(store: FileTokenStore, path: Path) -> None:
    lock = store.lock("a")
    assert lock.acquire()
    lock.leave_to_parent()
    lock.release()
    assert lock.acquire()  # in this test the parent's is closed as well
    lock.release()
