"""After a fork the child opens connections of its own, and the parent's stay the parent's."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

HEAD = """
import asyncio, os, sys
from gigachat_sdk import AsyncClient, Client
base_url, auth_url, credentials = sys.argv[1:]
options = dict(base_url=base_url, auth_url=auth_url, credentials=credentials, max_retries=0)
def ask(client, number):
    content = str(number)
    answer = client.chat.completions.create(messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content.endswith(content), answer
async def ask_async(client, number):
    content = str(number)
    answer = await client.chat.completions.create(messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content.endswith(content), answer
def end(child):
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""

SYNC = """
client = Client(**options)
ask(client, 0)
child = os.fork()
for number in range(30):
    ask(client, f"{child}/{number}")
client.close()
end(child)
"""

ASYNC = """
client = AsyncClient(**options)
loop = asyncio.new_event_loop()
loop.run_until_complete(ask_async(client, 0))
child = os.fork()
if child:
    for number in range(30):
        loop.run_until_complete(ask_async(client, f"{child}/{number}"))
    loop.run_until_complete(client.aclose())
    loop.close()
else:
    async def main():
        for number in range(30):
            await ask_async(client, number)
        await client.aclose()
    asyncio.run(main())
end(child)
"""


@pytest.mark.parametrize("script", [SYNC, ASYNC], ids=["sync", "async"])
def test_parent_and_child_both_get_their_own_answers(script: str) -> None:
    with Emulator() as emulator:
        # Since 3.12 Python warns of every fork beside a thread, and anyio keeps one for a while.
        command = [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            HEAD + script,
            emulator.base_url,
            emulator.auth_url,
            emulator.credentials,
        ]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        assert (result.returncode, result.stderr) == (0, "")
        assert len(emulator.requests_to("/v1/chat/completions")) == 61
        assert emulator.oauth_requests == 1  # the token is the child's as well


WAITING = """
import threading
client = Client(**options)
ask(client, 0)
answers = []
def wait():
    answer = client.chat.completions.create(messages=[{"role": "user", "content": "LATE"}])
    answers.append(answer.choices[0].message.content)
thread = threading.Thread(target=wait)
thread.start()
sys.stdin.readline()  # the request has come
child = os.fork()
if not child:
    END_OF_THE_CHILD
assert os.waitpid(child, 0)[1] == 0
thread.join()
assert answers == ["Вы написали: LATE"], answers
client.close()
"""
ENDS = {
    "exits": "raise SystemExit(0)",
    "closes its copy": "client.close(); os._exit(0)",
    "leaves a block": "client.__enter__(); client.__exit__(None, None, None); os._exit(0)",
    "collects garbage": "import gc; del client; gc.collect(); os._exit(0)",
}
STREAMING = """
client = Client(**options)
stream = client.chat.completions.create(messages=[{"role": "user", "content": "one two three"}], stream=True)
text = next(stream).choices[0].delta.content
child = os.fork()
if not child:
    stream.close()
    ask(client, "child")
    client.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
text += "".join(chunk.choices[0].delta.content for chunk in stream)
assert text == "Вы написали: one two three", text
client.close()
"""


@pytest.mark.parametrize("end", ENDS)
def test_whatever_a_child_does_the_parents_call_goes_on(end: str) -> None:
    with Emulator() as emulator:
        has_come = threading.Event()

        def late(request: RecordedRequest) -> Reply | None:
            if b"LATE" in request.body:
                has_come.set()
                return Reply(delay=0.5, json={"choices": [{"message": {"content": "Вы написали: LATE"}}]})
            return None

        emulator.on("/v1/chat/completions", late)
        script = HEAD + WAITING.replace("END_OF_THE_CHILD", ENDS[end])
        address = [emulator.base_url, emulator.auth_url, emulator.credentials]
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, *address]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8") as process:
            assert has_come.wait(30)
            _, error = process.communicate("come\n", timeout=60)
        assert (process.returncode, error) == (0, "")
        assert len(emulator.requests_to("/v1/chat/completions")) == 2


def test_a_stream_that_is_open_stays_the_parents() -> None:
    with Emulator() as emulator:
        address = [emulator.base_url, emulator.auth_url, emulator.credentials]
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HEAD + STREAMING, *address]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        assert (result.returncode, result.stderr) == (0, "")


READING = """
from gigachat_sdk import GigaChatError
def texts(pieces):
    return [piece if isinstance(piece, bytes) else piece.choices[0].delta.content for piece in pieces]
client = Client(**options)
if sys.argv[-1] == "stream":
    pieces = client.chat.completions.create(messages=[{"role": "user", "content": "one two three"}], stream=True)
    empty = ""
else:
    file = client.files.create(file=("a.txt", b"x" * 1_000_000))
    pieces = client.files.content(file.id).iter_bytes(1000)  # most of what is read from the socket waits in a buffer
    empty = b""
text = texts([next(pieces)])[0]
child = os.fork()
if not child:
    for _ in range(2):
        try:
            next(pieces)
        except GigaChatError as error:
            assert "opened before the process forked, and is the parent's to read" in str(error), error
        else:
            raise AssertionError("the child reads what is its parent's")
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
text += empty.join(texts(pieces))
assert text in ("Вы написали: one two three", b"x" * 1_000_000), text
client.close()
"""


@pytest.mark.parametrize("kind", ["stream", "download"])
def test_a_child_reads_nothing_that_its_parent_has_opened(kind: str) -> None:
    with Emulator() as emulator:
        head = HEAD.replace("= sys.argv[1:]", "= sys.argv[1:4]")
        address = [emulator.base_url, emulator.auth_url, emulator.credentials]
        command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", head + READING, *address, kind]
        result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
        assert (result.returncode, result.stderr) == (0, "")
