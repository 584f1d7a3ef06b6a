"""`_batches.py`: requests to lines, each validated as the call that it is, and lines to results."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import Batch, BatchList, ChatCompletionRequest, InvalidRequestError, NotFoundError
from gigachat_sdk._batches import (
    BatchLines,
    batch_call,
    batch_id,
    check_wait,
    read_all,
    the_batch,
)
from gigachat_sdk._retry import CallKind
from gigachat_sdk._uploads import Upload
from gigachat_sdk.errors import InvalidRequestTypeError
from gigachat_sdk.testing import Emulator
from gigachat_sdk.types import ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.http import Headers

HELLO = {"messages": [{"role": "user", "content": "Привет!"}]}
INFO = ResponseInfo(200, Headers({"x-request-id": "r"}), sent_client_id="me")


def chats(requests: Any) -> list[dict[str, Any]]:
    body = BatchLines("chat_completions", "GigaChat-2").of_requests(requests)
    return [json.loads(line) for line in body.split(b"\n")]


def lines(content: bytes, method: str = "chat_completions") -> list[dict[str, Any]]:
    body = BatchLines(method, "GigaChat-2").of_file(content)
    return [json.loads(line) for line in body.split(b"\n")]


def written(*documents: Any) -> bytes:
    return "\n".join(json.dumps(document, ensure_ascii=False) for document in documents).encode()


# ---- requests ----


def test_keywords_become_lines_with_their_position_as_id_and_the_clients_model() -> None:
    assert chats([HELLO, {**HELLO, "model": "GigaChat-2-Max", "temperature": 0.5, "max_tokens": None}]) == [
        {"id": "0", "request": {**HELLO, "model": "GigaChat-2"}},
        {"id": "1", "request": {**HELLO, "model": "GigaChat-2-Max", "temperature": 0.5}},
    ]


def test_an_id_of_the_users_is_kept() -> None:
    assert chats([{"id": "a", "request": HELLO}, {"id": "b", **HELLO}, {"id": 7, "request": HELLO}, HELLO]) == [
        {"id": "a", "request": {**HELLO, "model": "GigaChat-2"}},
        {"id": "b", "request": {**HELLO, "model": "GigaChat-2"}},
        {"id": "7", "request": {**HELLO, "model": "GigaChat-2"}},
        {"id": "3", "request": {**HELLO, "model": "GigaChat-2"}},
    ]


def test_a_request_without_an_id_gets_one() -> None:
    assert chats([{"request": HELLO}, {"id": None, "request": HELLO}])[1]["id"] == "1"


def test_what_a_whole_line_has_beside_is_passed_on() -> None:
    (line,) = chats([{"id": "a", "note": "x", "request": {**HELLO, "new_keyword": {"a": 1}, "timeout": 5}}])
    assert line == {
        "id": "a",
        "note": "x",
        "request": {**HELLO, "model": "GigaChat-2", "new_keyword": {"a": 1}, "timeout": 5},
    }


def test_extra_body_of_keywords_is_passed_on() -> None:
    (line,) = chats([{**HELLO, "extra_body": {"new_keyword": 1, "model": "x"}}])
    assert line["request"] == {**HELLO, "model": "x", "new_keyword": 1}


def test_a_stream_that_is_off_is_left_out() -> None:
    assert "stream" not in chats([{**HELLO, "stream": False}])[0]["request"]
    assert "stream" not in chats([{"request": {**HELLO, "stream": None}}])[0]["request"]


def test_a_stored_dialogue_brings_its_own_model() -> None:
    (line,) = chats([{**HELLO, "storage": {"is_stateful": True, "thread_id": "t"}}])
    assert "model" not in line["request"]


def test_any_iterable_is_taken_once_and_nothing_of_the_users_is_changed() -> None:
    class Other(Mapping[str, Any]):
        def __getitem__(self, name: str) -> Any:
            return HELLO[name]

        def __iter__(self) -> Iterator[str]:
            return iter(HELLO)

        def __len__(self) -> int:
            return len(HELLO)

    def generate() -> Iterator[Any]:
        yield Other()
        yield ChatCompletionRequest(messages=[{"role": "user", "content": "Привет!"}])
        yield {"request": Other()}
        yield {"request": ChatCompletionRequest(messages=[{"role": "user", "content": "Привет!"}])}

    assert [line["request"]["messages"] for line in chats(generate())] == [HELLO["messages"]] * 4
    given = {"id": "a", "request": {"messages": [{"role": "user", "content": "x"}]}}
    before = json.dumps(given)
    chats([given])
    assert json.dumps(given) == before


def test_embeddings_are_lines_too() -> None:
    body = BatchLines("embedder", "GigaChat-2").of_requests(
        [{"input": ["a", "b"]}, {"input": "a", "model": "Embeddings-2"}, {"id": "x", "request": {"input": "a", "n": 1}}]
    )
    assert [json.loads(line) for line in body.split(b"\n")] == [
        {"id": "0", "request": {"input": ["a", "b"], "model": "Embeddings"}},
        {"id": "1", "request": {"input": "a", "model": "Embeddings-2"}},
        {"id": "x", "request": {"input": "a", "model": "Embeddings", "n": 1}},
    ]


@pytest.mark.parametrize(
    ("requests", "message", "is_kind"),
    [
        ([], "requests: a batch needs at least one request", False),
        ("abc", "requests: expected a list of requests, got str", True),
        (HELLO, "requests: expected a list of requests, got dict", True),
        (ChatCompletionRequest(messages=[{"role": "user", "content": "x"}]), "requests: expected a list", True),
        (5, "requests: expected a list of requests, got int", True),
        ([HELLO, 5], "requests[1]: expected a dict, got int", True),
        ([b"{}"], "requests[0]: expected a dict, got bytes", True),
        ([{"request": 5}], "requests[0].request: expected a dict, got int", True),
        ([HELLO, {"messages": []}], "requests[1].messages: expected at least one item, got none", False),
        ([{"request": {"messages": []}}], "requests[0].messages: expected at least one item, got none", False),
        (
            [{"messages": [{"role": "tool", "content": "x"}]}],
            "requests[0].messages[0]: role 'tool' cannot be sent; use 'function' for a function's result",
            False,
        ),
        ([{**HELLO, "temperature": "hot"}], "requests[0].temperature: expected a number, got 'hot'", True),
        ([{}], "requests[0]: create() missing 1 required keyword-only argument: 'messages'", True),
        ([{"request": {}}], "requests[0]: create() missing 1 required keyword-only argument: 'messages'", True),
        (
            [{**HELLO, "temprature": 1}],
            "requests[0]: create() got an unexpected keyword argument 'temprature'; did you mean 'temperature'?",
            True,
        ),
        (
            [{**HELLO, "timeout": 5}],
            "requests[0].timeout: it is said for a whole batch, in batches.create(timeout=...)",
            False,
        ),
        ([{**HELLO, "extra_body": 5}], "requests[0].extra_body: expected a dict, got int", True),
        ([{**HELLO, "stream": True}], "requests[0].stream: a batch is not streamed", False),
        ([{"request": {**HELLO, "stream": True}}], "requests[0].stream: a batch is not streamed", False),
        (
            [{"id": "a", **HELLO}, HELLO, {"id": "a", **HELLO}],
            "requests[2].id: 'a' is the id of requests[0] already",
            False,
        ),
        ([{"id": "1", **HELLO}, HELLO], "requests[1].id: '1' is the id of requests[0] already", False),
        ([{"id": "", **HELLO}], "requests[0].id: it is empty", False),
        ([{"id": True, **HELLO}], "requests[0].id: expected a string, got bool", True),
        ([{"id": 1.5, **HELLO}], "requests[0].id: expected a string, got float", True),
        (
            [{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": HELLO}],
            'requests[0]: this is the form of another service; write {"id": ..., "request": {...}}',
            False,
        ),
        (
            [{"messages": [{"role": "user", "content": "\ud800"}]}],
            "requests[0].messages[0].content: character 0 is a lone surrogate, which is no text and cannot be sent",
            False,
        ),
        ([{"id": "\ud800", **HELLO}], "requests[0].id: character 0 is a lone surrogate", False),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_place(requests: Any, message: str, is_kind: bool) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        chats(requests)
    error = caught.value
    assert str(error).startswith(message)
    assert isinstance(error, TypeError) is is_kind
    assert error.param is not None
    assert message.startswith(error.param)
    assert error.__context__ is None


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "requests[0].input: it is missing"),
        ({"input": []}, "requests[0].input: expected at least one item, got none"),
        ({"inputs": "a"}, "requests[0]: create() got an unexpected keyword argument 'inputs'; did you mean 'input'?"),
    ],
)
def test_embeddings_are_validated_as_such(request_: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        BatchLines("embedder", "GigaChat").of_requests([request_])
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("images", "method: expected 'chat_completions' or 'embedder', got 'images'"),
        (None, "method: expected a string, got NoneType"),
        ("x" * 10**6, "method: expected 'chat_completions' or 'embedder', got str"),
    ],
)
def test_the_method_is_one_of_two(method: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        BatchLines(method, "GigaChat")
    assert str(caught.value) == message


def test_an_id_of_half_a_character_or_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="batch: character 0 is a lone surrogate"):
        batch_id("\ud800")
    with pytest.raises(InvalidRequestError, match=r"requests\[0\]\.id: a number of more than 20 digits is no id"):
        chats([{"id": 10**5000, **HELLO}])


# ---- files ----


def test_lines_of_a_file_are_requests() -> None:
    content = written({"id": "a", "request": HELLO}, HELLO)
    assert lines(content) == [
        {"id": "a", "request": {**HELLO, "model": "GigaChat-2"}},
        {"id": "1", "request": {**HELLO, "model": "GigaChat-2"}},
    ]


def test_lines_end_at_line_feeds_only_and_empty_ones_are_passed_over() -> None:
    text = {"messages": [{"role": "user", "content": "a\u2028b\u0085c"}]}
    content = b"\xef\xbb\xbf" + written(text) + b"\r\n\r\n  \n" + written(text) + b"\n"
    assert [line["request"]["messages"] for line in lines(content)] == [text["messages"]] * 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "file: a batch needs at least one request"),
        (b"\n \r\n", "file: a batch needs at least one request"),
        (b'{"id":}', "file, line 1: this is no JSON: Expecting value at character 7"),
        (written(HELLO) + b"\n\n[1]", "file, line 3: expected a dict, got list"),
        (written(HELLO) + b"\n\xff", "file, line 2: this is no JSON: byte 1 is no UTF-8"),
        (b'{"temperature": NaN}', "file, line 1: this is no JSON: NaN is no number"),
        (b"[" * 100_000, "file, line 1: this is no JSON: "),
        (written({"request": {}}), "file, line 1: create() missing 1 required keyword-only argument: 'messages'"),
        (
            written({"id": "a", "request": HELLO}, {"id": "a", "request": HELLO}),
            "file, line 2: id: 'a' is the id of file, line 1 already",
        ),
        (
            written({"request": {"messages": [{"role": "user", "content": 5}]}}),
            "file, line 1: messages[0].content: expected a string, got 5",
        ),
    ],
)
def test_what_cannot_be_sent_of_a_file_is_told_with_its_line(content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        lines(content)
    assert str(caught.value).startswith(message)
    assert caught.value.param == "file"
    assert caught.value.__context__ is None


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    path.write_bytes(b"x" * 200_000)
    for given in (path, str(path), b"x" * 200_000, io.BytesIO(b"x" * 200_000)):
        upload = Upload(given, needs_name=False)
        assert read_all(upload) == b"x" * 200_000
        upload.close()


def test_the_call_makes_something() -> None:
    call = batch_call(b"lines", "embedder", {"timeout": 5})
    assert (call.method, call.path, call.query, call.body) == ("POST", "/batches", {"method": "embedder"}, b"lines")
    assert (call.kind, call.content_type, call.options) == (
        CallKind.CREATING,
        "application/octet-stream",
        {"timeout": 5},
    )


# ---- ids and times ----


def test_a_batch_is_named_by_its_id_or_by_what_was_said_of_it() -> None:
    assert batch_id("b") == batch_id(Batch(id="b")) == "b"
    with pytest.raises(TypeError, match="batch: expected an id or a Batch, got int"):
        batch_id(5)
    with pytest.raises(InvalidRequestError, match="batch: the id is empty"):
        batch_id("")


def test_the_batch_of_a_list_has_the_facts_of_its_exchange() -> None:
    page = attach(BatchList.model_validate([{"id": "a"}, {"id": "b"}]), INFO)
    assert the_batch(page, "b").id == "b"
    assert (the_batch(page, "b").request_id, the_batch(page, "b").client_id) == ("r", "me")
    with pytest.raises(NotFoundError, match="the service knows of no batch 'c'") as caught:
        the_batch(page, "c")
    assert caught.value.request_id == "r"


@pytest.mark.parametrize(
    ("poll_interval", "deadline", "message"),
    [
        (0, None, "poll_interval: give more than 0 seconds, not 0"),
        (-1, None, "poll_interval: give more than 0 seconds, not -1"),
        (float("nan"), None, "poll_interval: give more than 0 seconds, not nan"),
        (float("inf"), None, "poll_interval: give no more than 1000000 seconds, not inf"),
        (None, None, "poll_interval: expected a number of seconds, got NoneType"),
        (True, None, "poll_interval: expected a number of seconds, got bool"),
        ("5", None, "poll_interval: expected a number of seconds, got str"),
        (1, 0, "deadline: give more than 0 seconds, not 0"),
        (1, "5", "deadline: expected a number of seconds, got str"),
        pytest.param(
            10**5000,
            None,
            "poll_interval: give no more than 1000000 seconds, not a number of more than 20 digits",
            id="a long wait",
        ),
        pytest.param(
            1,
            10**5000,
            "deadline: give no more than 1000000 seconds, not a number of more than 20 digits",
            id="a long deadline",
        ),
        pytest.param(
            1,
            -(10**5000),
            "deadline: give more than 0 seconds, not a number of more than 20 digits",
            id="a deadline long ago",
        ),
    ],
)
def test_times_that_make_no_sense_are_refused(poll_interval: Any, deadline: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        check_wait(poll_interval, deadline)
    assert str(caught.value).startswith(message.removesuffix("inf"))


def test_a_client_tells_its_progress_to_plain_functions_only() -> None:
    async def tell(batch: Batch) -> None:
        raise AssertionError("it is never called")

    check_wait(1, None, tell, is_async=True)
    words = r"^on_progress: a Client runs plain functions, got the coroutine function"
    for wrong in (tell, partial(tell)):
        with pytest.raises(InvalidRequestTypeError, match=words):
            check_wait(1, None, wrong, is_async=False)
    with Emulator() as emulator, emulator.client() as client:
        with pytest.raises(InvalidRequestTypeError, match=words):
            client.batches.wait("b", on_progress=tell)
        assert emulator.requests == []


@pytest.mark.parametrize(("poll_interval", "deadline"), [(1, None), (0.1, 5), (5, 0.1), (1, float("inf"))])
def test_times_that_make_sense(poll_interval: float, deadline: float | None) -> None:
    check_wait(poll_interval, deadline)
