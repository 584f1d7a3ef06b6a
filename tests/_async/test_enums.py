"""Members of an enum over a plain type stand for their value, whatever `str` and f-strings make of them."""

from __future__ import annotations

from enum import Enum

import pytest

from gigachat_sdk import AsyncClient
from gigachat_sdk.testing import Emulator, Reply

pytestmark = pytest.mark.anyio

CHATS = [{"messages": [{"role": "user", "content": "Привет!"}]}]
TEXTS = [{"input": ["Привет!"]}]


class Word(str, Enum):
    CHAT = "chat_completions"
    EMBEDDER = "embedder"
    NAME = "page"
    VALUE = "next"
    SCOPE = "GIGACHAT_API_CORP"
    PERSON = "user-17"
    PATH = "things"


class Number(int, Enum):
    LIMIT = 7


class Share(float, Enum):
    HALF = 0.5


@pytest.mark.parametrize(
    ("method", "requests"), [(Word.CHAT, CHATS), (Word.EMBEDDER, TEXTS)], ids=["chat", "embeddings"]
)
async def test_the_method_of_a_batch(
    client: AsyncClient, emulator: Emulator, method: Word, requests: list[dict[str, object]]
) -> None:
    await client.batches.create(requests=requests, method=method)
    assert emulator.requests[-1].query == f"method={method.value}"


async def test_parameters_of_the_address(client: AsyncClient, emulator: Emulator) -> None:
    query = {Word.NAME: Word.VALUE, "limit": Number.LIMIT, "share": Share.HALF, "list": [Word.VALUE, 1, None, True]}
    emulator.reply("/v1/things", Reply(json={}), method="GET")
    caller = client.with_options(default_query={"page": 1, "of": Word.PERSON})
    await caller.get("/things", cast_to=dict, extra_query=query)
    assert emulator.requests[-1].query == "page=next&of=user-17&limit=7&share=0.5&list=next&list=1&list=true"


async def test_the_scope_of_a_key() -> None:
    with Emulator(scope="GIGACHAT_API_CORP") as emulator:
        async with emulator.async_client(scope=Word.SCOPE) as client:
            await client.models.list()
        assert emulator.requests_to("/api/v2/oauth")[0].body == b"scope=GIGACHAT_API_CORP"


async def test_a_user_and_his_password() -> None:
    with Emulator(user="user-17", password="next") as emulator:
        async with emulator.async_client(user=Word.PERSON, password=Word.VALUE) as client:
            await client.models.list()
        assert emulator.requests_to("/v1/token")[0].status == 200


async def test_a_path(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply("/v1/things", Reply(json={}), method="GET")
    assert await client.get(Word.PATH, cast_to=dict) == {}


async def test_ids_and_headers(client: AsyncClient, emulator: Emulator) -> None:
    await client.models.list(client_id=Word.PERSON, extra_headers={"X-Page": Word.VALUE})
    headers = emulator.requests[-1].headers
    assert (headers["x-client-id"], headers["x-page"]) == ("user-17", "next")
