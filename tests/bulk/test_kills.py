"""A run that is killed three times gives each item one result, and asks no more twice than was in flight."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from gigachat_sdk.testing import Emulator, RecordedRequest

from .conftest import CHAT, asked, asking, lines

CONCURRENCY = 8
KILLS = 3

SCRIPT = """
import json, sys
import anyio
from gigachat_sdk import AsyncClient, bulk

async def requests():
    with open(sys.argv[2], encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)

async def main():
    async with AsyncClient() as client:
        async for result in bulk.amap(client, requests(), sys.argv[3], False, int(sys.argv[4])):
            result.unwrap()

anyio.run(main, backend=sys.argv[1])
"""


class Killer:
    """Kills a process once so many requests have come."""

    def __init__(self, emulator: Emulator) -> None:
        self._left = -1
        self._process: subprocess.Popen[bytes] | None = None
        emulator.on(CHAT, self)

    def aim(self, process: subprocess.Popen[bytes], count: int) -> None:
        self._left = count
        self._process = process

    def __call__(self, request: RecordedRequest) -> None:
        self._left -= 1
        if self._left == 0 and self._process is not None:
            self._process.send_signal(signal.SIGKILL)


def command(kind: str, source: Path, output: Path) -> list[str]:
    if kind == "command":
        options = ["--concurrency", str(CONCURRENCY), str(source), str(output)]
        return [sys.executable, "-W", "error", "-m", "gigachat_sdk", "bulk", *options]
    return [sys.executable, "-W", "error", "-c", SCRIPT, kind, str(source), str(output), str(CONCURRENCY)]


def case(kind: str, count: int, *, has_ids: bool, is_long: bool = False) -> object:
    return pytest.param(kind, count, has_ids, marks=pytest.mark.soak if is_long else ())


@pytest.mark.parametrize(
    ("kind", "count", "has_ids"),
    [
        case("command", 1_500, has_ids=True),
        case("command", 1_500, has_ids=False),
        case("asyncio", 1_500, has_ids=True),
        case("trio", 1_500, has_ids=False, is_long=True),
        case("command", 10_000, has_ids=True, is_long=True),
        case("asyncio", 10_000, has_ids=False, is_long=True),
        case("trio", 10_000, has_ids=True, is_long=True),
    ],
)
def test_each_item_has_one_result(emulator: Emulator, tmp_path: Path, kind: str, count: int, has_ids: bool) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    items = [{"id": f"i{number}", "request": asking(f"вопрос {number}")} for number in range(count)]
    given = items if has_ids else [item["request"] for item in items]
    source.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in given), encoding="utf-8")
    settings = {
        "GIGACHAT_BASE_URL": emulator.base_url,
        "GIGACHAT_AUTH_URL": emulator.auth_url,
        "GIGACHAT_CREDENTIALS": emulator.credentials,
    }
    without = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    killer = Killer(emulator)
    seed = random.Random(f"{kind} {count} {has_ids}")
    ends: list[int] = []
    for _ in range(KILLS + 1):
        is_last = len(ends) == KILLS
        with subprocess.Popen(
            command(kind, source, output),
            env={**without, **settings},
            stdin=subprocess.PIPE,  # the command waits for nothing here
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            if not is_last:
                killer.aim(process, seed.randrange(CONCURRENCY, count // (KILLS + 1)))
            _, errors = process.communicate(timeout=300)
            ends.append(process.returncode)
        assert is_last or not errors
    assert ends == [-signal.SIGKILL] * KILLS + [0], errors

    written = lines(output)
    assert sorted(line["index"] for line in written) == list(range(count))
    for line in written:
        text = f"вопрос {line['index']}"
        assert line["response"]["choices"][0]["message"]["content"] == f"Вы написали: {text}"
        assert line.get("id") == (f"i{line['index']}" if has_ids else None)
    times = Counter(asked(emulator))
    assert len(times) == count
    repeated = sum(times.values()) - count
    print("asked twice:", repeated)
    assert repeated <= KILLS * CONCURRENCY
    assert max(times.values()) <= KILLS + 1
