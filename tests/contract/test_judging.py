"""The judge finds what is wrong: exchanges as they should be, each broken in one way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from .deviations import DEVIATIONS, STATUSES, Deviation, Status, is_allowed
from .document import operations
from .exchange import Exchange, violations

UUID = "6b1d0d6e-ff44-4b48-92ea-8fb9796903ea"
AGENT = ("User-Agent", "gigachat-sdk/0 python/3")
BEARER = ("Authorization", "Bearer t")
JSON = ("Content-Type", "application/json")
MULTIPART = ("Content-Type", "multipart/form-data; boundary=b")


def body(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def part(name: str, content: str, rest: str = "") -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{rest}\r\n\r\n{content}\r\n'


A_FILE = part("file", "Байкал", '; filename="a.txt"\r\nContent-Type: text/plain')
STREAM = [{"choices": [{"delta": {"content": "а"}, "index": 0}], "created": 1, "model": "m", "object": "o"}]
CHUNK = f"data: {json.dumps(STREAM[0], ensure_ascii=False)}\n\n"
DELTA = 'event: response.message.delta\ndata: {"messages":[{"role":"assistant","content":[{"text":"а"}]}]}\n\n'
DONE = 'event: response.message.done\ndata: {"finish_reason":"stop","usage":{"total_tokens":1}}\n\n'
MODEL = {"id": "GigaChat", "object": "model", "owned_by": "salutedevices", "type": "chat"}
CHOICE = {"message": {"role": "assistant", "content": "а"}, "index": 0, "finish_reason": "stop"}
COMPLETION = {"choices": [CHOICE], "created": 1, "model": "m", "object": "chat.completion"}
QUESTION = {"messages": [{"role": "user", "content": "а"}], "model": "GigaChat"}
ASSISTANT = "a-1"

TOKEN = Exchange(
    "POST",
    "/api/v2/oauth",
    "",
    [AGENT, ("Authorization", "Basic k"), ("RqUID", UUID), ("Content-Type", "application/x-www-form-urlencoded")],
    b"scope=GIGACHAT_API_PERS",
    status=200,
    answer_headers=[JSON],
    answer=body({"access_token": "t", "expires_at": 1_800_000_000_000}),
)
MODELS = Exchange(
    "GET",
    "/v1/models",
    "",
    [AGENT, BEARER],
    status=200,
    answer_headers=[JSON],
    answer=body({"object": "list", "data": [MODEL]}),
)
CHAT = Exchange(
    "POST",
    "/api/v1/chat/completions",
    "",
    [AGENT, BEARER, JSON],
    body(QUESTION),
    status=200,
    answer_headers=[("content-type", "application/json; charset=utf-8")],
    answer=body(COMPLETION),
)
CHAT_STREAM = replace(
    CHAT, answer_headers=[("Content-Type", "text/event-stream")], answer=f"{CHUNK}data: [DONE]\n\n".encode()
)
V2_STREAM = replace(
    CHAT_STREAM,
    path="/v2/chat/completions",
    body=body({"messages": [{"role": "user", "content": [{"text": "а"}]}]}),
    answer=(DELTA + DONE).encode(),
)
UPLOAD = Exchange(
    "POST", "/v1/files", "", [AGENT, BEARER, MULTIPART], f"{A_FILE}{part('purpose', 'general')}--b--\r\n".encode()
)
BATCH = Exchange(
    "POST",
    "/v1/batches",
    "method=chat_completions",
    [AGENT, BEARER, ("Content-Type", "application/octet-stream")],
    body({"id": "1", "request": QUESTION}) + b"\n",
)
THREADS = Exchange(
    "GET",
    "/v1/threads",
    "assistants_ids=a&assistants_ids=b&limit=3",
    [AGENT, BEARER],
    status=200,
    answer_headers=[JSON],
    answer=body({"threads": []}),
)
RUN = Exchange("POST", "/v1/threads/run", "", [AGENT, BEARER, JSON], body({"thread_id": "t", "temperature": 0.5}))
DELETED = Exchange(
    "POST", "/v1/threads/delete", "", [AGENT, BEARER, JSON], body({"thread_id": "t"}), status=200, answer=b""
)
EMPTY_FILE = Exchange(
    "GET",
    "/v1/files/f-1/content",
    "",
    [AGENT, BEARER],
    status=200,
    answer_headers=[("Content-Type", "application/octet-stream")],
)
GOOD = {name: value for name, value in globals().items() if isinstance(value, Exchange)}


@pytest.mark.parametrize("exchange", GOOD.values(), ids=GOOD)
def test_what_is_right_is_found_right(exchange: Exchange) -> None:
    assert violations(exchange) == []


def asked(exchange: Exchange, **members: Any) -> Exchange:
    return replace(exchange, body=body({**json.loads(exchange.body), **members}))


def said(exchange: Exchange, **members: Any) -> Exchange:
    return replace(exchange, answer=body({**json.loads(exchange.answer), **members}))


def without(headers: list[tuple[str, str]], name: str, *instead: tuple[str, str]) -> list[tuple[str, str]]:
    return [header for header in headers if header[0] != name] + list(instead)


def form(*parts: str) -> bytes:
    return "".join([*parts, "--b--\r\n"]).encode()


def events(text: str, exchange: Exchange = CHAT_STREAM) -> Exchange:
    return replace(exchange, answer=text.encode())


NO_SCOPE = "'GIGACHAT_API_X' is not one of ['GIGACHAT_API_PERS', 'GIGACHAT_API_B2B', 'GIGACHAT_API_CORP']"
BROKEN: dict[str, tuple[Exchange, str]] = {
    # requests
    "no such operation": (
        replace(CHAT, path="/v1/chat/completion"),
        "POST /v1/chat/completion, request, path: is no operation",
    ),
    "another method": (replace(MODELS, method="DELETE"), "DELETE /v1/models, request, path: is no operation"),
    "a field of another type": (
        asked(CHAT, temperature="hot"),
        "createChatCompletion, request, temperature: 'hot' is not of type 'number', 'null'",
    ),
    "a field in a message": (
        asked(CHAT, messages=[{"role": "user", "contents": "а"}]),
        "createChatCompletion, request, messages[]: Additional properties are not allowed ('contents' was unexpected)",
    ),
    "a field beside the parts of a union": (
        asked(RUN, temperatur=1),
        "runThread, request, body: Unevaluated properties are not allowed ('temperatur' was unexpected)",
    ),
    "a required field": (
        replace(CHAT, body=b"{}"),
        "createChatCompletion, request, body: 'messages' is a required property",
    ),
    "no body": (
        replace(CHAT, body=b""),
        "createChatCompletion, request, body: Missing required request body",
    ),
    "a body where there is none": (
        replace(MODELS, body=b"{}"),
        "listModels, request, body: there should be none, and is b'{}'",
    ),
    "another content type": (
        replace(CHAT, headers=[AGENT, BEARER, ("Content-Type", "text/plain")]),
        "createChatCompletion, request, content type: 'text/plain' is none of application/json",
    ),
    "no token": (replace(MODELS, headers=[AGENT]), "listModels, request, header Authorization: is missing"),
    "a key for a token": (
        replace(MODELS, headers=[AGENT, ("Authorization", "Basic k")]),
        "listModels, request, header Authorization: 'Basic' is the wrong scheme",
    ),
    "no id of the request": (
        replace(TOKEN, headers=without(TOKEN.headers, "RqUID")),
        "createAccessToken, request, header RqUID: Missing required header parameter: RqUID",
    ),
    "an id that is no UUID": (
        replace(TOKEN, headers=without(TOKEN.headers, "RqUID", ("RqUID", "1"))),
        "createAccessToken, request, header RqUID: '1' is not a 'uuid'",
    ),
    "a form's field": (
        replace(TOKEN, body=b"scope=GIGACHAT_API_X"),
        f"createAccessToken, request, scope: {NO_SCOPE}",
    ),
    "a query parameter of another type": (
        replace(THREADS, query="limit=few"),
        "listThreads, request, query limit: Failed to cast value to integer type: few",
    ),
    "a query parameter that there is not": (
        replace(THREADS, query="assistant_ids=a"),
        "listThreads, request, query assistant_ids: is no parameter",
    ),
    "a query parameter that is required": (
        replace(BATCH, query=""),
        "createBatch, request, query method: Missing required query parameter: method",
    ),
    "a part that there is not": (
        replace(UPLOAD, body=form(A_FILE, part("purpos", "general"))),
        "uploadFile, request, part purpos: is no part",
    ),
    "a part twice": (replace(UPLOAD, body=form(A_FILE, A_FILE)), "uploadFile, request, part file: is there twice"),
    "a part's value": (
        replace(UPLOAD, body=form(A_FILE, part("purpose", "x"))),
        "uploadFile, request, purpose: 'x' is not one of ['general', 'assistant']",
    ),
    "a file without its name": (
        replace(UPLOAD, body=form(part("file", "x"))),
        "uploadFile, request, part file: lacks a file name or a content type",
    ),
    "no file": (
        replace(UPLOAD, body=form(part("purpose", "general"))),
        "uploadFile, request, body: 'file' is a required property",
    ),
    "a line that is no JSON": (replace(BATCH, body=b"x\n"), "createBatch, request, line 1: is no JSON: b'x'"),
    "a line without its id": (
        replace(BATCH, body=body({"request": QUESTION})),
        "createBatch, request, line: 'id' is a required property",
    ),
    "a request in a line": (
        replace(BATCH, body=body({"id": "1", "request": {**QUESTION, "top_p": 2}})),
        "createBatch, request, line request top_p: 2 is greater than the maximum of 1",
    ),
    # answers
    "a status": (replace(CHAT, status=418), "createChatCompletion, answer, status 418: is not documented"),
    "a number as text": (
        said(CHAT, created="1"),
        "createChatCompletion, answer, created: '1' is not of type 'integer'",
    ),
    "a field too many": (
        said(MODELS, next="x"),
        "listModels, answer, body: Additional properties are not allowed ('next' was unexpected)",
    ),
    "a field too few": (
        said(MODELS, data=[{"id": "x", "object": "model"}]),
        "listModels, answer, data[]: 'owned_by' is a required property",
    ),
    "a constant": (said(MODELS, object="page"), "listModels, answer, object: 'list' was expected"),
    "an answer that is no JSON": (
        replace(MODELS, answer=b"{"),
        "listModels, answer, body: is no application/json: b'{'",
    ),
    "an answer too deep to be read": (
        replace(MODELS, answer=b"[" * 100_000),
        f"listModels, answer, body: is no application/json: {b'[' * 40!r}",
    ),
    "an answer of another type": (
        replace(MODELS, answer_headers=[("Content-Type", "text/html")]),
        "listModels, answer, content type: 'text/html' is none of application/json",
    ),
    "an answer where there is none": (
        replace(DELETED, answer=b"{}"),
        "deleteThread, answer, body: there should be none, and is b'{}'",
    ),
    # events
    "an event's data": (
        events(CHUNK.replace('"created": 1', '"created": "1"') + "data: [DONE]\n\n"),
        "createChatCompletion, event, event created: '1' is not of type 'integer'",
    ),
    "an event that is no JSON": (
        events("data: x\n\ndata: [DONE]\n\n"),
        "createChatCompletion, event, event None: its data is no JSON: 'x'",
    ),
    "an event's name": (
        events(f"event: chunk\n{CHUNK}data: [DONE]\n\n"),
        "createChatCompletion, event, event chunk: is no event",
    ),
    "a stream without its end": (
        events(CHUNK),
        "createChatCompletion, event, end: [DONE] must come once, at the end; the events were [None]",
    ),
    "an event after the end": (
        events(f"data: [DONE]\n\n{CHUNK}"),
        "createChatCompletion, event, end: [DONE] must come once, at the end; the events were ['[DONE]', None]",
    ),
    "the end twice": (
        events(f"{CHUNK}data: [DONE]\n\ndata: [DONE]\n\n"),
        "createChatCompletion, event, end: [DONE] must come once, at the end; "
        "the events were [None, '[DONE]', '[DONE]']",
    ),
    "v2's end twice": (
        events(DELTA + DONE + DONE, V2_STREAM),
        "createChatCompletionV2, event, end: response.message.done must come once, at the end; "
        "the events were ['response.message.delta', 'response.message.done', 'response.message.done']",
    ),
    "no blank line at the end": (
        events(f"{CHUNK}data: [DONE]\n"),
        "createChatCompletion, event, end: no blank line ends the last event",
    ),
    "a comment among the events": (
        events(f": x\n{CHUNK}data: [DONE]\n\n"),
        "createChatCompletion, event, line: ': x' is neither an event's name nor its data",
    ),
    "v1's end in v2": (
        events(f"{DELTA}data: [DONE]\n\n", V2_STREAM),
        "createChatCompletionV2, event, event None: is no event",
    ),
    "v1's content in v2": (
        asked(V2_STREAM, messages=[{"role": "user", "content": "а"}]),
        "createChatCompletionV2, request, messages[].content: 'а' is not of type 'array'",
    ),
}


@pytest.mark.parametrize(("exchange", "expected"), BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_found(exchange: Exchange, expected: str) -> None:
    assert expected in [str(violation) for violation in violations(exchange)]


def test_requests_of_others_are_not_judged_and_their_answers_are() -> None:
    exchange = replace(said(asked(CHAT, temperature="hot"), created="1"), headers=[BEARER, JSON])
    assert [violation.side for violation in violations(exchange)] == ["answer"]
    assert violations(replace(exchange, path="/v1/x")) == []


def test_the_body_of_a_request_that_was_not_seen_is_not_judged() -> None:
    assert violations(replace(CHAT, body=b"", is_body_known=False)) == []
    assert violations(replace(CHAT, body=b"", is_body_known=False, headers=[AGENT, JSON])) != []


THREAD_CHUNK = {"choices": [{"delta": {"role": "assistant", "functions_state_id": UUID}, "index": 0}]}
THREAD_STREAM = replace(
    RUN,
    status=200,
    answer_headers=[("Content-Type", "text/event-stream")],
    answer=b"data: " + body(THREAD_CHUNK) + b"\n\ndata: [DONE]\n\n",
)
DRAWING = asked(CHAT, functions=[{"name": "text2image"}])
PROGRESS = {"role": "function_in_progress", "content": "1", "name": "text2image", "created": 1}
EXAMPLES = [  # of the deviations, in their order
    replace(MODELS, headers=[AGENT]),
    DRAWING,
    THREAD_STREAM,
    replace(
        THREAD_STREAM,
        answer=b"data: " + body({"choices": [{"delta": PROGRESS, "index": 0}]}) + b"\n\ndata: [DONE]\n\n",
    ),
]


@pytest.mark.parametrize(("deviation", "example"), list(zip(DEVIATIONS, EXAMPLES, strict=True)))
def test_a_deviation_is_still_one(deviation: Deviation, example: Exchange) -> None:
    assert deviation.reason
    found = violations(example)
    assert any(deviation.covers(violation, example) for violation in found)
    assert all(is_allowed(violation, example) for violation in found)


def test_a_function_of_the_callers_own_has_parameters() -> None:
    exchange = asked(CHAT, functions=[{"name": "text2image"}, {"name": "weather"}])
    assert not any(is_allowed(violation, exchange) for violation in violations(exchange))


@pytest.mark.parametrize("status", STATUSES, ids=lambda status: str(status.code))
def test_a_status_of_the_table_is_still_undocumented(status: Status) -> None:
    assert status.reason
    wanted = [operations()[name] for name in status.operations] or [*operations().values()]
    silent = [operation for operation in wanted if str(status.code) not in operation.spec["responses"]]
    assert len(silent) == len(wanted) if status.operations else silent


@pytest.mark.parametrize(
    ("content", "is_fine"),
    [(b'{"status":413,"message":"x"}\n', True), (b'{"status":"413"}', False), (b"<html>", False)],
)
def test_an_undocumented_status_comes_with_an_error_of_the_api(content: bytes, is_fine: bool) -> None:
    exchange = replace(MODELS, status=413, answer=content)
    (violation,) = violations(exchange)
    assert is_allowed(violation, exchange) is is_fine
    assert not is_allowed(violations(replace(exchange, status=418))[0], replace(exchange, status=418))
