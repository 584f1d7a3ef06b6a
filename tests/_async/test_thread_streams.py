from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, AsyncStream, NotFoundError, StreamInterruptedError
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import ThreadCompletion, ThreadCompletionChunk

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
RECORDED = (WIRE / "fixture_threads_messages_run.sse").read_bytes()
SAYS: list[Any] = [{"role": "user", "content": "Привет!"}]
PATHS = {
    "run": "/v1/threads/messages/run",
    "rerun": "/v1/threads/messages/rerun",
    "create": "/v1/threads/run",
}


async def opened(
    client: AsyncClient, method: str, thread_id: str, **options: Any
) -> AsyncStream[ThreadCompletionChunk]:
    if method == "run":
        return await client.threads.messages.run(messages=SAYS, thread_id=thread_id, stream=True, **options)
    if method == "rerun":
        return await client.threads.messages.rerun(thread_id, stream=True, **options)
    return await client.threads.runs.create(thread_id, stream=True, **options)


@pytest.mark.parametrize("method", PATHS)
async def test_an_answer_arrives_piece_by_piece(client: AsyncClient, emulator: Emulator, method: str) -> None:
    made = await client.threads.messages.create(messages=SAYS)
    emulator.answer("Здравствуйте! Чем могу помочь?")
    stream = await opened(client, method, made.thread_id, temperature=0.5)
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Здравствуйте! Чем могу помочь?"
    assert {type(chunk) for chunk in chunks} == {ThreadCompletionChunk}
    assert {chunk.thread_id for chunk in chunks} == {made.thread_id}
    assert (len({chunk.message_id for chunk in chunks}), chunks[-1].choices[0].finish_reason) == (1, "stop")
    assert all(chunk.usage is not None for chunk in chunks)
    assert stream.request_id == chunks[0].request_id
    (request,) = emulator.requests_to(PATHS[method])
    sent = json.loads(request.body)
    assert (sent["stream"], sent["temperature"], sent["thread_id"]) == (True, 0.5, made.thread_id)
    assert request.headers["accept"] == "text/event-stream"
    answered = (await client.threads.messages.list(made.thread_id))[-1]
    assert (answered.content, answered.message_id) == ("Здравствуйте! Чем могу помочь?", chunks[0].message_id)


@pytest.mark.parametrize("method", PATHS)
async def test_a_recorded_stream_comes_out_as_it_came(client: AsyncClient, emulator: Emulator, method: str) -> None:
    reply = Reply(body=RECORDED, headers={"Content-Type": "text/event-stream"})
    emulator.reply(PATHS[method], reply)
    chunks = [chunk async for chunk in await opened(client, method, "1")]
    documents = [json.loads(line[6:]) for line in RECORDED.decode().splitlines() if line.startswith("data: {")]
    assert [chunk.to_dict() for chunk in chunks] == documents


@pytest.mark.parametrize("method", PATHS)
async def test_a_cut_stream_keeps_what_had_arrived(client: AsyncClient, emulator: Emulator, method: str) -> None:
    first, second, _ = RECORDED.split(b"\n\n", 2)
    emulator.reply(
        PATHS[method],
        Reply(body=first + b"\n\n" + second + b"\n\n", headers={"Content-Type": "text/event-stream"}),
    )
    stream = await opened(client, method, "1")
    with pytest.raises(StreamInterruptedError) as caught:
        async for _ in stream:
            pass
    partial = caught.value.partial
    assert isinstance(partial, ThreadCompletion)
    assert caught.value.text == partial.message.content
    assert partial.message.content.endswith("вопросы. Чем могу вам помочь?")
    assert partial.usage.to_dict() == {"prompt_tokens": 64, "completion_tokens": 31, "total_tokens": 95}
    assert partial.thread_id == "9b1cc6d9-0eeb-46de-b01f-6f74c9a82df7"
    assert partial.response is stream.response
    assert len(emulator.requests_to(PATHS[method])) == 1


@pytest.mark.parametrize("method", PATHS)
async def test_an_error_instead_of_a_stream_is_raised_at_once(
    client: AsyncClient, emulator: Emulator, method: str
) -> None:
    emulator.reply(PATHS[method], Reply.error(404, "No such thread"))
    with pytest.raises(NotFoundError, match="No such thread"):
        await opened(client, method, "nobody")
