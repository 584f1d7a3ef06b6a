"""`_file_lock.py`: between processes, through kills and forks, and on files that are not to be trusted."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import gigachat_sdk._file_lock as file_lock_module
from gigachat_sdk._file_lock import FileLock, trouble_with

HOLDER = """
import sys, time
from gigachat_sdk._file_lock import FileLock
lock = FileLock(sys.argv[1])
assert lock.acquire()
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("free", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.lock"


def other_process(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_file_is_for_its_owner_alone_and_stays(path: Path) -> None:
    lock = FileLock(path)
    assert not path.exists()
    assert lock.acquire()
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    lock.release()
    assert path.read_bytes() == b""
    assert repr(lock) == f"FileLock({str(path)!r})"


def test_two_locks_on_one_file_are_one(path: Path) -> None:
    one, other = FileLock(path), FileLock(str(path))
    assert one.acquire()
    assert not other.acquire(wait=False)
    other._busy_until = 0.0
    one.release()
    assert other.acquire(wait=False)
    other.release()


@pytest.mark.anyio
async def test_a_task_and_a_thread_exclude_each_other(path: Path) -> None:
    one, other = FileLock(path), FileLock(path)
    assert await one.aacquire()
    assert not other.acquire(wait=False)
    one.release()
    other._busy_until = 0.0
    assert other.acquire(wait=False)
    assert not await one.aacquire(wait=False)
    other.release()


def test_another_process_excludes_this_one(path: Path) -> None:
    lock = FileLock(path)
    with other_process(path) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert not lock.acquire(wait=False)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "free\n"
        lock._busy_until = 0.0
        assert lock.acquire(wait=False)
        lock.release()
        process.stdin.write("\n")


def test_a_process_that_is_killed_gives_it_back(path: Path) -> None:
    lock = FileLock(path)
    with other_process(path) as process:
        assert not lock.acquire(wait=False)
        process.kill()
        process.wait()
    assert lock.acquire()
    lock.release()


def test_a_file_that_was_removed_meanwhile_is_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a file that somebody has replaced would hold another lock than the rest."""
    lock, real = FileLock(path), file_lock_module._lock
    replacements: list[Any] = [path.unlink, lambda: (path.unlink(), path.touch())]

    def replaced(descriptor: int) -> None:
        real(descriptor)
        if replacements:
            replacements.pop()()

    monkeypatch.setattr(file_lock_module, "_lock", replaced)
    assert not lock.acquire(wait=False)
    lock._busy_until = 0.0
    assert not lock.acquire(wait=False)
    lock._busy_until = 0.0
    assert lock.acquire(wait=False)
    lock.release()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    path.symlink_to(target)
    with pytest.raises(OSError, match=r"x\.lock"):
        FileLock(path).acquire(wait=False)
    assert not target.exists()


def test_what_is_no_regular_file_is_refused_at_once(path: Path) -> None:
    os.mkfifo(path)
    with pytest.raises(OSError, match="the lock file cannot be used: it is no regular file; remove it"):
        FileLock(path).acquire()


def test_a_file_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    facts = path.stat()
    assert trouble_with(facts) is None
    monkeypatch.setattr(os, "geteuid", lambda: facts.st_uid + 1)
    assert trouble_with(facts) == "it belongs to another user"
    with pytest.raises(PermissionError, match="it belongs to another user; remove it"):
        FileLock(path).acquire()
    monkeypatch.delattr(os, "geteuid")
    assert trouble_with(facts) is None  # Windows has no such thing


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FileLock(tmp_path / "missing" / "x.lock").acquire(wait=False)


def descriptors(path: Path) -> list[str]:
    """Return where this process has a file open; what other tests have left open does not count."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that the folder was read with
            if descriptor.readlink() == path.resolve():
                found.append(descriptor.name)
    return found


def test_a_disk_without_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(file_lock_module, "_lock", refuse)
    with pytest.raises(OSError, match="No locks available"):
        FileLock(path).acquire()
    assert descriptors(path) == []


def test_a_child_closes_the_file_and_does_not_unlock_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(path)
    assert lock.acquire()
    assert len(descriptors(path)) == 1
    monkeypatch.setattr(file_lock_module, "_unlock", lambda descriptor: pytest.fail("it is the parent's"))
    lock.leave_to_parent()  # what happens in a child
    lock.release()
    assert descriptors(path) == []


def test_giving_it_back_does_not_wait_for_a_child_that_has_the_file_open_too(path: Path) -> None:
    lock, other = FileLock(path), FileLock(path)
    assert lock.acquire()
    assert lock._held is not None
    of_a_child = os.dup(lock._held)  # as a fork in another thread leaves it, until the child's hook has run
    lock.release()
    assert other.acquire(wait=False)
    other.release()
    os.close(of_a_child)


FORK = """
import os, signal, sys, time
from gigachat_sdk._file_lock import FileLock
lock, path = FileLock(sys.argv[1]), sys.argv[1]
assert lock.acquire()
reader, writer = os.pipe()
child = os.fork()
if not child:
    os.close(writer)
    lock.release()  # of the parent's lock nothing is released
    assert not FileLock(path).acquire(wait=False), "the child has taken the lock away"
    print("child", os.getpid(), flush=True)
    os.read(reader, 1)
    os._exit(0)
os.read(reader, 1)
"""


def test_a_child_neither_releases_nor_keeps_the_lock_of_its_parent(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, str(path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        word, child = parent.stdout.readline().split()
        assert word == "child"
        lock = FileLock(path)
        assert not lock.acquire(wait=False)
        parent.kill()
        parent.wait()
        try:
            assert lock.acquire()  # though the child lives on
            lock.release()
        finally:
            os.kill(int(child), signal.SIGKILL)
