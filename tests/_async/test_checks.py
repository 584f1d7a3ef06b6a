from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, InvalidRequestError, PermissionDeniedError, UnprocessableEntityError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
AI, FILTER = "/v1/ai/check", "/v1/filter/check"
BY_A_PERSON = "Вчера мы с братом ходили на реку, ловили рыбу до самого вечера и почти ничего не поймали. "
BY_A_MODEL = "Как языковая модель, я могу рассказать о рыбалке подробно."


async def test_a_text_by_a_person_and_a_model(client: AsyncClient, emulator: Emulator) -> None:
    verdict = await client.ai.check(input=BY_A_PERSON + BY_A_MODEL)
    assert (verdict.category, verdict.characters) == ("mixed", len(BY_A_PERSON + BY_A_MODEL))
    assert verdict.ai_intervals == [[len(BY_A_PERSON), len(BY_A_PERSON + BY_A_MODEL)]]
    assert verdict.tokens > 0
    assert verdict.request_id == verdict.response.headers["x-request-id"]
    assert json.loads(emulator.requests_to(AI)[0].body) == {
        "input": BY_A_PERSON + BY_A_MODEL,
        "model": "GigaCheckDetection",
    }


async def test_the_other_model_says_one_word(client: AsyncClient, emulator: Emulator) -> None:
    verdict = await client.ai.check(input=BY_A_PERSON * 2, model="GigaCheckClassification")
    assert (verdict.category, verdict.ai_intervals) == ("human", [])
    assert json.loads(emulator.requests_to(AI)[0].body)["model"] == "GigaCheckClassification"


async def test_a_recorded_verdict_comes_out_as_it_came(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "fixture_ai_check.json").read_bytes()
    emulator.reply(AI, Reply(body=body))
    verdict = await client.ai.check(input=BY_A_PERSON * 2)
    assert verdict.to_dict() == json.loads(body)
    assert (verdict.category, verdict.ai_intervals) == ("mixed", [[1, 262], [415, 533]])


async def test_a_short_text_is_for_the_service_to_refuse(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply(AI, Reply.error(422, "Invalid params: input must have at least 20 words"))
    with pytest.raises(UnprocessableEntityError, match="at least 20 words"):
        await client.ai.check(input="Коротко.")


async def test_a_prepaid_account_may_not_check(connect: Connect) -> None:
    with Emulator(plan="prepaid") as emulator:
        client = connect(emulator)
        with pytest.raises(PermissionDeniedError):
            await client.ai.check(input=BY_A_PERSON * 2)
        await client.aclose()


@pytest.mark.parametrize("given", ["", None, ["a"]])
async def test_what_is_no_text_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^input: "):
        await client.ai.check(input=given)
    assert emulator.requests == []


@pytest.mark.parametrize(("text", "is_profane"), [("Привет!", False), ("Ты дурак!", True)])
async def test_a_dialogue_is_filtered(client: AsyncClient, emulator: Emulator, text: str, is_profane: bool) -> None:
    verdict = await client.filter.check(messages=[{"role": "user", "content": text}])
    assert verdict.is_profane is is_profane
    assert verdict.usage.filter_tokens > 0
    assert json.loads(emulator.requests_to(FILTER)[0].body) == {
        "model": "GigaFilter",
        "messages": [{"role": "user", "content": text}],
    }


async def test_everything_about_a_filter_is_sent(client: AsyncClient, emulator: Emulator) -> None:
    answer = (await client.chat.completions.create(messages=[{"role": "user", "content": "x"}])).choices[0].message
    function: Any = {"name": "f", "parameters": {"type": "object", "properties": {}}}
    await client.filter.check(
        messages=iter([{"role": "user", "content": "x"}, answer]),
        model="GigaFilter",
        settings={"neuro": True, "unnormalized_history": False},
        functions=iter([function]),
    )
    sent = json.loads(emulator.requests_to(FILTER)[0].body)
    assert sent["messages"][1] == answer.to_dict()
    assert {name: value for name, value in sent.items() if name != "messages"} == {
        "model": "GigaFilter",
        "settings": {"neuro": True, "unnormalized_history": False},
        "functions": [function],
    }


@pytest.mark.parametrize(
    "given", [{"messages": []}, {"messages": "x"}, {"settings": "x"}, {"functions": [{"name": "1"}]}, {"model": ""}]
)
async def test_what_cannot_be_filtered_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{next(iter(given))}"):
        await client.filter.check(**{"messages": [{"role": "user", "content": "x"}], **given})
    assert emulator.requests == []
