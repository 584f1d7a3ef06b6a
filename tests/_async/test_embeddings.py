from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import APIResponseValidationError, AsyncClient, InvalidRequestError, NotFoundError
from gigachat_sdk.testing import Emulator, Reply

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
PATH = "/v1/embeddings"


async def test_texts_become_vectors_in_their_order(client: AsyncClient, emulator: Emulator) -> None:
    page = await client.embeddings.create(input=(text for text in ("Кошка", "Собака", "Кошка")))
    assert [item.index for item in page] == [0, 1, 2]
    assert [len(item.embedding) for item in page] == [1024] * 3
    assert page[0].embedding == page[2].embedding != page[1].embedding
    assert page.usage.prompt_tokens == sum(item.usage.prompt_tokens for item in page) > 0
    assert page.request_id == page.response.headers["x-request-id"]
    (request,) = emulator.requests_to(PATH)
    assert (request.method, request.headers["content-type"]) == ("POST", "application/json")
    assert json.loads(request.body) == {"input": ["Кошка", "Собака", "Кошка"], "model": "Embeddings"}


async def test_one_text_and_another_model(client: AsyncClient, emulator: Emulator) -> None:
    page = await client.embeddings.create(input="Кошка", model="EmbeddingsGigaR")
    assert (len(page), len(page[0].embedding), page.model) == (1, 2560, "EmbeddingsGigaR")
    assert json.loads(emulator.requests_to(PATH)[0].body) == {"input": "Кошка", "model": "EmbeddingsGigaR"}


@pytest.mark.parametrize("file", ["embeddings_single.json", "embeddings_multiple.json"])
async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator, file: str) -> None:
    body = (WIRE / file).read_bytes()
    emulator.reply(PATH, Reply(body=body))
    page = await client.embeddings.create(input="Hello")
    assert page.to_dict() == json.loads(body)
    assert {len(item.embedding) for item in page} == {1024}
    assert page.usage.prompt_tokens == sum(item["usage"]["prompt_tokens"] for item in json.loads(body)["data"])


async def test_a_model_that_makes_no_vectors(client: AsyncClient) -> None:
    with pytest.raises(NotFoundError, match="No such model"):
        await client.embeddings.create(input="a", model="GigaChat")


@pytest.mark.parametrize("given", [[], 5, ["a", 5]])
async def test_what_is_no_text_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^input(\[1\])?: "):
        await client.embeddings.create(input=given)
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'input'"):
        await client.embeddings.create()
    assert emulator.requests == []


async def test_an_answer_that_is_none(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply(PATH, Reply(json={"object": "list", "data": [{"embedding": ["x"]}]}))
    with pytest.raises(APIResponseValidationError, match=r"the answer is no EmbeddingList: data\.0\.embedding\.0: "):
        await client.embeddings.create(input="a")
