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
PATH = "/v1/tokens/count"


async def test_each_text_is_counted(client: AsyncClient, emulator: Emulator) -> None:
    counts = await client.tokens.count(input=(text for text in ("Я к вам пишу", "")))
    assert [count.characters for count in counts] == [12, 0]
    assert counts.total_tokens == counts[0].tokens > counts[1].tokens == 0
    assert counts.request_id == counts.response.headers["x-request-id"]
    assert json.loads(emulator.requests_to(PATH)[0].body) == {"input": ["Я к вам пишу", ""], "model": "GigaChat"}


async def test_one_text_is_sent_as_a_list(client: AsyncClient, emulator: Emulator) -> None:
    counts = await client.tokens.count(input="Привет", model="GigaChat-2-Max")
    assert (len(counts), counts.to_dict()) == (1, json.loads(counts.to_json()))
    assert json.loads(emulator.requests_to(PATH)[0].body) == {"input": ["Привет"], "model": "GigaChat-2-Max"}


async def test_the_usual_model_is_the_clients(emulator: Emulator, connect: Connect) -> None:
    await connect(emulator, model="GigaChat-2-Pro").tokens.count(input="a")
    assert json.loads(emulator.requests_to(PATH)[0].body)["model"] == "GigaChat-2-Pro"


@pytest.mark.parametrize("file", ["tokens_count_single.json", "tokens_count_multiple.json"])
async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator, file: str) -> None:
    body = (WIRE / file).read_bytes()
    emulator.reply(PATH, Reply(body=body))
    counts = await client.tokens.count(input="Hello, world!")
    assert counts.to_dict() == json.loads(body)
    assert json.loads(counts.to_json()) == json.loads(body)
    assert [count.tokens for count in counts] == [item["tokens"] for item in json.loads(body)]


async def test_a_model_that_is_not_there(client: AsyncClient) -> None:
    with pytest.raises(NotFoundError, match="No such model"):
        await client.tokens.count(input="a", model="Nobody")


@pytest.mark.parametrize(("given", "model"), [([], None), (5, None), ("a", ""), ("a", 5)])
async def test_what_cannot_be_counted_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any, model: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^(input|model): "):
        await client.tokens.count(input=given, model=model)
    assert emulator.requests == []
