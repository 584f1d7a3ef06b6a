from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, InvalidRequestError, NotFoundError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
THREADS, MESSAGES = "/v1/threads", "/v1/threads/messages"


def says(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


async def test_the_life_of_a_thread(client: AsyncClient, emulator: Emulator) -> None:
    thread = await client.threads.create()
    assert thread.id == thread.thread_id != ""
    assert thread.request_id == thread.response.headers["x-request-id"]
    found = await client.threads.retrieve(thread.id)
    assert (found.id, found.status, found.run_lock) == (thread.id, "ready", False)
    assert found.request_id == found.response.headers["x-request-id"]
    other = await client.threads.create()
    assert [one.id for one in await client.threads.retrieve_many(iter([other.id, thread.id]))] == [other.id, thread.id]
    assert {one.id for one in await client.threads.list()} == {thread.id, other.id}
    assert len(await client.threads.list(limit=1)) == 1
    assert list(await client.threads.list(before=1)) == []

    gone = await client.threads.delete(thread.id)
    assert (gone.deleted, gone.to_dict(), gone.response.status_code) == (True, {}, 200)
    assert gone.request_id == gone.response.headers["x-request-id"]
    assert [one.id for one in await client.threads.list()] == [other.id]

    sent = [json.loads(request.body) for request in emulator.requests_to("/v1/threads/retrieve")]
    assert sent == [{"threads_ids": ids} for ids in ([thread.id], [other.id, thread.id])]
    assert [request.body for request in emulator.requests_to(THREADS) if request.method == "POST"] == [b"{}"] * 2
    assert json.loads(emulator.requests_to("/v1/threads/delete")[0].body) == {"thread_id": thread.id}


async def test_threads_of_some_assistants(client: AsyncClient, emulator: Emulator) -> None:
    made = [await client.assistants.create(name=name) for name in "ab"]
    for assistant in made:
        await client.threads.messages.create(messages=says("x"), assistant_id=assistant.assistant_id)
    await client.threads.create()
    first, second = (assistant.assistant_id for assistant in made)
    assert [one.assistant_id for one in await client.threads.list(assistants_ids=iter([second]))] == [second]
    assert len(await client.threads.list(assistants_ids=[first, second])) == 2
    queries = [request.query for request in emulator.requests_to(THREADS) if request.method == "GET"]
    assert queries == [f"assistants_ids={second}", f"assistants_ids={first}&assistants_ids={second}"]


async def test_a_list_without_the_thread_means_that_there_is_none(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/threads/retrieve", Reply(json={"threads": [{"id": "1"}]}))
    with pytest.raises(NotFoundError, match="the service knows of no thread '2'"):
        await client.threads.retrieve("2")


@pytest.mark.parametrize(
    ("body", "deleted"), [("", True), ("null", True), ("OK", True), ("{}", True), ('{"deleted":false}', False)]
)
async def test_whatever_a_deletion_answers_is_read(
    client: AsyncClient, emulator: Emulator, body: str, deleted: bool
) -> None:
    emulator.reply("/v1/threads/delete", Reply(body=body))
    answer = await client.threads.delete("1")
    assert (answer.deleted, answer.response.status_code) == (deleted, 200)


async def test_messages_are_put_into_a_thread_and_answered(client: AsyncClient, emulator: Emulator) -> None:
    made = await client.threads.messages.create(messages=iter([*says("Меня зовут Анна."), *says("Привет!")]))
    assert (len(made), made[0].created_at > 0, made[0].message_id != made[1].message_id) == (2, True, True)
    emulator.answer("Здравствуйте, Анна!")
    run = await client.threads.runs.create(made.thread_id, temperature=0.5, limit=10)
    assert (run.status, run.thread_id, run.messages) == ("in_progress", made.thread_id, None)
    run = await client.threads.runs.retrieve(made.thread_id)
    assert (run.status, run.messages[-1].content) == ("ready", "Здравствуйте, Анна!")

    listed = await client.threads.messages.list(made.thread_id)
    assert [message.content for message in listed] == ["Меня зовут Анна.", "Привет!", "Здравствуйте, Анна!"]
    assert [message.role for message in listed] == ["user", "user", "assistant"]
    assert (listed.thread_id, listed[2].finish_reason) == (made.thread_id, "stop")
    assert [message.content for message in await client.threads.messages.list(made.thread_id, limit=1)] == [
        "Здравствуйте, Анна!"
    ]
    assert list(await client.threads.messages.list(made.thread_id, before=1)) == []

    queries = [request.query for request in emulator.requests_to(MESSAGES) if request.method == "GET"]
    whose = f"thread_id={made.thread_id}"
    assert queries == [whose, f"{whose}&limit=1", f"{whose}&before=1"]
    start, look = emulator.requests_to("/v1/threads/run")
    assert json.loads(start.body) == {"temperature": 0.5, "limit": 10, "thread_id": made.thread_id}
    assert (look.method, look.query) == ("GET", whose)


async def test_a_dialogue_goes_on_in_its_thread(client: AsyncClient, emulator: Emulator) -> None:
    emulator.answer(lambda request: f"Вы сказали: {request['messages'][-1]['content']}")
    first = await client.threads.messages.run(messages=says("раз"))
    assert (first.message.content, first.finish_reason) == ("Вы сказали: раз", "stop")
    assert first.usage.total_tokens == first.usage.prompt_tokens + first.usage.completion_tokens > 0
    assert first.request_id == first.response.headers["x-request-id"]
    second = await client.threads.messages.run(thread_id=first.thread_id, messages=says("два"), max_tokens=100)
    assert (second.thread_id, second.message.content) == (first.thread_id, "Вы сказали: два")
    again = await client.threads.messages.rerun(first.thread_id, temperature=1)
    assert (again.message.content, again.message_id != second.message_id) == ("Вы сказали: два", True)
    assert len(await client.threads.messages.list(first.thread_id)) == 4

    sent = [json.loads(request.body) for request in emulator.requests_to("/v1/threads/messages/run")]
    assert sent == [
        {"messages": says("раз"), "model": "GigaChat"},
        {"max_tokens": 100, "messages": says("два"), "thread_id": first.thread_id},
    ]
    (rerun,) = emulator.requests_to("/v1/threads/messages/rerun")
    assert json.loads(rerun.body) == {"temperature": 1.0, "thread_id": first.thread_id}


async def test_an_answer_can_be_fed_back_into_a_chat(client: AsyncClient, emulator: Emulator) -> None:
    answer = await client.threads.messages.run(messages=says("x"))
    await client.chat.completions.create(messages=[*says("x"), answer.message, *says("y")])
    assert json.loads(emulator.requests_to("/v1/chat/completions")[0].body)["messages"][1] == answer.message.to_dict()


@pytest.mark.parametrize("named", [{"model": "GigaChat-2-Max"}, {}, {"model": None}])
async def test_a_new_thread_has_the_model_of_the_call_or_of_the_client(
    emulator: Emulator, connect: Connect, named: dict[str, Any]
) -> None:
    client = connect(emulator, model="GigaChat-2-Pro")
    await client.threads.messages.run(messages=says("x"), **named)
    await client.threads.messages.create(messages=says("x"), **named)
    expected = named.get("model") or "GigaChat-2-Pro"
    for path in (f"{MESSAGES}/run", MESSAGES):
        assert json.loads(emulator.requests_to(path)[0].body)["model"] == expected


async def test_an_assistant_brings_its_own_model(client: AsyncClient, emulator: Emulator) -> None:
    made = await client.assistants.create(name="a", model="GigaChat-2-Max")
    answer = await client.threads.messages.run(messages=says("x"), assistant_id=made.assistant_id)
    assert answer.model.startswith("GigaChat-2-Max")
    (request,) = emulator.requests_to(f"{MESSAGES}/run")
    assert json.loads(request.body) == {"messages": says("x"), "assistant_id": made.assistant_id}
    thread = await client.threads.create()
    await client.threads.messages.create(messages=says("y"), thread_id=thread.id)
    await client.threads.runs.create(thread.id, assistant_id=made.assistant_id)
    assert (await client.threads.runs.retrieve(thread.id)).model == "GigaChat-2-Max"


async def test_everything_about_a_run_is_sent(client: AsyncClient, emulator: Emulator) -> None:
    options: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.5,
        "limit": 3,
        "max_tokens": 10,
        "repetition_penalty": 1.5,
        "profanity_check": False,
        "flags": ["a"],
        "function_call": "none",
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
    }
    made = await client.threads.messages.create(messages=says("x"))
    await client.threads.runs.create(made.thread_id, **options)
    await client.threads.messages.run(thread_id=made.thread_id, messages=says("y"), update_interval=0.5, **options)
    await client.threads.messages.rerun(made.thread_id, update_interval=0.5, **{**options, "flags": None})
    bodies = [json.loads(emulator.requests_to(f"{THREADS}/{name}")[-1].body) for name in ("run", "messages/run")]
    thread = {"thread_id": made.thread_id}
    assert bodies == [{**options, **thread}, {**options, **thread, "messages": says("y"), "update_interval": 0.5}]
    del options["flags"]
    rerun = json.loads(emulator.requests_to(f"{MESSAGES}/rerun")[0].body)
    assert rerun == {**options, **thread, "update_interval": 0.5}


@pytest.mark.parametrize(
    ("path", "method", "file", "ask"),
    [
        (THREADS, "GET", "list", lambda client: client.threads.list()),
        (f"{THREADS}/retrieve", "POST", "retrieve", lambda client: client.threads.retrieve_many(["1"])),
        (MESSAGES, "POST", "messages_add", lambda client: client.threads.messages.create(messages=says("x"))),
        (MESSAGES, "GET", "messages_list", lambda client: client.threads.messages.list("1")),
        (f"{THREADS}/run", "POST", "run_start", lambda client: client.threads.runs.create("1")),
        (f"{THREADS}/run", "GET", "run_get", lambda client: client.threads.runs.retrieve("1")),
        (f"{MESSAGES}/run", "POST", "messages_run", lambda client: client.threads.messages.run(messages=says("x"))),
        (f"{MESSAGES}/rerun", "POST", "messages_run", lambda client: client.threads.messages.rerun("1")),
    ],
)
async def test_recorded_answers_come_out_as_they_came(
    client: AsyncClient, emulator: Emulator, path: str, method: str, file: str, ask: Any
) -> None:
    body = (WIRE / f"fixture_threads_{file}.json").read_bytes()
    emulator.reply(path, Reply(body=body), method=method)
    assert (await ask(client)).to_dict() == json.loads(body)


async def test_a_recorded_thread_is_found_in_its_list(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "fixture_threads_retrieve.json").read_bytes()
    emulator.reply("/v1/threads/retrieve", Reply(body=body))
    thread = await client.threads.retrieve("1715fc00-8ca8-40f2-8a97-371a9f26a163")
    assert thread.to_dict() == json.loads(body)["threads"][0]
    assert thread.thread_id == thread.id


@pytest.mark.parametrize(
    ("place", "ask"),
    [
        ("limit", lambda client: client.threads.list(limit="5")),
        ("assistants_ids", lambda client: client.threads.list(assistants_ids="a")),
        ("thread_id", lambda client: client.threads.retrieve("")),
        ("thread_id", lambda client: client.threads.retrieve(["1"])),
        ("threads_ids", lambda client: client.threads.retrieve_many("123")),
        ("threads_ids", lambda client: client.threads.retrieve_many([])),
        ("thread_id", lambda client: client.threads.delete("")),
        ("thread_id", lambda client: client.threads.messages.list("")),
        ("messages", lambda client: client.threads.messages.create(messages=[])),
        ("messages", lambda client: client.threads.messages.run()),
        ("messages[0].content", lambda client: client.threads.messages.run(messages=[{"role": "user", "content": 5}])),
        ("functions[0]", lambda client: client.threads.messages.run(messages=says("x"), functions=[{"name": "1"}])),
        ("stream", lambda client: client.threads.messages.run(messages=says("x"), stream=1)),
        ("thread_id", lambda client: client.threads.messages.rerun("")),
        ("stream", lambda client: client.threads.messages.rerun("1", stream="yes")),
        ("thread_id", lambda client: client.threads.runs.create("")),
        ("stream", lambda client: client.threads.runs.create("1", stream=0)),
        ("thread_id", lambda client: client.threads.runs.retrieve("")),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, place: str, ask: Any
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await ask(client)
    assert caught.value.param == place
    assert emulator.requests == []
