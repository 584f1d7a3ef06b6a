"""A hundred thousand requests through a generator cost a few megabytes of memory, and so does reading them back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST = 80  # MiB
COUNT = 100_000
PROGRAM = """
import resource, sys
import anyio, httpx
from gigachat_sdk import AsyncClient, Client, bulk

KIND, JOURNAL, COUNT = sys.argv[1], sys.argv[2], int(sys.argv[3])
UNIT = 1 if sys.platform == "darwin" else 1024
ANSWER = (
    '{"choices":[{"message":{"role":"assistant","content":"Вы написали"},"index":0,"finish_reason":"stop"}],'
    '"created":1,"model":"GigaChat","object":"chat.completion",'
    '"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"precached_prompt_tokens":0}}'
).encode()

def answer(request):
    return httpx.Response(200, content=ANSWER, headers={"content-type": "application/json"})

def requests(start, count):
    for number in range(start, count):
        yield {"id": f"item {number}", "request": {"messages": [{"role": "user", "content": f"вопрос {number}"}]}}

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / 1024 / 1024

def threads(start, count):
    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        with Client(access_token="t", http_client=http) as client:
            run = bulk.map(client, requests(start, count), JOURNAL, concurrency=8, ordered=False)
            return sum(result.response is not None for result in run)

async def tasks(start, count):
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        async with AsyncClient(access_token="t", http_client=http) as client:
            done = 0
            async for result in bulk.amap(client, requests(start, count), JOURNAL, concurrency=8, ordered=False):
                done += result.response is not None
            return done

def run(start, count):
    return threads(start, count) if KIND == "threads" else anyio.run(tasks, start, count, backend=KIND)

assert run(0, 200) == 200
before = peak()
assert run(0, COUNT) == COUNT
if KIND == "threads":  # what reads a journal back is the same in all of them
    assert run(0, COUNT) == COUNT
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["threads", "asyncio", pytest.param("trio", marks=pytest.mark.soak)])
def test_a_hundred_thousand_requests(kind: str, tmp_path: Path) -> None:
    journal = tmp_path / "out.jsonl"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, kind, str(journal), str(COUNT)],
        env={
            name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
        },  # it would take long
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < MOST
    with journal.open("rb") as file:
        assert len({json.loads(line)["id"] for line in file}) == COUNT
