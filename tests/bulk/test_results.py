"""Which errors stand beside results, which of them pass, and what a journal keeps of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat_sdk import ChatCompletion, errors
from gigachat_sdk.bulk import BulkResult, JournalError
from gigachat_sdk.bulk._results import error_document, error_of, is_final, stands_beside
from gigachat_sdk.errors import APIConnectionError, GigaChatError, InvalidRequestError
from gigachat_sdk.types import RequestInfo, ResponseInfo
from gigachat_sdk.types.http import Headers

API = RequestInfo("POST", "https://api/v1/chat/completions")
AUTH = RequestInfo("POST", "https://auth/oauth")
TOKENS = frozenset({AUTH.url})


def status(number: int, request: RequestInfo = API) -> errors.APIStatusError:
    response = ResponseInfo(number, Headers({"x-request-id": "r-1", "content-type": "application/json"}))
    return errors.status_error(request, response, b'{"message": "why"}')


@pytest.mark.parametrize(
    ("error", "beside", "final"),
    [
        (status(400), True, True),
        (status(404), True, True),
        (status(413), True, True),
        (status(422), True, True),
        (status(418), True, True),
        (InvalidRequestError("messages: ..."), True, True),
        (errors.InvalidRequestTypeError("messages: ..."), True, True),
        (TypeError("create() got ..."), True, True),
        # What the question says nothing of may be mended; a body and a query are parts of it.
        (InvalidRequestError("deadline: -1 is no time for a call"), True, False),
        (InvalidRequestError("-1 is no time for a call", param="deadline"), True, False),
        (errors.InvalidRequestTypeError("timeout: expected seconds"), True, False),
        (InvalidRequestError("extra_headers['A']: the value"), True, False),
        (InvalidRequestError("on_retry: expected a function"), True, False),
        (InvalidRequestError("extra_body: odd"), True, True),
        (InvalidRequestError("extra_query: odd"), True, True),
        (InvalidRequestError("a deadline: odd", param="messages[0].deadline"), True, True),
        (InvalidRequestError("an odd one"), True, True),
        (status(408), True, False),
        (status(409), True, False),
        (status(429), True, False),
        (status(500), True, False),
        (status(503), True, False),
        (status(302), True, False),
        (APIConnectionError("gone"), True, False),
        (errors.APITimeoutError("late"), True, False),
        (errors.LimiterTimeoutError("full"), True, False),
        (errors.APIResponseValidationError("odd"), True, False),
        (status(401), False, True),
        (status(402), False, True),
        (status(403), False, True),
        (status(400, AUTH), False, True),
        (status(404, AUTH), False, True),
        (status(429, AUTH), False, False),
        (status(500, AUTH), False, False),
        (APIConnectionError("gone", request=AUTH), False, False),
        (errors.ConfigurationError("odd"), False, False),
        (errors.MissingCredentialsError("who"), False, False),
        (errors.SharedStateError("redis"), False, False),
        (OSError("disk"), False, False),
        (ValueError("a function of the user's"), False, False),
    ],
)
def test_kinds_of_errors(error: Exception, beside: bool, final: bool) -> None:
    assert (stands_beside(error, TOKENS, has_answers=False), is_final(error)) == (beside, final)


@pytest.mark.parametrize(
    ("error", "beside"), [(status(403), True), (status(403, AUTH), False), (status(401), False), (status(402), False)]
)
def test_a_model_that_is_not_in_the_plan(error: Exception, beside: bool) -> None:
    assert stands_beside(error, TOKENS, has_answers=True) is beside


def test_ctrl_c_is_no_matter_of_a_request() -> None:
    assert not stands_beside(KeyboardInterrupt(), TOKENS, has_answers=True)


@pytest.mark.parametrize("number", [400, 404, 413, 418, 422])
def test_an_answered_error_comes_back(number: int) -> None:
    error = status(number)
    again = error_of(json.loads(json.dumps(error_document(error))))
    assert isinstance(again, errors.APIStatusError)
    assert (type(again), str(again)) == (type(error), str(error))
    assert (again.status_code, again.request_id, again.retry_after, again.body) == (number, "r-1", None, None)


@pytest.mark.parametrize(
    "error",
    [InvalidRequestError("a: b", param="a"), errors.InvalidRequestTypeError("a: c"), TypeError("create() got ...")],
)
def test_a_refused_request_comes_back(error: Exception) -> None:
    again = error_of(error_document(error))
    assert (type(again), str(again), getattr(again, "param", None)) == (type(error), str(error), None)


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"type": "StreamError", "message": "m", "status_code": None}, "GigaChatError('m')"),
        ({"type": "Unheard", "message": "m", "status_code": 499}, "GigaChatError('m')"),
        ({"type": "json", "message": "m"}, "GigaChatError('m')"),
        ({"type": "NotFoundError", "message": "m", "status_code": 404, "request_id": 5}, "NotFoundError('m')"),
    ],
)
def test_an_error_of_another_version(document: dict[str, Any], shown: str) -> None:
    error = error_of(document)
    assert isinstance(error, GigaChatError)
    assert repr(error) == shown
    assert error.status_code == document.get("status_code")


def test_unwrapping() -> None:
    answer = ChatCompletion(choices=[], created=1, model="m")
    assert BulkResult(0, {}, answer, None).unwrap() is answer
    with pytest.raises(TypeError, match="odd"):
        BulkResult(0, {}, None, TypeError("odd")).unwrap()
    with pytest.raises(GigaChatError, match="request 4 has neither an answer nor an error"):
        BulkResult(4, {}, None, None).unwrap()


def test_a_result_does_not_show_its_request() -> None:
    result = BulkResult[ChatCompletion](
        0, {"extra_headers": {"Authorization": "s3cr3t"}}, None, JournalError("x"), id="a"
    )
    assert repr(result) == "BulkResult(index=0, id='a', response=None, error=JournalError('x'), from_journal=False)"
