"""Clients and streams that nobody closed: the interpreter says nothing, neither while it runs nor when it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from gigachat_sdk.testing import Emulator

HEAD = """
import asyncio, gc, logging, sys, threading
logging.getLogger("asyncio").setLevel(logging.ERROR)  # on a busy machine every step is slow to the development mode
from gigachat_sdk import AsyncClient, Client
base_url, auth_url, credentials, ca_bundle_file, http2 = sys.argv[1:]
options = dict(base_url=base_url, auth_url=auth_url, credentials=credentials, http2=http2 == "True",
               ca_bundle_file=ca_bundle_file or None)
messages = [{"role": "user", "content": "hello"}]
async def ask(client):
    assert (await client.chat.completions.create(messages=messages)).choices
async def begin(client):
    stream = await client.chat.completions.create(messages=messages, stream=True)
    await stream.__anext__()
    return stream
"""

SCRIPTS = {
    "a sync client is open at the end": """
client = Client(**options)
client.chat.completions.create(messages=messages)
""",
    "a sync client is dropped": """
client = Client(**options)
client.chat.completions.create(messages=messages)
del client
gc.collect()
""",
    "a sync stream is open at the end": """
client = Client(**options)
stream = client.chat.completions.create(messages=messages, stream=True)
next(stream)
""",
    "a sync stream is dropped": """
client = Client(**options)
stream = client.chat.completions.create(messages=messages, stream=True)
next(stream)
del stream
gc.collect()
""",
    "an async client is open on two asyncio loops in turn": """
client = AsyncClient(**options)
asyncio.run(ask(client))
asyncio.run(ask(client))
""",
    "an async client is open on asyncio and then on trio": """
import trio
client = AsyncClient(**options)
asyncio.run(ask(client))
trio.run(ask, client)
trio.run(ask, client)
""",
    "an async client is open on the loops of two threads": """
client = AsyncClient(**options)
threads = [threading.Thread(target=lambda: asyncio.run(ask(client))) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
""",
    "an async client is dropped inside its loop": """
async def main():
    client = AsyncClient(**options)
    await ask(client)
    del client
    gc.collect()
    await asyncio.sleep(0.05)
asyncio.run(main())
""",
    "an async client is dropped after its loop": """
client = AsyncClient(**options)
asyncio.run(ask(client))
del client
gc.collect()
""",
    "an async stream is open when its asyncio loop ends": """
client = AsyncClient(**options)
stream = asyncio.run(begin(client))
""",
    "an async stream is dropped inside its asyncio loop": """
async def main():
    async with AsyncClient(**options) as client:
        await begin(client)
        gc.collect()
        await ask(client)
asyncio.run(main())
""",
    "an async stream is open when its trio loop ends": """
import trio
client = AsyncClient(**options)
stream = trio.run(begin, client)
""",
    "an async stream is closed inside its trio loop": """
import trio
async def main():
    async with AsyncClient(**options) as client:
        async with await begin(client):
            pass
        await ask(client)
trio.run(main)
""",
    "nobody used the clients": """
clients = Client(**options), AsyncClient(**options)
""",
}


@pytest.fixture(scope="module", params=["http", "https with HTTP/2"])
def arguments(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    with Emulator(https=request.param != "http") as emulator:
        is_http2 = str(request.param == "https with HTTP/2")
        yield [emulator.base_url, emulator.auth_url, emulator.credentials, emulator.ca_bundle_file or "", is_http2]


@pytest.mark.parametrize("script", SCRIPTS)
def test_nothing_is_said(arguments: list[str], script: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", HEAD + SCRIPTS[script], *arguments]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
