"""`_downloads.py`: a file that stands under its name only when it is complete."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import InvalidRequestError
from gigachat_sdk._downloads import PartFile


def names(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.iterdir())


def test_nothing_stands_under_the_name_before_it_is_complete(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.jpg", "t0")
    part.open()
    part.write(b"con")
    part.write(b"tent")
    assert names(tmp_path) == [".gigachat-t0.part"]
    part.commit()
    assert names(tmp_path) == ["a.jpg"]
    part.discard()
    assert (tmp_path / "a.jpg").read_bytes() == b"content"


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")
    part = PartFile(str(tmp_path / "a.jpg"), "t0")
    part.open()
    part.write(b"new")
    part.discard()
    part.discard()
    assert names(tmp_path) == ["a.jpg"]
    assert (tmp_path / "a.jpg").read_bytes() == b"old"


def test_what_was_never_opened_is_harmless(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.jpg", "t0")
    part.write(b"x")
    part.commit()
    part.discard()
    assert names(tmp_path) == []


def test_what_is_opened_after_it_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.jpg", "t0")  # as when a caller is cancelled while a thread opens it
    part.discard()
    part.open()
    assert names(tmp_path) == []
    assert part._file is not None
    assert part._file.closed


def test_a_failure_after_opening_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"old")

    def fail(path: Path, mode: int) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", fail)
    part = PartFile(tmp_path / "a.jpg", "t0")
    with pytest.raises(PermissionError) as caught:
        part.open()
    assert caught.value.filename == str(tmp_path / "a.jpg")
    part.discard()
    assert names(tmp_path) == ["a.jpg"]


def test_what_cannot_be_flushed_is_thrown_away_quietly(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "a.jpg", "t0")
    part.open()
    assert part._file is not None
    part._file.close()

    class Full:
        def close(self) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    part._file = Full()  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left on device"):
        part.commit()
    part.discard()
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", [None, 5, b"a.jpg"])
def test_a_path_is_a_string_or_a_path(path: Any) -> None:
    with pytest.raises(TypeError, match="path: expected a path, got"):
        PartFile(path, "t0")


def test_a_path_that_no_system_takes_is_an_invalid_request() -> None:
    with pytest.raises(InvalidRequestError, match=r"path: this is no path: .*embedded null"):
        PartFile("a\0b", "t0").open()
