from __future__ import annotations

import json
from pathlib import Path

import pytest

from gigachat_sdk import AsyncClient, AuthenticationError, InvalidRequestError, NotFoundError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"


async def test_the_list_is_a_page(client: AsyncClient, emulator: Emulator) -> None:
    page = await client.models.list()
    assert len(page) == len(page.data) > 1
    assert "GigaChat" in [model.id for model in page]
    assert page[0].id == page.data[0].id
    assert page.request_id == page.response.headers["x-request-id"]
    request = emulator.requests_to("/v1/models")[0]
    assert (request.method, request.body, request.headers["accept"]) == ("GET", b"", "application/json")
    assert "content-type" not in request.headers


async def test_one_model(client: AsyncClient, emulator: Emulator) -> None:
    model = await client.models.retrieve("GigaChat")
    assert (model.id, model.response.status_code) == ("GigaChat", 200)
    assert [request.path for request in emulator.requests[1:]] == ["/v1/models/GigaChat"]


async def test_a_model_that_is_not_there(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(NotFoundError) as caught:
        await client.models.retrieve("Nobody")
    error = caught.value
    assert (error.status_code, error.body) == (404, {"status": 404, "message": "No such model"})
    assert str(error) == (
        f"404 for GET {emulator.base_url}/models/Nobody: No such model. client.models.list() names the models of "
        f"your account. (request id {error.request_id})"
    )


@pytest.mark.parametrize("name", ["a/b", "GigaChat:2.0", "../files", "a?b=c#d", "ы %"])
async def test_a_name_stays_one_segment_of_the_path(client: AsyncClient, emulator: Emulator, name: str) -> None:
    with pytest.raises(NotFoundError):
        await client.models.retrieve(name)
    request = emulator.requests[-1]
    assert (request.path, request.query) == (f"/v1/models/{name}", "")


@pytest.mark.parametrize("name", ["", ".", "..", "\udcff"])
async def test_a_name_that_no_path_can_hold_is_refused(client: AsyncClient, emulator: Emulator, name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^model: "):
        await client.models.retrieve(name)
    assert emulator.requests == []


async def test_a_name_too_long_for_an_address_is_no_error_of_httpx(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises((InvalidRequestError, NotFoundError)):
        await client.models.retrieve("x" * 70_000)


async def test_a_name_of_another_kind_is_a_type_error(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="model: expected a string, got int"):
        await client.models.retrieve(1)


@pytest.mark.off_contract("sends query parameters that no operation has")
async def test_options_of_a_call(client: AsyncClient, emulator: Emulator) -> None:
    await client.models.list(extra_headers={"X-Trace": "1"}, extra_query={"a": [1, 2], "b": True}, timeout=3)
    with pytest.raises(TypeError, match=r"list\(\) got an unexpected keyword argument 'timeot'; did you mean"):
        await client.models.list(timeot=3)
    with pytest.raises(TypeError, match=r"retrieve\(\) got an unexpected keyword argument 'temperature'"):
        await client.models.retrieve("GigaChat", temperature=1)
    request = emulator.requests[-1]
    assert (request.headers["x-trace"], request.query) == ("1", "a=1&a=2&b=true")


@pytest.mark.parametrize("file", ["get_models.json", "get_model.json"])
async def test_recorded_answers_come_out_as_they_came(client: AsyncClient, emulator: Emulator, file: str) -> None:
    body = (WIRE / file).read_bytes()
    if file == "get_models.json":
        emulator.reply("/v1/models", Reply(body=body, headers={"Content-Type": "application/json"}), method="GET")
        answer = await client.models.list()
    else:
        emulator.reply("/v1/models/GigaChat", Reply(body=body), method="GET")
        answer = await client.models.retrieve("GigaChat")
    assert answer.to_dict() == json.loads(body)


async def test_a_recorded_refusal(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "get_model_not_found.json").read_bytes()
    emulator.reply("/v1/models/x", Reply(404, body=body, headers={"Content-Type": "application/json"}), method="GET")
    with pytest.raises(NotFoundError) as caught:
        await client.models.retrieve("x")
    assert caught.value.body == json.loads(body)


async def test_a_wrong_key_is_told_as_such(emulator: Emulator, connect: Connect) -> None:
    client = connect(emulator, credentials="d3Jvbmc6a2V5")
    with pytest.raises(AuthenticationError, match="The authorization key is wrong or was revoked"):
        await client.models.list()
    assert [request.path for request in emulator.requests] == ["/api/v2/oauth"]
