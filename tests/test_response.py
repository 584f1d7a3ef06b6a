"""`_response.py`: bodies and events become models, or the error that says in one line why not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat_sdk import (
    APIResponseValidationError,
    ChatCompletion,
    ChatCompletionChunk,
    GigaChatError,
    ModelList,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk._accumulate import ChatCompletionAccumulator
from gigachat_sdk._events import DONE, Event
from gigachat_sdk._response import ChunkReader, parse
from gigachat_sdk.types import Headers, RequestInfo, ResponseInfo
from gigachat_sdk.types.tokens import TokenAnswer

REQUEST = RequestInfo("POST", "https://api.giga.chat/v1/chat/completions")
JSON = {"content-type": "application/json", "x-request-id": "abc"}
SECRET = "s3cr3t-value"
DEEP = "[" * 100_000


def response(**headers: str) -> ResponseInfo:
    return ResponseInfo(200, Headers({**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}))


def read_body(content: bytes, model: Any = ChatCompletion, **facts: Any) -> Any:
    return parse(model, content, REQUEST, facts.pop("response", response()), **facts)


def test_a_body_becomes_a_model_that_knows_its_response() -> None:
    info = response()
    answer = read_body(b'{"choices":[]}', response=info)
    assert isinstance(answer, ChatCompletion)
    assert answer.response is info
    assert answer.request_id == "abc"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Invalid JSON"),
        (b'{"choices":[', "Invalid JSON"),
        (b"<html>", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b'{"choices":["\\ud800"', "Invalid JSON"),
        (b'{"choices":[{"message":{"content":"\\ud8"}}]}', "Invalid JSON"),
        (DEEP.encode(), "Invalid JSON"),
        (b"null", "object"),
        (b"[]", "object"),
        (b"{}", "choices: Field required"),
        (b'{"choices":{}}', "choices: "),
        (b'{"choices":[{"message":{"content":5}}]}', "choices.0.message.content: "),
        (b'{"choices":[{"message":{"function_call":{"name":"f","arguments":"{"}}}]}', "arguments: "),
        (json.dumps({"choices": [{"message": {"function_call": {"arguments": DEEP}}}]}).encode(), "arguments: "),
    ],
)
def test_a_body_that_is_no_answer_is_told_in_one_line(content: bytes, reason: str) -> None:
    error = read_body(content)
    assert type(error) is APIResponseValidationError
    assert str(error).startswith(
        "200 for POST https://api.giga.chat/v1/chat/completions: the answer is no ChatCompletion"
    )
    assert reason in str(error)
    assert len(str(error)) < 500
    assert "\n" not in str(error)
    assert "pydantic" not in str(error)
    assert (error.status_code, error.request_id, error.request) == (200, "abc", REQUEST)
    assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)


HALVES = [
    (r"a\ud83d", "a\ufffd"),
    (r"\uDE00b", "\ufffdb"),
    (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    (r"\ud83d\ude00\ude00", "\U0001f600\ufffd"),
    (r"\ud83d\u0041", "\ufffdA"),
    (r"\\ud83d\ud83d", "\\ud83d\ufffd"),
    (r"\"\n\ud83d", '"\n\ufffd'),
]


@pytest.mark.parametrize(("escaped", "text"), HALVES)
def test_half_a_character_costs_no_answer(escaped: str, text: str) -> None:
    info = response()
    answer = read_body(b'{"choices":[{"message":{"content":"%s"}}]}' % escaped.encode(), response=info)
    assert isinstance(answer, ChatCompletion)
    assert answer.choices[0].message.content == text
    assert answer.response is info


@pytest.mark.parametrize(("escaped", "text"), HALVES)
def test_half_a_character_ends_no_stream(escaped: str, text: str) -> None:
    reader = new_reader()
    for told in ("b", escaped):
        chunk = reader.read(Event("", b'{"choices":[{"delta":{"content":"%s"}}]}' % told.encode()))
        assert isinstance(chunk, ChatCompletionChunk)
    assert reader.interrupted("").text == "b" + text


def test_half_a_character_in_what_is_no_answer_changes_no_error() -> None:
    assert "choices: Field required" in str(read_body(rb'{"a":"\ud83d"}'))
    assert "an error 500 inside the stream: a\ufffd" in str(
        new_reader().read(Event("", rb'{"status":500,"message":"a\ud83d"}'))
    )


@pytest.mark.parametrize(
    ("content", "body"),
    [(b"{}", {}), (b"<html>", "<html>"), (b"", None), (b"\xff", "\ufffd"), (DEEP.encode(), DEEP)],
)
def test_the_error_keeps_the_body(content: bytes, body: Any) -> None:
    assert read_body(content).body == body


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("text/html; charset=utf-8", "(its content type is text/html; charset=utf-8)"),
        ("", "(its content type is missing)"),
    ],
)
def test_another_content_type_is_named(content_type: str, words: str) -> None:
    assert words in str(read_body(b"<html>", response=response(content_type=content_type)))
    assert "content type" not in str(read_body(b"{}"))


@pytest.mark.parametrize(
    "content",
    [
        b's3cr3t-value{"access_token":',
        b'{"access_tokn":"s3cr3t-value"}',
        b'{"access_token":{"value":"s3cr3t-value"}}',
        b'{"access_token":"t","expires_at":"s3cr3t-value"}',
        b"<html>s3cr3t-value",
    ],
)
def test_an_answer_that_holds_a_token_is_never_shown(content: bytes) -> None:
    error = read_body(content, TokenAnswer, is_secret=True)
    assert type(error) is APIResponseValidationError
    assert error.body is None
    assert SECRET not in repr(error) + repr(vars(error))


def test_a_list_is_read_like_any_other_answer() -> None:
    models = read_body(b'{"data":[{"id":"a"}]}', ModelList)
    assert [model.id for model in models] == ["a"]


def new_reader() -> ChunkReader[ChatCompletionChunk]:
    return ChunkReader(ChatCompletionChunk, ChatCompletionAccumulator(), REQUEST, response())


def content(text: str) -> Event:
    return Event("", json.dumps({"choices": [{"delta": {"content": text}}]}).encode())


def test_events_become_chunks_and_add_up() -> None:
    reader = new_reader()
    for text in ("При", "вет"):
        chunk = reader.read(content(text))
        assert isinstance(chunk, ChatCompletionChunk)
        assert chunk.response is reader.response
        assert chunk.request_id == "abc"
        assert not reader.is_done
    assert reader.read(Event("", DONE)) is None
    assert reader.is_done


@pytest.mark.parametrize("event", [Event("", b""), Event("ping", b"")])
def test_a_heartbeat_is_nothing(event: Event) -> None:
    reader = new_reader()
    assert reader.read(event) is None
    assert not reader.is_done


def test_a_named_event_may_bring_a_chunk() -> None:
    assert isinstance(new_reader().read(Event("message", content("a").data)), ChatCompletionChunk)


@pytest.mark.parametrize(
    ("name", "data", "words", "body"),
    [
        ("error", b'{"message":"m"}', "the service sent an error inside the stream: m", {"message": "m"}),
        ("response.error", b'{"message":"m"}', "inside the stream: m", {"message": "m"}),
        ("error", b"plain text", "inside the stream: plain text", "plain text"),
        ("error", b"", "the service sent an error inside the stream", None),
        ("error", b'{"choices":[]}', "the service sent an error inside the stream", {"choices": []}),
        ("", b'{"status":500,"message":"m"}', "an error 500 inside the stream: m", {"status": 500, "message": "m"}),
        ("", b'{"error":{"message":"m"}}', "inside the stream: m", {"error": {"message": "m"}}),
        ("", b'{"message":"m"}', "inside the stream: m", {"message": "m"}),
        ("", b'{"status":429}', "an error 429 inside the stream", {"status": 429}),
        ("", b'{"other":1}', "an event of the stream is no ChatCompletionChunk: choices: Field required", {"other": 1}),
        ("", b'{"choices":[{}]}', "choices.0.delta: Field required", {"choices": [{}]}),
        ("", b'{"choices":5,"message":"m"}', "choices: ", {"choices": 5, "message": "m"}),
        ("", b'{"choices":[', "Invalid JSON", '{"choices":['),
        ("", b"text", "Invalid JSON", "text"),
        ("", b"[]", "object", []),
        ("", b"null", "object", None),
        ("", b"\xff", "Invalid JSON", "\ufffd"),
        ("", DEEP.encode(), "Invalid JSON", DEEP),
    ],
)
def test_events_that_are_no_chunk_become_an_error(name: str, data: bytes, words: str, body: Any) -> None:
    error = new_reader().read(Event(name, data))
    assert type(error) is StreamError
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.body == body
    assert (error.request, error.status_code, error.request_id) == (REQUEST, 200, "abc")
    assert (error.__context__, error.__traceback__) == (None, None)


def test_hostile_arguments_of_a_function_are_an_error_too() -> None:
    document = {"choices": [{"delta": {"function_call": {"name": "f", "arguments": DEEP}}}]}
    assert type(new_reader().read(Event("", json.dumps(document).encode()))) is StreamError


def test_bytes_that_are_no_events_are_an_error_with_a_reason() -> None:
    error = new_reader().unreadable("an event is too large")
    assert type(error) is StreamError
    assert str(error) == "the stream cannot be read: an event is too large (request id abc)"


def test_a_cut_stream_keeps_what_had_arrived() -> None:
    reader = new_reader()
    reader.read(content("При"))
    reader.read(content("вет"))
    error = reader.interrupted("the service closed the connection")
    assert type(error) is StreamInterruptedError
    assert error.text == "Привет"
    assert isinstance(error.partial, ChatCompletion)
    assert error.partial.choices[0].message.content == "Привет"
    assert error.partial.request_id == "abc"
    assert "the service closed the connection; 6 characters had arrived" in str(error)
    assert (error.request, error.request_id) == (REQUEST, "abc")
    assert isinstance(error, GigaChatError)


def test_a_stream_cut_before_its_first_chunk_has_nothing() -> None:
    error = new_reader().interrupted("lost")
    assert (error.text, error.partial) == ("", None)
    assert "0 characters had arrived" in str(error)
