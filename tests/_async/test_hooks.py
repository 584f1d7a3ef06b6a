"""`on_retry` and `middleware`: what they are told, and what they may do."""

from __future__ import annotations

import json
import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gigachat_sdk import (
    APIConnectionError,
    APIStatusError,
    AsyncClient,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
)
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import AttemptRequest, AttemptResponse, RetryInfo

from .conftest import Connect

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
MESSAGES: Any = [{"role": "user", "content": "hello"}]
Send = Callable[[AttemptRequest], Awaitable[AttemptResponse]]


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


# ---- on_retry ----


async def test_on_retry_is_told_what_happened_and_what_will(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    told: list[RetryInfo] = []
    emulator.reply(CHAT, Reply.error(500, "x"), Reply.error(429, "y", headers={"Retry-After": "3"}))
    answer = await ask(connect(emulator, on_retry=told.append))
    assert [info.number for info in told] == [1, 2]
    assert [info.delay for info in told] == delays
    assert delays[1] == 3.0
    assert [type(info.error) for info in told] == [InternalServerError, RateLimitError]
    assert [info.response.status_code for info in told] == [500, 429]
    assert {(info.request.method, info.request.url) for info in told} == {("POST", f"{emulator.base_url}{CHAT[3:]}")}
    assert answer.response.retries_taken == 2


async def test_on_retry_of_a_call_wins_and_may_wait(connect: Connect, emulator: Emulator, delays: list[float]) -> None:
    told: list[int] = []

    async def on_retry(info: RetryInfo) -> None:
        told.append(info.number)

    def never(info: RetryInfo) -> None:
        raise AssertionError("the call has its own")

    emulator.reply(CHAT, Reply.error(500, "x"))
    await ask(connect(emulator, on_retry=never), on_retry=on_retry)
    assert told == [1]


async def test_a_lost_connection_has_no_response(connect: Connect, delays: list[float]) -> None:
    told: list[RetryInfo] = []
    client = connect(base_url="http://127.0.0.1:1/v1", access_token="t", on_retry=told.append)
    with pytest.raises(APIConnectionError) as caught:
        await ask(client)
    assert [(info.number, info.response) for info in told] == [(1, None), (2, None)]
    assert caught.value.request == told[0].request


async def test_no_retry_is_no_reason_to_call_it(connect: Connect, emulator: Emulator) -> None:
    told: list[RetryInfo] = []
    emulator.reply(CHAT, Reply.error(404, "x"), Reply.error(500, "x"))
    client = connect(emulator, on_retry=told.append)
    for options in ({}, {"max_retries": 0}):
        with pytest.raises(APIStatusError):
            await ask(client, **options)
    emulator.revoke_tokens()
    await ask(client)  # a new token is no retry
    assert told == []


async def test_its_own_error_ends_the_call(connect: Connect, emulator: Emulator, delays: list[float]) -> None:
    def give_up(info: RetryInfo) -> None:
        raise KeyError("enough")

    emulator.reply(CHAT, Reply.error(500, "x"))
    with pytest.raises(KeyError, match="enough"):
        await ask(connect(emulator, on_retry=give_up))
    assert (len(emulator.requests_to(CHAT)), delays) == (1, [])


async def test_what_cannot_be_called_is_refused(client: AsyncClient, connect: Connect, emulator: Emulator) -> None:
    with pytest.raises(InvalidRequestError, match="on_retry: expected a function, got int"):
        await ask(client, on_retry=1)
    with pytest.raises(ConfigurationError, match="on_retry: expected a function, got int"):
        connect(emulator, on_retry=1)
    with pytest.raises(ConfigurationError, match="middleware: expected a list of functions, got function"):
        connect(emulator, middleware=lambda request, send: send(request))
    with pytest.raises(ConfigurationError, match="middleware: expected a function, got str"):
        connect(emulator, middleware=["log"])


# ---- middleware ----


class Recorder:
    """Passes everything on, and remembers what it saw."""

    def __init__(self, name: str = "", log: list[str] | None = None) -> None:
        self.name = name
        self.log = [] if log is None else log
        self.requests: list[AttemptRequest] = []
        self.responses: list[AttemptResponse] = []
        self.errors: list[Exception] = []

    async def __call__(self, request: AttemptRequest, send: Send) -> AttemptResponse:
        self.requests.append(request)
        self.log.append(f"in {self.name}")
        try:
            response = await send(request)
        except Exception as error:
            self.errors.append(error)
            raise
        self.log.append(f"out {self.name}")
        self.responses.append(response)
        return response


async def test_a_middleware_sees_each_attempt_and_its_answer(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    seen = Recorder()
    emulator.reply(CHAT, Reply.error(500, "x"))
    answer = await ask(connect(emulator, middleware=[seen]))
    assert [(request.number, request.method) for request in seen.requests] == [(1, "POST"), (2, "POST")]
    assert {request.url for request in seen.requests} == {f"{emulator.base_url}/chat/completions"}
    assert seen.requests[0].content == emulator.requests_to(CHAT)[0].body
    assert [response.status_code for response in seen.responses] == [500, 200]
    assert seen.responses[0].content == b'{"status":500,"message":"x"}\n'
    assert seen.responses[1].info == answer.response
    assert seen.responses[1].content is not None
    assert answer.to_dict() == json.loads(seen.responses[1].content)


async def test_the_first_one_is_the_outermost(connect: Connect, emulator: Emulator) -> None:
    log: list[str] = []
    await ask(connect(emulator, middleware=[Recorder("a", log), Recorder("b", log)]))
    assert log == ["in a", "in b", "out b", "out a"]


async def test_it_may_add_headers_and_take_them_away(connect: Connect, emulator: Emulator) -> None:
    async def change(request: AttemptRequest, send: Send) -> AttemptResponse:
        request.headers["X-Signature"] = str(len(request.content or b""))
        del request.headers["Accept"]
        return await send(request)

    await ask(connect(emulator, middleware=[change]))
    request = emulator.requests_to(CHAT)[0]
    assert request.headers["x-signature"] == str(len(request.body))
    assert "accept" not in request.headers
    assert request.headers["authorization"].startswith("Bearer ")


async def test_it_never_sees_the_token_and_its_own_authorization_wins(connect: Connect, emulator: Emulator) -> None:
    seen = Recorder()
    client = connect(emulator, middleware=[seen])
    await ask(client)
    assert "authorization" not in {name.lower() for name in seen.requests[0].headers}
    assert [request.url for request in seen.requests] == [f"{emulator.base_url}/chat/completions"]  # none for a token

    async def sign(request: AttemptRequest, send: Send) -> AttemptResponse:
        request.headers["authorization"] = f"Bearer {emulator.issue_token()}"
        return await send(request)

    emulator.revoke_tokens()
    await ask(client.with_options(middleware=[sign]))
    assert emulator.oauth_requests == 1


async def test_a_lost_connection_is_an_error_there_too(connect: Connect, delays: list[float]) -> None:
    seen = Recorder()
    client = connect(base_url="http://127.0.0.1:1/v1", access_token="t", middleware=[seen])
    with pytest.raises(APIConnectionError, match="tried 3 times") as caught:
        await ask(client)
    assert len(seen.errors) == 3
    assert seen.errors[-1] is caught.value


async def test_a_stream_is_on_its_way_when_it_is_shown(connect: Connect, emulator: Emulator) -> None:
    seen = Recorder()
    stream = await ask(connect(emulator, middleware=[seen]), stream=True)
    assert (seen.requests[0].is_stream, seen.responses[0].content) == (True, None)
    assert "".join([chunk.choices[0].delta.content async for chunk in stream]) == "Вы написали: hello"


async def test_its_own_error_goes_to_the_caller_and_the_connection_back(connect: Connect, emulator: Emulator) -> None:
    async def refuse(request: AttemptRequest, send: Send) -> AttemptResponse:
        await send(request)
        raise KeyError("not this one")

    client = connect(emulator, middleware=[refuse])
    for stream in (False, True):
        with pytest.raises(KeyError, match="not this one"):
            await ask(client, stream=stream)
    assert client._session.transport.http.in_flight == 0


async def test_an_api_error_of_its_own_is_raised_as_it_is(connect: Connect, emulator: Emulator) -> None:
    error = NotFoundError("of mine", request=None, response=None, body=None)

    async def refuse(request: AttemptRequest, send: Send) -> AttemptResponse:
        raise error

    with pytest.raises(NotFoundError) as caught:
        await ask(connect(emulator, middleware=[refuse]))
    assert caught.value is error
    assert emulator.requests_to(CHAT) == []


async def test_it_may_send_twice_and_the_last_answer_counts(connect: Connect, emulator: Emulator) -> None:
    async def twice(request: AttemptRequest, send: Send) -> AttemptResponse:
        await send(request)
        return await send(request)

    client = connect(emulator, middleware=[twice])
    stream = await ask(client, stream=True)
    assert client._session.transport.http.in_flight == 1
    assert "".join([chunk.choices[0].delta.content async for chunk in stream]) == "Вы написали: hello"
    assert len(emulator.requests_to(CHAT)) == 2


async def test_one_that_returns_something_else_is_told_so(connect: Connect, emulator: Emulator) -> None:
    async def forget(request: AttemptRequest, send: Send) -> Any:
        await send(request)

    async def invent(request: AttemptRequest, send: Send) -> Any:
        return AttemptResponse(info=None, content=b"")  # type: ignore[arg-type]  # it was never sent

    async def swallow(request: AttemptRequest, send: Send) -> Any:
        try:
            await send(request)
        except APIConnectionError:
            return "never mind"

    client = connect(emulator)
    for middleware, kind in ((forget, "NoneType"), (invent, "AttemptResponse")):
        with pytest.raises(ConfigurationError, match=f"middleware: it returned a {kind}; return what send"):
            await ask(client.with_options(middleware=[middleware]), stream=True)
    assert client._session.transport.http.in_flight == 0
    lost = connect(base_url="http://127.0.0.1:1/v1", access_token="t", middleware=[swallow])
    with pytest.raises(ConfigurationError, match="middleware: it returned a str"):
        await ask(lost)


async def test_a_header_of_its_own_that_cannot_be_sent_is_refused(connect: Connect, emulator: Emulator) -> None:
    async def break_lines(request: AttemptRequest, send: Send) -> AttemptResponse:
        request.headers["X-A"] = "a\nb"
        return await send(request)

    with pytest.raises(InvalidRequestError, match="middleware: the value of 'X-A' holds characters"):
        await ask(connect(emulator, middleware=[break_lines]))
    assert emulator.requests_to(CHAT) == []


async def test_a_client_with_hooks_belongs_to_its_process(connect: Connect, emulator: Emulator) -> None:
    for options in ({"middleware": [Recorder()]}, {"on_retry": print}):
        with pytest.raises(ConfigurationError, match=f"{next(iter(options))} belongs to this process"):
            pickle.dumps(connect(emulator, allow_pickle_secrets=True, **options))
