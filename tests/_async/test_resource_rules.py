"""What holds for every method: how often it may be sent, which keywords it takes, that it shows no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from security.leaks import TOKEN, leaks_of_error

from gigachat_sdk import APIConnectionError, AsyncClient, AuthenticationError, InvalidRequestError, NotFoundError
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect
from .servers import Connection, RawServer

pytestmark = pytest.mark.anyio

FUNCTION: Any = {"name": "f", "parameters": {"type": "object", "properties": {}}}
SAYS: list[Any] = [{"role": "user", "content": "x"}]
READS, REPEATS, CREATES = "reads", "repeats", "creates"


class Method(NamedTuple):
    """A method of a resource, called with what it cannot do without."""

    ask: Callable[..., Any]
    path: str
    effect: str
    has_body: bool = True


METHODS: dict[str, Method] = {
    "embeddings.create": Method(lambda c, **o: c.embeddings.create(input="x", **o), "POST embeddings", REPEATS),
    "tokens.count": Method(lambda c, **o: c.tokens.count(input="x", **o), "POST tokens/count", REPEATS),
    "functions.convert": Method(
        lambda c, **o: c.functions.convert(openapi="x", **o), "POST functions/convert", REPEATS, has_body=False
    ),
    "functions.validate": Method(
        lambda c, **o: c.functions.validate(function=FUNCTION, **o), "POST functions/validate", REPEATS
    ),
    "balance.retrieve": Method(lambda c, **o: c.balance.retrieve(**o), "GET balance", READS, has_body=False),
    "ai.check": Method(lambda c, **o: c.ai.check(input="x", **o), "POST ai/check", REPEATS),
    "filter.check": Method(lambda c, **o: c.filter.check(messages=SAYS, **o), "POST filter/check", REPEATS),
    "assistants.list": Method(lambda c, **o: c.assistants.list(**o), "GET assistants", READS, has_body=False),
    "assistants.retrieve": Method(
        lambda c, **o: c.assistants.retrieve("1", **o), "GET assistants", READS, has_body=False
    ),
    "assistants.create": Method(lambda c, **o: c.assistants.create(name="a", **o), "POST assistants", CREATES),
    "assistants.update": Method(
        lambda c, **o: c.assistants.update("1", name="a", **o), "POST assistants/modify", CREATES
    ),
    "assistants.delete": Method(lambda c, **o: c.assistants.delete("1", **o), "POST assistants/delete", CREATES),
    "assistants.delete_file": Method(
        lambda c, **o: c.assistants.delete_file("1", assistant_id="2", **o), "POST assistants/files/delete", CREATES
    ),
    "threads.list": Method(lambda c, **o: c.threads.list(**o), "GET threads", READS, has_body=False),
    "threads.retrieve": Method(lambda c, **o: c.threads.retrieve("1", **o), "POST threads/retrieve", READS),
    "threads.retrieve_many": Method(lambda c, **o: c.threads.retrieve_many(["1"], **o), "POST threads/retrieve", READS),
    "threads.create": Method(lambda c, **o: c.threads.create(**o), "POST threads", CREATES),
    "threads.delete": Method(lambda c, **o: c.threads.delete("1", **o), "POST threads/delete", CREATES),
    "threads.messages.list": Method(
        lambda c, **o: c.threads.messages.list("1", **o), "GET threads/messages", READS, has_body=False
    ),
    "threads.messages.create": Method(
        lambda c, **o: c.threads.messages.create(messages=SAYS, **o), "POST threads/messages", CREATES
    ),
    "threads.messages.run": Method(
        lambda c, **o: c.threads.messages.run(messages=SAYS, **o), "POST threads/messages/run", CREATES
    ),
    "threads.messages.rerun": Method(
        lambda c, **o: c.threads.messages.rerun("1", **o), "POST threads/messages/rerun", CREATES
    ),
    "threads.runs.create": Method(lambda c, **o: c.threads.runs.create("1", **o), "POST threads/run", CREATES),
    "threads.runs.retrieve": Method(
        lambda c, **o: c.threads.runs.retrieve("1", **o), "GET threads/run", READS, has_body=False
    ),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS.keys())


def silence(connection: Connection, request: bytes) -> list[bytes]:
    """Take a request, and end the connection without an answer."""
    connection.is_over = True
    return []


@every_method
@pytest.mark.parametrize("retry_lost", [True, False])
async def test_a_lost_answer_is_asked_again_where_that_makes_nothing_twice(
    connect: Connect, delays: list[float], method: Method, retry_lost: bool
) -> None:
    with RawServer(silence) as server:
        client = connect(access_token="t", base_url=f"{server.url}/v1")
        with pytest.raises(APIConnectionError):
            await method.ask(client, retry_lost=retry_lost)
    is_repeated = method.effect == READS or (method.effect == REPEATS and retry_lost)
    verb, _, path = method.path.partition(" ")
    asked = [request.split(b" HTTP/")[0].decode().partition("?")[0] for request in server.requests]
    assert asked == [f"{verb} /v1/{path}"] * (3 if is_repeated else 1)


@every_method
async def test_an_unknown_keyword_is_a_type_error(client: AsyncClient, emulator: Emulator, method: Method) -> None:
    with pytest.raises(TypeError, match=r"got an unexpected keyword argument 'timeot'; did you mean 'timeout'\?"):
        await method.ask(client, timeot=5)
    assert emulator.requests == []


@every_method
@pytest.mark.off_contract("sends fields and parameters that no operation has")
async def test_the_options_of_a_call_are_sent(client: AsyncClient, emulator: Emulator, method: Method) -> None:
    verb, _, path = method.path.partition(" ")
    emulator.reply(f"/v1/{path}", Reply.error(404, "no"), method=verb)
    extra = {"extra_body": {"new": {"a": 1}}} if method.has_body else {}
    with pytest.raises(NotFoundError):
        await method.ask(client, extra_headers={"X-New": "1"}, session_id="s", extra_query={"b": [1, 2]}, **extra)
    (request,) = emulator.requests_to(f"/v1/{path}")
    assert (request.method, request.headers["x-new"], request.headers["x-session-id"]) == (verb, "1", "s")
    assert request.query.endswith("b=1&b=2")
    if method.has_body:
        assert json.loads(request.body)["new"] == {"a": 1}


@every_method
async def test_an_option_that_is_none_is_not_given(client: AsyncClient, emulator: Emulator, method: Method) -> None:
    """Of a call that has no body, too: whoever wraps a method may pass on what it was not given."""
    verb, _, path = method.path.partition(" ")
    emulator.reply(f"/v1/{path}", Reply.error(404, "no"), method=verb, times=2)
    with pytest.raises(NotFoundError):
        await method.ask(client)
    none = dict.fromkeys(
        ("extra_headers", "extra_query", "extra_body", "max_retries", "retry_statuses", "retry_lost"), None
    )
    with pytest.raises(NotFoundError):
        await method.ask(client, **none)
    usual, given = emulator.requests_to(f"/v1/{path}")
    assert (given.method, given.query, given.body) == (usual.method, usual.query, usual.body)


@every_method
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"extra_headers": {"Authorization": f"Bearer {TOKEN}"}}, AuthenticationError),
        ({"extra_headers": {"Authorization": f"Bearer {TOKEN}"}, "max_retries": -1}, InvalidRequestError),
        ({"extra_headers": {"Authorization": f"Bearer {TOKEN}\n"}}, InvalidRequestError),
        ({"extra_headers": {"Authorization": f"Bearer {TOKEN}"}, "timeot": 5}, TypeError),
    ],
    ids=["the service refuses", "a wrong option", "a wrong header", "an unknown keyword"],
)
async def test_no_error_shows_a_secret_header(
    client: AsyncClient, method: Method, options: dict[str, Any], kind: type[Exception]
) -> None:
    caught: Exception | None = None
    try:
        await method.ask(client, **options)
    except kind as error:
        caught = error
    assert caught is not None
    assert leaks_of_error(caught) == []
