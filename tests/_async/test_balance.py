from __future__ import annotations

import json
from pathlib import Path

import pytest

from gigachat_sdk import AsyncClient, PermissionDeniedError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
PATH = "/v1/balance"


async def test_what_is_left_of_each_package(client: AsyncClient, emulator: Emulator) -> None:
    balance = await client.balance.retrieve()
    left = {item.usage: item.value for item in balance}
    assert left["GigaChat"] > 0
    assert len(left) == len(balance)
    assert balance.request_id == balance.response.headers["x-request-id"]
    (request,) = emulator.requests_to(PATH)
    assert (request.method, request.body) == ("GET", b"")


async def test_a_recorded_answer_comes_out_as_it_came(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "fixture_balance.json").read_bytes()
    emulator.reply(PATH, Reply(body=body), method="GET")
    balance = await client.balance.retrieve()
    assert balance.to_dict() == json.loads(body)
    assert balance[1].value == 991490


async def test_who_pays_as_he_goes_has_no_balance(connect: Connect) -> None:
    with Emulator(plan="pay_as_you_go") as emulator:
        client = connect(emulator)
        with pytest.raises(PermissionDeniedError, match="Your plan may not include this method or model"):
            await client.balance.retrieve()
        await client.aclose()
