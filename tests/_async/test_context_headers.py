"""Ids that requests carry: given to the client, to a call, or by `request_context` around them."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from typing import Any

import pytest

from gigachat_sdk import APIConnectionError, InvalidRequestError, request_context
from gigachat_sdk.testing import Emulator

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
IDS = {
    "client_id": "x-client-id",
    "request_id": "x-request-id",
    "session_id": "x-session-id",
    "service_id": "x-service-id",
    "operation_id": "x-operation-id",
    "trace_id": "x-trace-id",
    "agent_id": "x-agent-id",
}


def sent(emulator: Emulator, path: str = CHAT) -> dict[str, str]:
    return dict(emulator.requests_to(path)[-1].headers)


async def test_every_id_of_a_call_has_a_header(connect: Connect, emulator: Emulator) -> None:
    given: Any = {name: f"value of {name}" for name in IDS}
    await connect(emulator).chat.completions.create(messages=MESSAGES, **given)
    headers = sent(emulator)
    assert {name: headers[header] for name, header in IDS.items()} == given


async def test_every_id_of_a_client_but_the_requests_own_has_a_header(connect: Connect, emulator: Emulator) -> None:
    given: Any = {name: f"value of {name}" for name in IDS if name != "request_id"}
    await connect(emulator, **given).models.list()
    headers = sent(emulator, "/v1/models")
    assert {name: headers[header] for name, header in IDS.items() if name != "request_id"} == given
    with pytest.raises(TypeError, match="unexpected keyword argument 'request_id'"):
        connect(emulator, request_id="1")


async def test_every_id_of_a_block_has_a_header(connect: Connect, emulator: Emulator) -> None:
    given: Any = {name: f"value of {name}" for name in IDS}
    client = connect(emulator)
    with request_context(**given, headers={"X-Tenant": "t1"}):
        await client.chat.completions.create(messages=MESSAGES)
    headers = sent(emulator)
    assert {name: headers[header] for name, header in IDS.items()} == given
    assert headers["x-tenant"] == "t1"
    await client.chat.completions.create(messages=MESSAGES)
    assert not {*IDS.values(), "x-tenant"} & sent(emulator).keys()


async def test_a_call_wins_over_the_block_and_the_block_over_the_client(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, client_id="client", session_id="client", trace_id="client")
    with request_context(client_id="block", session_id="block"):
        await client.chat.completions.create(messages=MESSAGES, client_id="call")
    headers = sent(emulator)
    assert [headers[f"x-{name}-id"] for name in ("client", "session", "trace")] == ["call", "block", "client"]


async def test_an_id_wins_over_a_default_header_and_a_header_of_the_call_over_all(
    connect: Connect, emulator: Emulator
) -> None:
    client = connect(emulator, client_id="id", default_headers={"x-client-id": "default", "X-Session-Id": "default"})
    await client.chat.completions.create(messages=MESSAGES, trace_id="call", extra_headers={"x-trace-id": "extra"})
    headers = sent(emulator)
    assert [headers[f"x-{name}-id"] for name in ("client", "session", "trace")] == ["id", "default", "extra"]


async def test_none_as_an_id_changes_nothing_and_none_as_a_header_takes_it_away(
    connect: Connect, emulator: Emulator
) -> None:
    client = connect(emulator, client_id="client")
    with request_context(client_id=None, session_id="block"):
        await client.chat.completions.create(messages=MESSAGES, client_id=None)
        assert sent(emulator)["x-client-id"] == "client"
        with request_context(headers={"X-Session-ID": None}):
            await client.chat.completions.create(messages=MESSAGES, extra_headers={"X-Client-ID": None})
    assert "x-client-id" not in sent(emulator)
    assert "x-session-id" not in sent(emulator)


async def test_blocks_inside_each_other_add_up_and_the_inner_one_wins(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator)
    with request_context(client_id="outer", headers={"x-session-id": "outer", "X-A": "outer"}):
        with request_context(session_id="inner", headers={"X-A": "inner"}):
            await client.chat.completions.create(messages=MESSAGES)
        inner = sent(emulator)
        await client.chat.completions.create(messages=MESSAGES)
    assert [inner[name] for name in ("x-client-id", "x-session-id", "x-a")] == ["outer", "inner", "inner"]
    assert [sent(emulator)[name] for name in ("x-client-id", "x-session-id", "x-a")] == ["outer", "outer", "outer"]


async def test_a_block_is_left_by_an_error_too(connect: Connect, emulator: Emulator) -> None:
    with pytest.raises(KeyError), request_context(client_id="block"):
        raise KeyError("of the user's")
    await connect(emulator).chat.completions.create(messages=MESSAGES)
    assert "x-client-id" not in sent(emulator)


async def test_other_contexts_do_not_see_a_block(connect: Connect, emulator: Emulator) -> None:
    outside = contextvars.copy_context()
    client = connect(emulator)
    with request_context(client_id="block"):
        call = outside.run(client.chat.completions.create, messages=MESSAGES)
        if hasattr(call, "__await__"):
            call.close()  # a coroutine runs in the context that waits for it
        else:
            assert "x-client-id" not in sent(emulator)


async def test_token_requests_carry_none_of_them(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, client_id="client")
    with request_context(session_id="block", headers={"X-A": "1"}):
        await client.models.list(trace_id="call")
    assert not {*IDS.values(), "x-a"} & sent(emulator, "/api/v2/oauth").keys()


async def test_an_answer_knows_the_ids_of_its_exchange(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator)
    answer = await client.chat.completions.create(
        messages=MESSAGES, client_id="user-1", session_id="dialogue-2", request_id="request-3"
    )
    assert (answer.client_id, answer.session_id, answer.request_id) == ("user-1", "dialogue-2", "request-3")
    plain = await client.models.list()
    assert plain.client_id is None
    assert plain.session_id == plain.response.headers["x-session-id"]
    stream = await client.chat.completions.create(messages=MESSAGES, stream=True, client_id="user-1")
    assert {chunk.client_id async for chunk in stream} == {"user-1"}


async def test_a_copy_of_a_client_has_ids_of_its_own(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator, client_id="user-1")
    await client.with_options(session_id="copy").models.list()
    assert [sent(emulator, "/v1/models")[name] for name in ("x-client-id", "x-session-id")] == ["user-1", "copy"]
    await client.models.list()
    assert "x-session-id" not in sent(emulator, "/v1/models")


@pytest.mark.parametrize("name", sorted(IDS))
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (17, "expected a string, got int"),
        ("a\nb", "holds characters that a header cannot"),
        ("Анна", "give printable ASCII"),
        ("", "the value is empty"),
    ],
)
async def test_an_id_that_no_header_can_hold_is_refused_by_its_name(
    connect: Connect, emulator: Emulator, name: str, value: Any, words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=f"^{name}: .*{words}"):
        await connect(emulator).models.list(**{name: value})
    with pytest.raises(InvalidRequestError, match=f"^{name}: .*{words}"), request_context(**{name: value}):
        raise AssertionError("the block must not begin")
    if name != "request_id":
        with pytest.raises(ValueError, match=f"^{name}: .*{words}"):
            connect(emulator, **{name: value})
    assert emulator.requests == []


async def test_an_unknown_keyword_of_a_block_is_told_with_the_right_one() -> None:
    with (
        pytest.raises(TypeError, match=r"request_context\(\) got .* 'cliend_id'; did you mean 'client_id'"),
        request_context(cliend_id="1"),
    ):
        raise AssertionError("the block must not begin")
    with pytest.raises(InvalidRequestError, match="headers: expected a dict"), request_context(headers=["X-A"]):
        raise AssertionError("the block must not begin")


async def test_a_block_can_be_entered_again(connect: Connect, emulator: Emulator) -> None:
    client = connect(emulator)
    block = request_context(client_id="again", headers={"X-A": "secret"})
    assert repr(block) == "request_context(X-A, X-Client-ID)"
    for _ in range(2):
        with block, block:
            await client.chat.completions.create(messages=MESSAGES)
            assert sent(emulator)["x-client-id"] == "again"
        await client.chat.completions.create(messages=MESSAGES)
        assert "x-client-id" not in sent(emulator)


async def test_a_generator_that_ends_in_another_context_says_nothing() -> None:
    def generate() -> Iterator[int]:
        with request_context(client_id="1"):
            yield 1

    generator = generate()
    contextvars.copy_context().run(next, generator)
    assert list(generator) == []


async def test_a_lost_connection_knows_the_id_that_was_given(connect: Connect) -> None:
    client = connect(base_url="http://127.0.0.1:1/v1", access_token="t", max_retries=0)
    with pytest.raises(APIConnectionError, match=r"\(request id mine-7\)") as caught:
        await client.models.list(request_id="mine-7")
    assert caught.value.request_id == "mine-7"
    with pytest.raises(APIConnectionError) as caught:
        await client.models.list()
    assert caught.value.request_id is None
