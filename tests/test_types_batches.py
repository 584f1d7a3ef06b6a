"""`types/batches.py`: what the service says of batches, in each of its shapes, and their results."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from gigachat_sdk import (
    Batch,
    BatchList,
    BatchResult,
    BatchResults,
    BatchTimeoutError,
    ChatCompletion,
    GigaChatError,
)
from gigachat_sdk.types import BatchRequestCounts, BatchResultError, EmbeddingList, ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.http import Headers

ONE = {"id": "b1", "method": "chat_completions", "status": "created", "request_counts": {"total": 3}}
TWO = {
    "id": "b2",
    "method": "embedder",
    "status": "completed",
    "request_counts": {"total": 3, "completed": 2, "failed": 1},
    "output_file_id": "f",
    "created_at": 1,
    "updated_at": 2,
    "unknown": True,
}


def test_a_batch_keeps_what_came() -> None:
    batch = Batch.model_validate(TWO)
    assert (batch.id, batch.method, batch.status, batch.output_file_id) == ("b2", "embedder", "completed", "f")
    assert batch.request_counts == BatchRequestCounts(total=3, completed=2, failed=1)
    assert batch.to_dict() == TWO


def test_a_batch_may_have_nothing_but_an_id() -> None:
    batch = Batch.model_validate({"id": "b"})
    assert (batch.method, batch.status, batch.request_counts, batch.output_file_id) == ("", "", None, None)
    assert (batch.is_completed, batch.is_over) == (False, False)


@pytest.mark.parametrize(
    ("status", "is_completed", "is_over"),
    [
        ("created", False, False),
        ("in_progress", False, False),
        ("finalizing", False, False),
        ("completed", True, True),
        ("failed", False, True),
        ("cancelled", False, True),
        ("expired", False, True),
    ],
)
def test_a_batch_knows_whether_it_is_over(status: str, is_completed: bool, is_over: bool) -> None:
    batch = Batch(id="b", status=status)
    assert (batch.is_completed, batch.is_over) == (is_completed, is_over)


@pytest.mark.parametrize("document", [{"batches": [ONE, TWO]}, [ONE, TWO]])
def test_a_list_comes_in_two_shapes(document: Any) -> None:
    page = BatchList.model_validate(document)
    assert [batch.id for batch in page] == ["b1", "b2"]
    assert page.to_dict() == document


@pytest.mark.parametrize("document", [{"batches": []}, [], {}, {"batches": None}])
def test_an_empty_list_too(document: Any) -> None:
    assert list(BatchList.model_validate(document)) == []


def test_a_single_batch_is_a_list_of_one() -> None:
    assert [batch.id for batch in BatchList.model_validate(ONE)] == ["b1"]


def test_results_are_asked_for_by_id_and_iterated_in_their_order() -> None:
    chat = BatchResult("b", ChatCompletion(choices=[]))
    failed = BatchResult("a", error=BatchResultError("no", 422))
    unreadable = BatchResult("", error=BatchResultError("broken"))
    results = BatchResults([chat, failed, unreadable])
    assert list(results) == [chat, failed, unreadable]
    assert len(results) == 3
    assert (results["a"], results.get("b"), results.get("c")) == (failed, chat, None)
    assert ("a" in results, "" in results, "c" in results) == (True, False, False)
    assert results.by_id == {"b": chat, "a": failed}
    assert repr(results) == "<BatchResults of 3 requests, 2 without an answer>"
    with pytest.raises(KeyError, match="c"):
        results["c"]


def test_a_result_gives_its_answer_by_type() -> None:
    chat, vectors = ChatCompletion(choices=[]), EmbeddingList(data=[])
    assert (BatchResult("a", chat).completion, BatchResult("a", chat).embeddings) == (chat, None)
    assert (BatchResult("a", vectors).completion, BatchResult("a", vectors).embeddings) == (None, vectors)
    assert (BatchResult("a").completion, BatchResult("a").embeddings) == (None, None)


def test_the_error_of_a_wait_is_a_timeout_that_has_the_batch_and_can_be_pickled() -> None:
    info = ResponseInfo(200, Headers({"x-request-id": "r"}))
    error = BatchTimeoutError("too late", batch=attach(Batch(id="b", status="created"), info))
    assert isinstance(error, TimeoutError)
    assert isinstance(error, GigaChatError)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.batch, again.request_id) == ("too late (request id r)", error.batch, "r")
