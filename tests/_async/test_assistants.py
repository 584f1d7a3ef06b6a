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
PATH = "/v1/assistants"
FUNCTION: Any = {"name": "f", "parameters": {"type": "object", "properties": {}}}


async def test_the_life_of_an_assistant(client: AsyncClient, emulator: Emulator) -> None:
    made = await client.assistants.create(
        name="Лектор",
        model="GigaChat-2-Max",
        description="Отвечает как лектор",
        instructions="Отвечай как лектор.",
        functions=iter([FUNCTION]),
        metadata={"a": 234},
    )
    assert made.created_at > 0
    assert made.request_id == made.response.headers["x-request-id"]

    assistant = await client.assistants.retrieve(made.assistant_id)
    assert (assistant.name, assistant.model, assistant.metadata) == ("Лектор", "GigaChat-2-Max", {"a": 234})
    assert [function.name for function in assistant.functions] == ["f"]
    assert assistant.request_id == assistant.response.headers["x-request-id"]

    changed = await client.assistants.update(made.assistant_id, name="Историк", instructions="")
    assert (changed.name, changed.instructions, changed.description) == ("Историк", "", "Отвечает как лектор")
    assert [one.name for one in await client.assistants.list()] == ["Историк"]
    assert len(await client.assistants.list(assistant_id=made.assistant_id)) == 1

    gone = await client.assistants.delete(made.assistant_id)
    assert (gone.assistant_id, gone.deleted) == (made.assistant_id, True)
    assert list(await client.assistants.list()) == []

    sent = {
        request.path: json.loads(request.body)
        for request in emulator.requests
        if request.path.startswith(PATH) and request.body
    }
    assert sent == {
        "/v1/assistants": {
            "description": "Отвечает как лектор",
            "instructions": "Отвечай как лектор.",
            "functions": [FUNCTION],
            "metadata": {"a": 234},
            "model": "GigaChat-2-Max",
            "name": "Лектор",
        },
        "/v1/assistants/modify": {"assistant_id": made.assistant_id, "name": "Историк", "instructions": ""},
        "/v1/assistants/delete": {"assistant_id": made.assistant_id},
    }
    queries = [request.query for request in emulator.requests_to(PATH) if request.method == "GET"]
    whose = f"assistant_id={made.assistant_id}"
    assert queries == [whose, "", whose, ""]


async def test_a_file_is_taken_from_an_assistant(client: AsyncClient, emulator: Emulator) -> None:
    file = await client.files.create(file=("a.txt", b"text"))
    made = await client.assistants.create(name="Читатель", file_ids=iter([file.id]))
    assert (await client.assistants.retrieve(made.assistant_id)).file_ids == [file.id]
    gone = await client.assistants.delete_file(file.id, assistant_id=made.assistant_id)
    assert (gone.file_id, gone.deleted) == (file.id, True)
    assert (await client.assistants.retrieve(made.assistant_id)).file_ids == []
    (request,) = emulator.requests_to("/v1/assistants/files/delete")
    assert json.loads(request.body) == {"assistant_id": made.assistant_id, "file_id": file.id}


async def test_the_usual_model_is_the_clients(emulator: Emulator, connect: Connect) -> None:
    await connect(emulator, model="GigaChat-2-Pro").assistants.create(name="a")
    assert json.loads(emulator.requests_to(PATH)[0].body) == {"model": "GigaChat-2-Pro", "name": "a"}


async def test_an_assistant_that_is_not_there(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply(PATH, Reply.error(404, "No such assistant"), method="GET")
    with pytest.raises(NotFoundError, match="No such assistant") as caught:
        await client.assistants.retrieve("1")
    assert caught.value.status_code == 404


async def test_a_list_without_the_assistant_means_that_there_is_none(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "fixture_assistants_list.json").read_bytes()
    emulator.reply(PATH, Reply(body=body), Reply(body=body), method="GET")
    assert (await client.assistants.retrieve("222")).assistant_id == "222"
    with pytest.raises(NotFoundError) as caught:
        await client.assistants.retrieve("333")
    error = caught.value
    assert str(error) == f"the service knows of no assistant '333' (request id {error.request_id})"
    assert (error.status_code, error.request_id is None) == (200, False)


@pytest.mark.parametrize(
    ("path", "method", "file", "ask"),
    [
        (PATH, "GET", "list", lambda client: client.assistants.list()),
        (PATH, "POST", "create", lambda client: client.assistants.create(name="lonely")),
        (f"{PATH}/modify", "POST", "modify", lambda client: client.assistants.update("111", name="lonely_assistant")),
        (f"{PATH}/delete", "POST", "delete", lambda client: client.assistants.delete("111")),
        (
            f"{PATH}/files/delete",
            "POST",
            "files_delete",
            lambda client: client.assistants.delete_file("222", assistant_id="111"),
        ),
    ],
)
async def test_recorded_answers_come_out_as_they_came(
    client: AsyncClient, emulator: Emulator, path: str, method: str, file: str, ask: Any
) -> None:
    body = (WIRE / f"fixture_assistants_{file}.json").read_bytes()
    emulator.reply(path, Reply(body=body), method=method)
    assert (await ask(client)).to_dict() == json.loads(body)


@pytest.mark.parametrize(
    ("place", "ask"),
    [
        ("assistant_id", lambda client: client.assistants.list(assistant_id="")),
        ("assistant_id", lambda client: client.assistants.retrieve("")),
        ("assistant_id", lambda client: client.assistants.retrieve(5)),
        ("name", lambda client: client.assistants.create(name="")),
        ("model", lambda client: client.assistants.create(name="a", model="")),
        ("file_ids", lambda client: client.assistants.create(name="a", file_ids="123")),
        ("metadata", lambda client: client.assistants.create(name="a", metadata=dict.fromkeys(map(str, range(17))))),
        ("functions[0]", lambda client: client.assistants.update("1", functions=[{"name": "ы"}])),
        ("assistant_id", lambda client: client.assistants.update("", name="a")),
        ("assistant_id", lambda client: client.assistants.delete("")),
        ("file_id", lambda client: client.assistants.delete_file("", assistant_id="1")),
        ("assistant_id", lambda client: client.assistants.delete_file("1", assistant_id="")),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, place: str, ask: Any
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await ask(client)
    assert caught.value.param == place
    assert emulator.requests == []
