"""Ctrl-C in the middle: the program learns of it, the connection is given back, and nothing else is said."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

HEAD = """
import asyncio, logging, os, signal, sys, threading
logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine every step is slow to the development mode
from gigachat_sdk import AsyncClient, Client
base_url, auth_url, credentials, ca_bundle_file, http2 = sys.argv[1:]
options = dict(base_url=base_url, auth_url=auth_url, credentials=credentials, http2=http2 == "True",
               ca_bundle_file=ca_bundle_file or None)
late = [{"role": "user", "content": "LATE"}]
quick = [{"role": "user", "content": "hello"}]
signal.signal(signal.SIGINT, signal.default_int_handler)
def interrupted(work):
    print("ready", flush=True)
    try:
        work()
    except KeyboardInterrupt:
        return
    raise AssertionError("it went on")
async def acall(client):
    await client.chat.completions.create(messages=late)
async def aread(client):
    async for chunk in await client.chat.completions.create(messages=late, stream=True):
        pass
async def check(client):
    assert client._session.transport.http.in_flight == 0
    assert (await client.chat.completions.create(messages=quick)).choices
    await client.aclose()
"""

SCRIPTS = {
    "a call": """
with Client(**options) as client:
    interrupted(lambda: client.chat.completions.create(messages=late))
    assert client._session.transport.http.in_flight == 0
    assert client.chat.completions.create(messages=quick).choices
""",
    "a stream": """
with Client(**options) as client:
    def read():
        for chunk in client.chat.completions.create(messages=late, stream=True):
            pass
    interrupted(read)
    for thread in threading.enumerate():  # what nobody closed is closed in a thread
        if thread is not threading.current_thread():
            thread.join(10)
    assert client._session.transport.http.in_flight == 0
    assert client.chat.completions.create(messages=quick).choices
""",
    "a stream in its block": """
with Client(**options) as client:
    def read():
        with client.chat.completions.create(messages=late, stream=True) as stream:
            for chunk in stream:
                pass
    interrupted(read)
    assert client._session.transport.http.in_flight == 0
    assert client.chat.completions.create(messages=quick).choices
""",
    "an asyncio call": """
client = AsyncClient(**options)
interrupted(lambda: asyncio.run(acall(client)))
asyncio.run(check(client))
""",
    "an asyncio stream": """
client = AsyncClient(**options)
interrupted(lambda: asyncio.run(aread(client)))
asyncio.run(check(client))
""",
    "a trio call": """
import trio
client = AsyncClient(**options)
interrupted(lambda: trio.run(acall, client))
trio.run(check, client)
""",
    "a trio stream": """
import trio
client = AsyncClient(**options)
interrupted(lambda: trio.run(aread, client))
trio.run(check, client)
""",
}
has_come = threading.Semaphore(0)
EVENT = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'


def late(request: RecordedRequest) -> Reply | None:
    """Keep those waiting who ask for it, inside a stream after its first event."""
    if b"LATE" not in request.body:
        return None
    has_come.release()
    if request.json().get("stream"):
        return Reply(chunks=[EVENT, EVENT], chunk_delay=60, headers={"Content-Type": "text/event-stream"})
    return Reply(delay=60)


@pytest.fixture(scope="module", params=["http", "https with HTTP/2"])
def arguments(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    with Emulator(https=request.param != "http") as emulator:
        emulator.on("/v1/chat/completions", late)
        is_http2 = str(request.param == "https with HTTP/2")
        address = [emulator.base_url, emulator.auth_url, emulator.credentials]
        yield [*address, emulator.ca_bundle_file or "", is_http2]


def until_it_waits(process: int) -> None:
    """Return when a process has done nothing for a while: it may be on its way to waiting when its request has come.

    An interrupt inside a callback of the garbage collector, say, would be swallowed by Python.
    """
    facts, quiet = Path(f"/proc/{process}/stat"), 0
    spent: list[str] = []
    while facts.exists() and quiet < 5:
        now = facts.read_text().rpartition(")")[2].split()
        quiet = quiet + 1 if now[0] == "S" and now[11:13] == spent else 0  # asleep, and no time spent since
        spent = now[11:13]
        threading.Event().wait(0.02)


@pytest.mark.parametrize("script", SCRIPTS)
def test_ctrl_c_ends_what_is_going_on(arguments: list[str], script: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + SCRIPTS[script], *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert has_come.acquire(timeout=120)
            until_it_waits(process.pid)
            process.send_signal(signal.SIGINT)
            out, error = process.communicate(timeout=180)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (0, "", "")
