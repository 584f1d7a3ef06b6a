"""`_batches.py`: lines to results."""

from __future__ import annotations

from typing import Any

import pytest
from test_batches import written

from gigachat_sdk._batches import (
    read_results,
)
from gigachat_sdk.types import BatchResultError, ResponseInfo
from gigachat_sdk.types.http import Headers

INFO = ResponseInfo(200, Headers({"x-request-id": "r"}), sent_client_id="me")
COMPLETION = {"choices": [{"message": {"role": "assistant", "content": '<img src="a"/>'}, "index": 0}]}
VECTORS = {"data": [{"embedding": [0.5], "index": 0}], "model": "Embeddings"}


@pytest.mark.parametrize(
    "line",
    [
        {"id": "a", "result": COMPLETION},
        {"id": "a", "response": COMPLETION, "error": None},
        {"id": "a", "body": COMPLETION},
        {"id": "batch_1", "custom_id": "a", "response": {"status_code": 200, "body": COMPLETION}},
        {"id": "a", "result": COMPLETION, "unknown": [1]},
    ],
)
def test_an_answer_is_found_wherever_a_line_has_it(line: dict[str, Any]) -> None:
    results = read_results(written(line), INFO)
    (result,) = results
    assert (result.id, result.error, result.line) == ("a", None, line)
    assert result.completion is not None
    assert result.completion.to_dict() == COMPLETION
    assert result.completion.request_id == "r"
    assert result.completion.images()[0].client_id == "me"


def test_vectors_are_typed_as_such() -> None:
    results = read_results(written({"id": "a", "result": VECTORS}), INFO)
    assert results["a"].embeddings is not None
    assert results["a"].embeddings.to_dict() == VECTORS


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"id": "a", "error": {"status": 422, "message": "no"}}, BatchResultError("no", 422)),
        ({"id": "a", "error": {"code": 5, "message": "no"}, "result": None}, BatchResultError("no", 5)),
        ({"id": "a", "error": "no"}, BatchResultError("no")),
        ({"id": "a", "result": {"status": 400, "message": "no"}}, BatchResultError("no", 400)),
        ({"id": "a", "response": {"status_code": 500, "body": {"message": "no"}}}, BatchResultError("no", 500)),
        (
            {"id": "a", "response": {"status_code": 404, "body": {"error": {"message": "no"}}}},
            BatchResultError("no", 404),
        ),
        ({"id": "a", "response": {"status_code": 500, "body": None}, "error": "no"}, BatchResultError("no", 500)),
        ({"id": "a", "error": {"status": "bad", "error": "no"}}, BatchResultError("no")),
    ],
)
def test_a_request_without_an_answer_says_why(line: dict[str, Any], error: BatchResultError) -> None:
    (result,) = read_results(written(line), INFO)
    assert (result.id, result.response, result.error, result.line) == ("a", None, error, line)


@pytest.mark.parametrize(
    "line",
    [
        {"id": "a"},
        {"id": "a", "result": {}},
        {"id": "a", "result": 5},
        {"id": "a", "result": {"choices": 5}},
        {"id": "a", "result": {"data": [{}]}},
        {"id": "a", "error": {"message": 5}},
    ],
)
def test_an_answer_that_cannot_be_read_is_kept_as_it_came(line: dict[str, Any]) -> None:
    (result,) = read_results(written(line), INFO)
    assert result.response is None
    assert result.error == BatchResultError("the service gave no answer that can be read, and no reason")
    assert result.line == line


@pytest.mark.parametrize(
    ("line", "identity"),
    [
        ({"id": None}, ""),
        ({"custom_id": None}, ""),
        ({"custom_id": None, "id": 5}, "5"),
        ({"custom_id": "a", "id": None}, "a"),
    ],
)
def test_an_id_that_is_null_is_none(line: dict[str, Any], identity: str) -> None:
    (result,) = results = read_results(written({**line, "result": COMPLETION}), INFO)
    assert result.id == identity
    assert set(results.by_id) == {identity} - {""}


def test_a_line_is_kept_as_bytes_and_read_when_it_is_asked_for() -> None:
    line = {"id": "a", "result": COMPLETION}
    (result,) = read_results(written(line), INFO)
    assert result.raw == written(line)
    assert not any(isinstance(value, dict) for value in vars(result).values())
    result.line["id"] = "b"
    assert result.line == line


def test_a_line_that_cannot_be_read_costs_no_other() -> None:
    content = b"\n".join([b"{broken", b"[1]", b"\xff", b"[" * 100_000, written({"id": 7, "result": COMPLETION}), b""])
    results = read_results(content, INFO)
    assert [result.id for result in results] == ["", "", "", "", "7"]
    assert results["7"].completion is not None
    assert {result.error for result in list(results)[:4]} == {
        BatchResultError("this line of the results is no JSON object")
    }
