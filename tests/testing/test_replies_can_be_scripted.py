import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, RecordedRequest, Reply

from .conftest import Clock, open_client
from .test_tokens_are_issued_and_checked import oauth

Ask = Callable[..., httpx.Response]
CHAT = "/v1/chat/completions"


def test_replies_come_in_order_and_then_the_normal_answer(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.error(500, "Internal Server Error"), Reply.error(429, "Too many requests"), times=2)
    assert [ask().status_code for _ in range(5)] == [500, 429, 500, 429, 200]


def test_an_error_has_the_body_of_the_service(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.error(429, "Слишком часто", headers={"Retry-After": "1"}))
    response = ask()
    assert response.content == '{"status":429,"message":"Слишком часто"}\n'.encode()
    assert response.headers["retry-after"] == "1"
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.headers["x-request-id"]


def test_a_body_goes_out_byte_for_byte(ask: Ask, emulator: Emulator) -> None:
    body = bytes(range(256))
    emulator.reply(
        CHAT,
        Reply(status=502, body=body, headers={"Content-Type": "text/html", "X-Odd": "ы".encode().decode("latin-1")}),
    )
    response = ask()
    assert (response.status_code, response.content) == (502, body)
    assert response.headers["content-type"] == "text/html"
    assert response.headers["content-length"] == "256"
    assert (b"X-Odd", "ы".encode()) in response.headers.raw


def test_a_text_goes_out_in_utf8_without_a_content_type(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(body="Привет"))
    response = ask()
    assert response.content == "Привет".encode()
    assert "content-type" not in response.headers


def test_an_empty_reply_has_an_empty_body(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(status=503))
    response = ask()
    assert (response.status_code, response.content, response.headers["content-length"]) == (503, b"", "0")


def test_json_is_written_as_the_service_writes_it(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(json={"а": [1, None]}))
    response = ask()
    assert response.content == '{"а":[1,null]}'.encode()
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_headers_of_a_reply_replace_or_remove_the_usual_ones(ask: Ask, emulator: Emulator) -> None:
    headers = {"x-request-id": "own", "X-SESSION-ID": None, "CONTENT-TYPE": "application/problem+json"}
    emulator.reply(CHAT, Reply(json={}, headers=headers))
    response = ask()
    assert response.headers.get_list("x-request-id") == ["own"]
    assert response.headers.get_list("content-type") == ["application/problem+json"]
    assert "x-session-id" not in response.headers


def test_a_reply_with_its_own_transfer_encoding_has_no_length(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply(json=[1], headers={"Transfer-Encoding": "chunked"}))
    response = ask()
    assert "content-length" not in response.headers
    assert response.json() == [1]


def test_chunks_are_separate_writes(http: httpx.Client, emulator: Emulator) -> None:
    emulator.reply("/v1/models", Reply(chunks=[b"one", b"two", b""], chunk_delay=0.001), method="GET")
    with http.stream("GET", "/models") as response:
        assert list(response.iter_raw()) == [b"one", b"two"]
    assert response.headers["transfer-encoding"] == "chunked"


def test_an_event_stream_can_be_scripted_and_cut(ask: Ask, emulator: Emulator) -> None:
    emulator.reply(CHAT, Reply.sse([{"а": 1}, "raw"]), Reply.sse([{"а": 1}], done=False, headers={"X-A": "b"}))
    whole, cut = ask(stream=True), ask(stream=True)
    assert whole.text == 'data: {"а":1}\n\ndata: raw\n\ndata: [DONE]\n\n'
    assert cut.text == 'data: {"а":1}\n\n'
    assert (cut.headers["content-type"], cut.headers["x-a"]) == ("text/event-stream", "b")


def test_a_reply_takes_one_body() -> None:
    with pytest.raises(ValueError, match="one of json, body and chunks"):
        Reply(json={}, body="")
    with pytest.raises(ValueError, match="zero or more"):
        Reply(delay=-1)


def test_the_token_is_checked_before_a_scripted_reply(emulator: Emulator) -> None:
    emulator.reply("/v1/models", Reply(status=503), method="get")
    with open_client(emulator, headers={}) as stranger, open_client(emulator) as known:
        assert stranger.get("/models").status_code == 401
        assert known.get("/models").status_code == 503


def test_any_path_can_be_scripted(http: httpx.Client, emulator: Emulator) -> None:
    emulator.reply("/v1/new/thing", Reply(json={"new": True}), method="DELETE")
    emulator.reply("/api/v1/models", Reply(json={"former": True}), method="GET")
    assert http.delete("/new/thing").json() == {"new": True}
    assert http.get("/models").json() == {"former": True}


def test_the_token_endpoint_can_be_scripted(emulator: Emulator) -> None:
    emulator.reply("/api/v2/oauth", Reply.error(429, "Too many requests"))
    assert oauth(emulator, RqUID="x").status_code == 400, "refused requests take no scripted reply"
    assert oauth(emulator).status_code == 429
    assert oauth(emulator).status_code == 200


def test_a_handler_answers_or_leaves_it(ask: Ask, emulator: Emulator) -> None:
    def handler(request: RecordedRequest) -> Reply | None:
        return Reply(status=418) if request.json()["model"] == "GigaChat-Max" else None

    emulator.on(CHAT, handler)
    assert [ask(model="GigaChat-Max").status_code, ask().status_code] == [418, 200]
    emulator.reply(CHAT, Reply(status=503))
    assert [ask(model="GigaChat-Max").status_code for _ in range(2)] == [503, 418]
    emulator.on(CHAT, None)
    emulator.on(CHAT, None)
    assert ask(model="GigaChat-Max").status_code == 200


def test_a_handler_that_fails_is_logged_and_answered_with_500(
    ask: Ask, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(_: RecordedRequest) -> Reply:
        raise RuntimeError("the test's own fault")

    emulator.on(CHAT, handler)
    with caplog.at_level(logging.ERROR, "gigachat_sdk.testing"):
        response = ask()
    assert (response.status_code, response.json()["message"]) == (500, "Internal Server Error")
    assert "the test's own fault" in caplog.text
    assert emulator.in_flight == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply(chunks=[b"12"], headers={"Content-Length": "1"}),
        Reply(chunks=[b"1"], headers={"Content-Length": "2"}),
        Reply(headers={"X-Odd": "ы"}),
    ],
)
def test_a_reply_that_cannot_be_sent_is_logged(
    ask: Ask, http: httpx.Client, emulator: Emulator, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    emulator.reply("/v1/models", reply, method="GET")
    with caplog.at_level(logging.ERROR, "gigachat_sdk.testing"):
        try:
            status = http.get("/models").status_code
        except httpx.RemoteProtocolError:
            status = 500
    assert status == 500
    assert "could not send its answer to GET /v1/models" in caplog.text
    assert ask().status_code == 200
    assert emulator.in_flight == 0


def test_requests_are_recorded(emulator: Emulator, http: httpx.Client, clock: Clock) -> None:
    http.post(
        "/chat/completions?a=1&b=&a=%D1%8B", json={"model": "x", "messages": []}, headers=[("X-A", "1"), ("x-a", "2")]
    )
    http.get("/models")
    chat, models = emulator.requests
    assert (chat.method, chat.path, chat.query) == ("POST", CHAT, "a=1&b=&a=%D1%8B")
    assert chat.params == {"a": "ы", "b": ""}
    assert chat.headers["x-a"] == "1, 2"
    assert chat.headers["content-type"] == "application/json"
    assert chat.json() == {"model": "x", "messages": []}
    assert (chat.http_version, chat.status, chat.received_at) == ("1.1", 422, clock.now)
    assert (models.status, models.body) == (200, b"")


def test_requests_are_found_by_path(emulator: Emulator, http: httpx.Client) -> None:
    http.get("/models")
    http.get(http.base_url.copy_with(path="/api/v1/models"))
    http.get("/models/GigaChat")
    assert [one.path for one in emulator.requests_to("/v1/models")] == ["/v1/models", "/api/v1/models"]
    assert emulator.requests_to("/api/v1/models") == emulator.requests_to("/v1/models")


def test_the_list_of_requests_is_a_snapshot(emulator: Emulator, http: httpx.Client) -> None:
    before = emulator.requests
    http.get("/models")
    assert before == []
    emulator.requests.clear()
    assert len(emulator.requests) == 1


def test_scripts_that_would_check_nothing_are_refused() -> None:
    emulator = Emulator()
    with pytest.raises(ValueError, match=r"'/chat/completions' is no whole path; write it with its version"):
        emulator.reply("/chat/completions", Reply())
    with pytest.raises(ValueError, match="no whole path"):
        emulator.on("chat", lambda request: None)
    with pytest.raises(ValueError, match="no replies are given"):
        emulator.reply("/v1/models")
    not_a_reply: Any = "hi"
    with pytest.raises(TypeError, match="expected a Reply, got str"):
        emulator.reply("/v1/models", not_a_reply)
    number: Any = 5
    with pytest.raises(TypeError, match="handler: expected a plain function, got int"):
        emulator.on("/v1/models", number)
    with pytest.raises(TypeError, match="the json of a Reply is no JSON: Object of type set is not JSON"):
        emulator.reply("/v1/models", Reply(json={1}))


async def nothing(_: object) -> Any:
    raise AssertionError("nobody calls it")


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        (5, TypeError, "expected a text, a message as a dict, or a function, got int"),
        (nothing, TypeError, "source: expected a plain function, got a coroutine function"),
        ({"conent": "Привет"}, ValueError, "a message has one of content, function_call, .*; this one has 'conent'"),
        ({}, ValueError, "a message has one of"),
        ({"content": 5}, TypeError, "content: expected a text or a list of parts as dicts, got int"),
        ({"content": ["Привет"]}, TypeError, "content: expected a text or a list of parts"),
        ({"content": ({"text": "Привет"},)}, TypeError, "content: expected a text or a list of parts"),
        ({"function_call": "weather"}, TypeError, "function_call: expected a dict, got str"),
    ],
)
def test_what_nobody_can_say_is_refused(source: Any, error: type[Exception], words: str) -> None:
    emulator = Emulator()
    with pytest.raises(error, match=words):
        emulator.answer(source)


def test_a_function_that_gives_what_nobody_can_say_is_logged(
    ask: Ask, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.answer(lambda request: {"conent": "Привет"})
    with caplog.at_level(logging.ERROR, "gigachat_sdk.testing"):
        assert ask().status_code == 500
    assert "a message has one of content" in caplog.text


@pytest.mark.parametrize(
    ("status", "error"), [("x", TypeError), (None, TypeError), (True, TypeError), (99, ValueError), (1000, ValueError)]
)
def test_a_status_is_a_number_of_three_digits(status: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="the status of a Reply"):
        Reply(status=status)
