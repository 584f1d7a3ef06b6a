"""`FileTokenStore`: where the file may lie, told before anything is sent."""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AccessToken, ConfigurationError, FileTokenStore

NEW = AccessToken("new")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_the_home_folder_and_missing_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    FileTokenStore("~/.cache/gigachat/tokens.json").set("a", NEW)
    folder = tmp_path / ".cache" / "gigachat"
    assert (mode(folder), mode(folder / "tokens.json")) == (0o700, 0o600)


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FileTokenStore("tokens.json")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    store.set("a", NEW)
    assert (tmp_path / "tokens.json").exists()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "it is empty"),
        ("a\0b", "it has a null character in it"),
        ("{folder}", "it is a folder, and a file is needed"),
        ("{folder}/file/tokens.json", r"\[Errno"),
        ("~nobody-of-this-name/tokens.json", "home"),
    ],
)
def test_a_path_that_cannot_be_is_refused_at_once(tmp_path: Path, given: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=f"^path: tokens cannot be kept in .*: .*{reason}"):
        FileTokenStore(given.format(folder=tmp_path))


@pytest.mark.parametrize("given", [None, 5, b"tokens.json"])
def test_what_is_no_path_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="path: expected the name of a file, got "):
        FileTokenStore(given)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


PRECIOUS: list[tuple[str, Callable[[Path], Any]]] = [
    ("a folder", Path.mkdir),
    ("a pipe", os.mkfifo),
    ("a socket", as_socket),
]


@pytest.mark.parametrize(("kind", "make"), PRECIOUS, ids=[row[0] for row in PRECIOUS])
def test_what_is_no_file_is_refused_at_once_and_never_replaced(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    make: Callable[[Path], Any],
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    path = Path("tokens.json")
    store = FileTokenStore(path)  # there is nothing yet
    make(path)
    before = path.lstat()
    with pytest.raises(ConfigurationError, match=rf"^path: tokens cannot be kept in .*: it is {kind}, and a file is"):
        FileTokenStore(path)
    with caplog.at_level(logging.WARNING, "gigachat_sdk"):
        assert store.get("a") is store.get("a") is None
        store.set("a", NEW)
        assert store.get("a") == NEW
    place = path.absolute()
    assert (
        caplog.messages[0]
        == f"tokens are not read from {place}, it is left as it is: it is {kind}, and a file is needed"
    )
    assert caplog.messages[1].startswith(f"{place} cannot be written, the token is kept in this process alone: ")
    assert len(caplog.messages) == 2
    assert os.path.samestat(path.lstat(), before)
    assert sorted(other.name for other in tmp_path.iterdir()) == ["tokens.json", "tokens.json.lock"]


@pytest.mark.parametrize("given", ["/dev/null", "/dev/full"])
def test_a_device_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="it is a device, and a file is needed"):
        FileTokenStore(given)
    assert stat.S_ISCHR(Path(given).lstat().st_mode)


def test_what_is_no_file_in_the_place_of_the_temporary_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "ab" * size)
    store, temporary = FileTokenStore(tmp_path / "tokens.json"), tmp_path / f"tokens.json.{os.getpid()}-{'ab' * 8}.tmp"
    os.mkfifo(temporary)
    os.utime(temporary, (0, 0))
    store.set("a", NEW)
    assert store.get("a") == NEW
    assert "File exists" in caplog.text
    assert stat.S_ISFIFO(temporary.lstat().st_mode)


def test_a_link_to_a_device_is_replaced_and_the_device_is_not(tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.symlink_to("/dev/null")
    FileTokenStore(path).set("a", NEW)
    assert FileTokenStore(path).get("a") == NEW
    assert stat.S_ISCHR(Path("/dev/null").lstat().st_mode)
