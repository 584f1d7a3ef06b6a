"""The one request loop: what is sent again, after how long, and what is raised."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import httpx
import pytest
import respx

from gigachat_sdk import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
)
from gigachat_sdk.testing import Emulator, Reply

from .conftest import Connect, Late
from .servers import Connection, RawServer, plain_answer

pytestmark = pytest.mark.anyio

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "Привет!"}]


async def ask(client: AsyncClient, **options: Any) -> Any:
    return await client.chat.completions.create(messages=MESSAGES, **options)


@pytest.fixture
def fixed_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.SystemRandom.random", lambda self: 1.0)


@pytest.mark.usefixtures("fixed_jitter")
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_an_answered_error_is_sent_again(
    client: AsyncClient, emulator: Emulator, delays: list[float], status: int
) -> None:
    emulator.reply(CHAT, Reply.error(status, "x"), times=2)
    completion = await ask(client)
    assert completion.response.retries_taken == 2
    assert delays == [0.5, 1.0]
    assert len({request.body for request in emulator.requests_to(CHAT)}) == 1
    assert len(emulator.requests_to(CHAT)) == 3


@pytest.mark.usefixtures("delays")
async def test_retries_leave_the_random_numbers_of_the_program_alone(client: AsyncClient, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.error(500, "x"), times=2)
    before = random.getstate()
    assert (await ask(client)).response.retries_taken == 2
    assert random.getstate() == before


async def test_the_last_error_is_raised(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(CHAT, Reply.error(500, "1"), Reply.error(500, "2"), Reply.error(503, "3"))
    with pytest.raises(InternalServerError, match=r"503 .*: 3") as caught:
        await ask(client)
    assert caught.value.response.retries_taken == 2
    assert len(delays) == 2
    assert caught.value.__context__ is None


@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422])
async def test_other_statuses_are_raised_at_once(
    client: AsyncClient, emulator: Emulator, delays: list[float], status: int
) -> None:
    emulator.reply(CHAT, Reply.error(status, "x"))
    with pytest.raises(APIStatusError):
        await ask(client)
    assert (len(emulator.requests_to(CHAT)), delays) == (1, [])


async def test_retry_settings_of_the_client_and_of_a_call(
    connect: Connect, emulator: Emulator, delays: list[float]
) -> None:
    client = connect(emulator, max_retries=1, retry_statuses=[418])
    emulator.reply(CHAT, Reply.error(418, "x"))
    assert (await ask(client)).response.retries_taken == 1
    emulator.reply(CHAT, Reply.error(500, "x"))
    with pytest.raises(InternalServerError):
        await ask(client)
    emulator.reply(CHAT, Reply.error(500, "x"), times=3)
    assert (await ask(client, max_retries=3, retry_statuses={500})).response.retries_taken == 3
    emulator.reply(CHAT, Reply.error(418, "x"))
    with pytest.raises(APIStatusError):
        await ask(client, max_retries=0)
    with pytest.raises(InvalidRequestError, match="max_retries: give 0"):
        await ask(client, max_retries=-1)
    assert len(delays) == 4


@pytest.mark.parametrize(("value", "expected"), [("7", 7.0), ("0", 0.0), ("60", 60.0), ("-3", 0.0)])
async def test_the_service_says_when(
    client: AsyncClient, emulator: Emulator, delays: list[float], value: str, expected: float
) -> None:
    emulator.reply(CHAT, Reply.error(429, "x", headers={"Retry-After": value}))
    await ask(client)
    assert delays == [expected]


async def test_the_service_says_when_as_a_date(
    client: AsyncClient, emulator: Emulator, delays: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr("gigachat_sdk._async.transport.time.time", lambda: now)
    emulator.reply(CHAT, Reply.error(503, "x", headers={"Retry-After": formatdate(now + 30, usegmt=True)}))
    await ask(client)
    assert delays == [30.0]


async def test_a_longer_wait_is_left_to_the_caller(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    emulator.reply(CHAT, Reply.error(429, "x", headers={"Retry-After": "61"}))
    with pytest.raises(RateLimitError) as caught:
        await ask(client)
    assert (caught.value.retry_after, delays) == (61.0, [])


async def test_a_refused_token_is_renewed_once(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    await ask(client)
    emulator.revoke_tokens()
    completion = await ask(client)
    assert completion.response.retries_taken == 0
    assert [request.status for request in emulator.requests_to(CHAT)] == [200, 401, 200]
    assert (emulator.oauth_requests, delays) == (2, [])
    tokens = [request.headers["authorization"] for request in emulator.requests_to(CHAT)]
    assert tokens[0] == tokens[1] != tokens[2]


async def test_a_second_refusal_is_raised(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(CHAT, Reply.error(401, "Token has expired"), times=2)
    with pytest.raises(AuthenticationError, match="Token has expired"):
        await ask(client)
    assert (len(emulator.requests_to(CHAT)), emulator.oauth_requests, delays) == (2, 2, [])


async def test_a_refusal_after_a_retry_renews_too(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(CHAT, Reply.error(500, "x"), Reply.error(401, "x"), Reply.error(500, "x"))
    assert (await ask(client)).response.retries_taken == 2
    assert (len(delays), emulator.oauth_requests) == (2, 2)


async def test_a_ready_token_that_is_refused_is_raised_at_once(connect: Connect, emulator: Emulator) -> None:
    client = connect(access_token="old", base_url=emulator.base_url)
    with pytest.raises(AuthenticationError):
        await ask(client)
    assert [request.path for request in emulator.requests] == [CHAT]


async def test_an_authorization_of_the_callers_own_wins_and_is_not_renewed(
    client: AsyncClient, emulator: Emulator
) -> None:
    token = emulator.issue_token()
    await ask(client, extra_headers={"authorization": f"Bearer {token}"})
    with pytest.raises(AuthenticationError):
        await ask(client, extra_headers={"AUTHORIZATION": "Bearer wrong"})
    with pytest.raises(AuthenticationError):
        await ask(client, extra_headers={"Authorization": None})
    assert [request.path for request in emulator.requests] == [CHAT] * 3
    assert "authorization" not in emulator.requests[2].headers


async def test_nobody_listens(connect: Connect, delays: list[float], refusing_port: int) -> None:
    client = connect(access_token="t", base_url=f"http://127.0.0.1:{refusing_port}/v1")
    with pytest.raises(APIConnectionError, match=r"could not connect to 127\.0\.0\.1") as caught:
        await ask(client)
    error = caught.value
    assert (type(error), error.sent, error.response, error.status_code) == (APIConnectionError, False, None, None)
    assert error.request.url == f"http://127.0.0.1:{refusing_port}/v1/chat/completions"
    assert (error.__context__, error.__cause__) == (None, None)
    assert len(delays) == 2


async def test_a_silent_service_times_out(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(CHAT, Reply(delay=30), times=3)
    with pytest.raises(APITimeoutError, match=r"127\.0\.0\.1:\d+ did not answer within") as caught:
        await ask(client, timeout=httpx.Timeout(5, read=0.05))
    assert caught.value.sent is True
    assert (caught.value.__context__, len(delays)) == (None, 2)


async def test_a_lost_answer_is_not_asked_again_where_the_user_says_so(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    late = Late(emulator, CHAT)
    await client.models.list()
    with pytest.raises(APITimeoutError):
        await ask(client, timeout=httpx.Timeout(5, read=0.05), retry_lost=False)
    assert late.has_come.wait(30)
    assert (len(emulator.requests_to(CHAT)), delays) == (1, [])


async def test_a_lost_answer_is_asked_again(connect: Connect, delays: list[float]) -> None:
    def answer(connection: Connection, request: bytes) -> list[bytes]:
        connection.is_over = True
        return [plain_answer(b'{"choices":[]}')] if len(server.requests) == 3 else []

    with RawServer(answer) as server:
        client = connect(access_token="t", base_url=server.url)
        assert (await ask(client)).response.retries_taken == 2
    assert len(delays) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_a_redirect_is_an_error_that_names_the_target(
    client: AsyncClient, emulator: Emulator, delays: list[float], stream: bool
) -> None:
    target = f"{emulator.base_url}/elsewhere"
    emulator.reply(CHAT, Reply(status=307, headers={"Location": target}))
    with pytest.raises(APIStatusError, match="the service redirects to") as caught:
        await ask(client, stream=stream)
    assert target in str(caught.value)
    assert caught.value.status_code == 307
    assert emulator.requests_to("/v1/elsewhere") == []
    assert delays == []


async def test_a_page_of_html_is_no_part_of_the_message(
    client: AsyncClient, emulator: Emulator, delays: list[float]
) -> None:
    page = "<html><body>Bad Gateway</body></html>"
    emulator.reply(CHAT, Reply(502, body=page, headers={"Content-Type": "text/html"}), times=3)
    with pytest.raises(InternalServerError) as caught:
        await ask(client)
    assert "<" not in str(caught.value)
    assert caught.value.body == page


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b'{"choices": [{"mess', headers={"Content-Type": "application/json"}),
        Reply(json={"choices": [{"message": 1}]}),
        Reply(json=[]),
        Reply(body=""),
        Reply(body=b"\xff\xfe", headers={"Content-Type": "application/json"}),
        Reply(body="<html></html>", headers={"Content-Type": "text/html"}),
    ],
)
async def test_a_success_that_cannot_be_read(
    client: AsyncClient, emulator: Emulator, delays: list[float], reply: Reply
) -> None:
    emulator.reply(CHAT, reply)
    with pytest.raises(APIResponseValidationError, match="the answer is no ChatCompletion") as caught:
        await ask(client)
    error = caught.value
    assert "\n" not in str(error)
    assert "pydantic" not in str(error)
    assert (error.__context__, error.__cause__) == (None, None)
    assert (error.status_code, delays) == (200, [])


@pytest.mark.parametrize("cut", [1, 20])
async def test_a_body_that_is_cut_is_a_lost_answer(connect: Connect, delays: list[float], cut: int) -> None:
    def answer(connection: Connection, request: bytes) -> list[bytes]:
        connection.is_over = True
        return [plain_answer(b'{"choices":[], "model": "GigaChat"}')[:-cut]]

    with RawServer(answer) as server:
        client = connect(access_token="t", base_url=server.url)
        with pytest.raises(APIConnectionError, match=r"the connection to 127\.0\.0\.1:\d+ was lost") as caught:
            await ask(client)
        assert (caught.value.sent, caught.value.__context__) == (True, None)
    assert len(server.requests) == 3


async def test_a_compressed_answer(client: AsyncClient, emulator: Emulator) -> None:
    body = gzip.compress(json.dumps({"choices": []}).encode())
    emulator.reply(CHAT, Reply(body=body, headers={"Content-Encoding": "gzip"}))
    assert (await ask(client)).choices == []
    assert emulator.requests_to(CHAT)[0].headers["accept-encoding"] == "gzip, deflate"


async def test_an_answer_compressed_wrongly(client: AsyncClient, emulator: Emulator, delays: list[float]) -> None:
    emulator.reply(CHAT, Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(APIConnectionError, match="cannot be decoded") as caught:
        await ask(client)
    assert (caught.value.__context__, delays) == (None, [])


@pytest.mark.parametrize(
    ("cause", "sends"),
    [
        (httpx.ConnectError("x"), 3),
        (httpx.ConnectTimeout("x"), 3),
        (httpx.ProxyError("x"), 3),
        (httpx.PoolTimeout("x"), 3),
        (httpx.ReadError("x"), 3),
        (httpx.WriteError("x"), 3),
        (httpx.WriteTimeout("x"), 3),
        (httpx.RemoteProtocolError("x"), 3),
        (httpx.LocalProtocolError("x"), 1),
        (httpx.DecodingError("x"), 1),
        (httpx.UnsupportedProtocol("x"), 1),
    ],
)
async def test_how_far_a_failed_attempt_got_decides(
    connect: Connect, respx_calls: Callable[[Exception], respx.Route], delays: list[float], cause: Exception, sends: int
) -> None:
    route = respx_calls(cause)
    client = connect(access_token="t", base_url="https://api.example.com/v1")
    with pytest.raises(APIError):
        await ask(client)
    assert (route.call_count, len(delays)) == (sends, sends - 1)


async def test_a_read_is_asked_again_even_with_retry_lost_off(
    connect: Connect, respx_calls: Callable[[Exception], respx.Route], delays: list[float]
) -> None:
    route = respx_calls(httpx.ReadError("x"))
    client = connect(access_token="t", base_url="https://api.example.com/v1", retry_lost=False)
    with pytest.raises(APIConnectionError):
        await client.models.list()
    assert (route.call_count, len(delays)) == (3, 2)


@pytest.fixture
def respx_calls(respx_mock: respx.MockRouter) -> Callable[[Exception], respx.Route]:
    """Let every request fail in a way of the test's."""

    def fail(cause: Exception) -> respx.Route:
        return respx_mock.route(host="api.example.com").mock(side_effect=cause)

    return fail


async def test_a_closed_client_says_so(emulator: Emulator, connect: Connect) -> None:
    client = connect(emulator)
    await client.aclose()
    with pytest.raises(ConfigurationError, match="this client is closed"):
        await ask(client)
    assert emulator.requests == []
