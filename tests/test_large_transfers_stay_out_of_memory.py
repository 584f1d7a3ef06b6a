"""Uploads and downloads of 200 MB cost a few megabytes of memory; the emulator of the same process included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MOST = 40  # MiB
COMMON = """
import filecmp, os, resource, sys
from gigachat_sdk.testing import Emulator

KIND, DIRECTORY = sys.argv[1:]
SOURCE, TARGET = os.path.join(DIRECTORY, "source.bin"), os.path.join(DIRECTORY, "target.bin")
SIZE = os.path.getsize(SOURCE)
UNIT = 1 if sys.platform == "darwin" else 1024

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1024 / 1024

def check(made):
    assert (made.bytes, made.filename) == (SIZE, "source.bin"), made

def check_target():
    assert filecmp.cmp(SOURCE, TARGET, shallow=False)
    assert sorted(os.listdir(DIRECTORY)) == ["source.bin", "target.bin"]
"""
SYNC = """
with Emulator(limits=False) as emulator, emulator.client(timeout=60) as client:
    client.files.content(client.files.create(file=("a.txt", b"x" * 100_000))).write_to_file(TARGET)
    before = peak()
    made = client.files.create(file=SOURCE)
    check(made)
    with open(SOURCE, "rb") as file:
        check(client.files.create(file=file))
    client.files.content(made).write_to_file(TARGET)
    print(peak() - before)
check_target()
"""
ASYNC = """
import anyio

async def main():
    with Emulator(limits=False) as emulator:
        async with emulator.async_client(timeout=60) as client:
            small = await client.files.create(file=("a.txt", b"x" * 100_000))
            await (await client.files.content(small)).write_to_file(TARGET)
            before = peak()
            made = await client.files.create(file=SOURCE)
            check(made)
            with open(SOURCE, "rb") as file:
                check(await client.files.create(file=file))
            await (await client.files.content(made)).write_to_file(TARGET)
            print(peak() - before)
    check_target()

anyio.run(main, backend=KIND)
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a large file, which is gone after the test; pytest would keep it for days."""
    with tempfile.TemporaryDirectory() as name:
        with (Path(name) / "source.bin").open("wb") as source:
            for number in range(200):
                source.write(bytes([number]) * 1024 * 1024)
        yield Path(name)


@pytest.mark.parametrize("kind", ["sync", "asyncio", pytest.param("trio", marks=pytest.mark.soak)])
def test_two_hundred_megabytes_go_up_and_down_in_a_few(kind: str, directory: Path) -> None:
    program = COMMON + (SYNC if kind == "sync" else ASYNC)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, kind, str(directory)],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST
