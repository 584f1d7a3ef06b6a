"""`FileTokenStore`: where the file may lie, told before anything is sent."""

from __future__ import annotations

import stat
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
