from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, BadRequestError, InvalidRequestError
from gigachat_sdk.testing import Emulator, Reply

pytestmark = pytest.mark.anyio

WIRE = Path(__file__).parent.parent / "fixtures" / "wire"
CONVERT, VALIDATE = "/v1/functions/convert", "/v1/functions/validate"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAPI = json.dumps(
    {
        "openapi": "3.0.0",
        "paths": {
            "/weather": {
                "get": {
                    "operationId": "get_weather",
                    "description": "Погода в городе",
                    "parameters": [{"name": "city", "in": "query", "required": True, "schema": {"type": "string"}}],
                    "responses": {},
                }
            }
        },
    },
    ensure_ascii=False,
)


async def test_a_document_becomes_functions_for_a_chat(client: AsyncClient, emulator: Emulator) -> None:
    found = await client.functions.convert(openapi=OPENAPI)
    assert [(function.name, function.description) for function in found] == [("get_weather", "Погода в городе")]
    assert found[0].parameters["properties"]["city"]["type"] == "string"
    (request,) = emulator.requests_to(CONVERT)
    assert (request.body.decode(), request.headers["content-type"]) == (OPENAPI, "text/plain; charset=utf-8")
    await client.chat.completions.create(messages=[{"role": "user", "content": "Привет"}], functions=found)
    assert json.loads(emulator.requests_to("/v1/chat/completions")[0].body)["functions"] == found.to_dict()["functions"]


async def test_a_recorded_conversion_comes_out_as_it_came(client: AsyncClient, emulator: Emulator) -> None:
    body = (WIRE / "fixture_functions_convert.json").read_bytes()
    emulator.reply(CONVERT, Reply(body=body))
    found = await client.functions.convert(openapi="openapi: 3.0.0")
    assert found.to_dict() == json.loads(body)
    assert (len(found), found[0].name, found[0].few_shot_examples[0].params["version"]) == (1, "send_sms", "2")


async def test_a_document_that_the_service_cannot_read(client: AsyncClient) -> None:
    with pytest.raises(BadRequestError):
        await client.functions.convert(openapi="это не OpenAPI")


@pytest.mark.parametrize(
    ("given", "message", "is_kind"),
    [
        ("", "openapi: the document is empty", False),
        (" \n", "openapi: the document is empty", False),
        ("a\ud800", "openapi: character 1 is a lone surrogate, which is no text", False),
        ({"openapi": "3.0.0"}, r"openapi: expected the document as text \(YAML or JSON\), got dict", True),
        (b"openapi: 3.0.0", r"openapi: expected the document as text \(YAML or JSON\), got bytes", True),
        (None, r"openapi: expected the document as text \(YAML or JSON\), got NoneType", True),
    ],
)
async def test_what_is_no_document_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, given: Any, message: str, is_kind: bool
) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{message}$") as caught:
        await client.functions.convert(openapi=given)
    assert (isinstance(caught.value, TypeError), caught.value.param) == (is_kind, "openapi")
    assert emulator.requests == []


async def test_a_text_has_no_place_for_further_fields(client: AsyncClient, emulator: Emulator) -> None:
    with pytest.raises(TypeError, match=r"convert\(\) takes no extra_body: it sends no JSON body"):
        await client.functions.convert(openapi=OPENAPI, extra_body={"a": 1})
    assert emulator.requests == []


async def test_a_function_that_the_service_takes(client: AsyncClient, emulator: Emulator) -> None:
    function: Any = {
        "name": "weather",
        "description": "Погода в городе",
        "parameters": PARAMETERS,
        "few_shot_examples": [{"request": "Погода в Туле", "params": {"city": "Тула"}}],
    }
    verdict = await client.functions.validate(function=function)
    assert (verdict.is_valid, verdict.errors, verdict.warnings) == (True, None, None)
    assert (verdict.status, verdict.message, verdict.request_id is None) == (200, "Function is valid", False)
    assert json.loads(emulator.requests_to(VALIDATE)[0].body) == function


async def test_a_function_that_could_be_better(client: AsyncClient) -> None:
    verdict = await client.functions.validate(function={"name": "weather", "parameters": PARAMETERS})
    assert verdict.is_valid
    assert "description is missing" in [issue.description for issue in verdict.warnings]


@pytest.mark.off_contract("asks for the service's verdict on a function that is none")
async def test_a_function_that_the_service_refuses_raises_nothing(client: AsyncClient) -> None:
    verdict = await client.functions.validate(function={"description": "?"})
    assert (verdict.is_valid, verdict.message, verdict.warnings) == (False, "Incorrect function syntax", None)
    assert {issue.description for issue in verdict.errors} == {"name is required", "parameters is required"}
    assert {issue.schema_location for issue in verdict.errors} == {"(root)"}


@pytest.mark.parametrize("function", ["weather", None, [{"name": "f"}]])
async def test_what_describes_no_function_is_refused_before_the_network(
    client: AsyncClient, emulator: Emulator, function: Any
) -> None:
    with pytest.raises(TypeError, match=r"^function: expected a dict, or a function of"):
        await client.functions.validate(function=function)
    assert emulator.requests == []
