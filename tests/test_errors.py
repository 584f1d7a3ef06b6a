"""`errors.py`: one tree over everything, readable messages, errors that survive pickle and show no secret."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gigachat_sdk
from gigachat_sdk import errors
from gigachat_sdk.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BatchTimeoutError,
    ConfigurationError,
    ConfigurationTypeError,
    ContentFilterError,
    GigaChatError,
    InternalServerError,
    InvalidRequestError,
    InvalidRequestTypeError,
    LengthFinishReasonError,
    LimiterTimeoutError,
    MissingCredentialsError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    SharedStateError,
    StreamError,
    StreamInterruptedError,
    UnprocessableEntityError,
    no_stream_error,
    parse_body,
    status_error,
    stream_error,
)
from gigachat_sdk.types import Batch, ChatCompletion, Headers, RequestInfo, ResponseInfo

SECRET = "s3cr3t-value"
REQUEST = RequestInfo("POST", "https://api.giga.chat/v1/chat/completions", Headers({"Authorization": SECRET}))
DEEP = b"[" * 100_000


def response(status: int, **headers: str) -> ResponseInfo:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return ResponseInfo(status, Headers({"content-type": "application/json", **fields}), 0.1, 1)


def answered(status: int, body: Any = b"", **headers: str) -> APIStatusError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status_error(REQUEST, response(status, **headers), content)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, APIStatusError),
        (408, APIStatusError),
        (409, APIStatusError),
        (413, RequestTooLargeError),
        (418, APIStatusError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, InternalServerError),
        (504, InternalServerError),
        (599, InternalServerError),
    ],
)
def test_the_status_decides_the_class(status: int, kind: type[APIStatusError]) -> None:
    error = answered(status, {"status": status, "message": "what it says"}, x_request_id="abc")
    assert type(error) is kind
    assert isinstance(error, APIStatusError)
    assert (error.status_code, error.request_id, error.request) == (status, "abc", REQUEST)
    assert error.body == {"status": status, "message": "what it says"}
    assert str(error).startswith(f"{status} for POST https://api.giga.chat/v1/chat/completions: what it says")
    assert str(error).endswith("(request id abc)")
    assert SECRET not in repr(error) + repr(vars(error))


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (400, "scope from db not fully includes consumed scope", "scope to GIGACHAT_API_PERS or GIGACHAT_API_B2B"),
        (401, "Scope from DB not fully includes consumed scope", "scope to GIGACHAT_API_PERS or GIGACHAT_API_B2B"),
        (400, "scope data format invalid", "does not know this scope: use one of GIGACHAT_API_PERS"),
        (401, "credentials doesn't match db data", "wrong or was revoked"),
        (401, "Can't decode 'Authorization' header", "do not encode it again"),
        (402, "Payment Required", "buy more, or use another model"),
        (402, "", "buy more, or use another model"),
        (403, "Permission denied", "may not include this method or model"),
        (429, "Too Many Requests", "1 request in flight, a company 10"),
        (400, "messages is empty", ""),
        (401, "Token has expired", ""),
        (404, "No such model", "client.models.list() names the models of your account"),
        (500, "Internal Server Error", ""),
    ],
)
def test_what_the_service_says_comes_with_advice(status: int, said: str, advice: str) -> None:
    message = str(answered(status, {"status": status, "message": said}))
    assert said in message
    assert advice in message
    place = f"{status} for POST https://api.giga.chat/v1/chat/completions"
    if not advice:
        assert message == f"{place}: {said}"
    assert "\n" not in message
    assert ".." not in message


def test_a_sentence_that_ends_in_a_stop_gets_no_second_one() -> None:
    assert "Too many. An individual" in str(answered(429, {"message": "Too many."}))


@pytest.mark.parametrize(
    ("content", "content_type", "body", "said"),
    [
        (b'{"status":404,"message":"m"}', "application/json", {"status": 404, "message": "m"}, "m"),
        (b'{"error":{"message":"m","code":5}}', "application/json", {"error": {"message": "m", "code": 5}}, "m"),
        (b'{"error":"invalid_request"}', "application/json", {"error": "invalid_request"}, "invalid_request"),
        (b'{"detail":"d"}', "application/json", {"detail": "d"}, "d"),
        (b'{"error_description":"e"}', "application/json", {"error_description": "e"}, "e"),
        (b'{"code":7,"message":"m"}', "text/plain", {"code": 7, "message": "m"}, "m"),
        ('{"message":"ошибка"}'.encode(), "", {"message": "ошибка"}, "ошибка"),
        (b'{"message":5,"error":{},"detail":""}', "application/json", {"message": 5, "error": {}, "detail": ""}, ""),
        (b'["a"]', "application/json", ["a"], ""),
        (b"null", "application/json", None, ""),
        (b"", "application/json", None, ""),
        (b" \r\n ", "application/json", None, ""),
        (b"<html><body>502 Bad Gateway</body></html>", "text/html", "<html><body>502 Bad Gateway</body></html>", ""),
        (b"<html>", "application/json", "<html>", ""),
        (b"<!DOCTYPE html>\n<HTML>x", "Text/HTML; charset=utf-8", "<!DOCTYPE html>\n<HTML>x", ""),
        (b"upstream\n  timed out", "text/plain", "upstream\n  timed out", "upstream timed out"),
        (b'{"message": "cut', "application/json", '{"message": "cut', '{"message": "cut'),
        (b"\xff\xfe", "application/octet-stream", "\ufffd\ufffd", "\ufffd\ufffd"),
        (b"x" * 5000, "text/plain", "x" * 5000, "x" * 200),
        (DEEP, "application/json", DEEP.decode(), "[" * 200),
    ],
)
def test_any_body_is_kept_and_its_words_are_in_the_message(
    content: bytes, content_type: str, body: Any, said: str
) -> None:
    error = answered(404, content, content_type=content_type)
    place = "404 for POST https://api.giga.chat/v1/chat/completions"
    assert error.body == body
    assert str(error) == (f"{place}: {said}" if said else place)


def test_a_body_without_a_content_type_is_read_too() -> None:
    assert parse_body(b'{"a": 1}', "") == {"a": 1}
    assert status_error(REQUEST, ResponseInfo(500, Headers()), b'{"message": "m"}').body == {"message": "m"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_that_names_its_target(status: int) -> None:
    error = answered(status, b"", location="https://elsewhere.example/v1")
    assert type(error) is APIStatusError
    assert "redirects to https://elsewhere.example/v1, and redirects are not followed" in str(error)
    assert "base_url" in str(error)


def test_a_redirect_to_nowhere_says_so() -> None:
    assert "redirects to an address that it does not name" in str(answered(304))


def test_a_redirect_does_not_show_secrets_of_its_target() -> None:
    error = answered(302, b"", location=f"https://me:{SECRET}@host/login?token={SECRET}")
    assert SECRET not in str(error)
    assert SECRET not in repr(error.response)
    assert "https://host/login" in str(error)


@pytest.mark.parametrize("retry_after", [None, 0.0, 1.5, 600.0])
def test_a_rate_limit_says_how_long_to_wait(retry_after: float | None) -> None:
    error = status_error(REQUEST, response(429), b"{}", retry_after=retry_after)
    assert isinstance(error, RateLimitError)
    assert error.retry_after == retry_after


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"status": 500, "message": "Internal"}, "the service sent an error 500 inside the stream: Internal"),
        ({"error": {"message": "m"}, "code": 7}, "the service sent an error 7 inside the stream: m"),
        ({"status": "failed"}, "the service sent an error inside the stream"),
        ("просто текст", "the service sent an error inside the stream: просто текст"),
        ("", "the service sent an error inside the stream"),
    ],
)
def test_an_error_inside_a_stream(document: Any, message: str) -> None:
    error = stream_error(document, request=REQUEST, response=response(200, x_request_id="abc"))
    assert type(error) is StreamError
    assert str(error) == f"{message} (request id abc)"
    assert (error.body, error.status_code) == (document, 200)
    assert stream_error(document, request=None, response=None).status_code is None


@pytest.mark.parametrize(
    ("content", "content_type", "kind", "words"),
    [
        (b'{"status":500,"message":"m"}', "application/json", StreamError, "an error 500 inside the stream: m"),
        (b'{"choices":[]}', "application/json", APIResponseValidationError, "application/json came"),
        (b"<html>", "text/html", APIResponseValidationError, "text/html came"),
        (b"", "text/html", APIResponseValidationError, "text/html came"),
    ],
)
def test_a_success_that_is_no_stream(content: bytes, content_type: str, kind: type[APIError], words: str) -> None:
    error = no_stream_error(REQUEST, response(200, content_type=content_type), content)
    assert type(error) is kind
    assert words in str(error)
    assert error.body == parse_body(content, content_type)


PARTIAL = ChatCompletion.model_validate({"choices": [{"message": {"content": "При"}}]})
KNOWN: dict[str, Any] = {"request": REQUEST, "response": response(429, x_request_id="abc")}
WAITING = RateLimitError("m", **KNOWN, body={"a": [1]})
WAITING.retry_after = 2.5
SAMPLES: list[GigaChatError] = [
    GigaChatError("m"),
    ConfigurationError("m"),
    ConfigurationTypeError("m"),
    MissingCredentialsError("m"),
    InvalidRequestError("m", param="messages[0].content"),
    InvalidRequestTypeError("m", param="model"),
    APIConnectionError("m", sent=True, request=REQUEST),
    APITimeoutError("m", request=REQUEST),
    WAITING,
    StreamInterruptedError("m", text="При", partial=PARTIAL, **KNOWN),
    LengthFinishReasonError("m", completion=PARTIAL, **KNOWN),
    ContentFilterError("m", completion=PARTIAL, request=REQUEST),
    LimiterTimeoutError("m"),
    SharedStateError("m"),
    BatchTimeoutError("m", batch=Batch(id="b", status="created")),
    *(
        kind("m", **KNOWN, body={"a": [1, "ё"]})
        for kind in (
            APIError,
            APIResponseValidationError,
            APIStatusError,
            AuthenticationError,
            BadRequestError,
            InternalServerError,
            NotFoundError,
            PaymentRequiredError,
            PermissionDeniedError,
            RequestTooLargeError,
            StreamError,
            UnprocessableEntityError,
        )
    ),
]


def test_every_class_has_a_sample() -> None:
    classes = {
        kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception) and not name.startswith("_")
    }
    assert {type(sample) for sample in SAMPLES} == classes
    assert {kind.__name__ for kind in classes} == {name for name in errors.__all__ if hasattr(errors, name)}


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        GigaChatError.copy,
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
    ],
)
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_pickle_and_copying_with_all_they_carry(error: GigaChatError, copied: Any) -> None:
    twin = copied(error)
    assert twin is not error
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert (twin.args, str(twin), repr(twin)) == (error.args, str(error), repr(error))
    assert (twin.status_code, twin.request_id) == (error.status_code, error.request_id)
    assert SECRET not in repr(vars(twin))


@pytest.mark.parametrize("depth", [50, 300, 900])
def test_an_error_with_a_deeply_nested_body_survives_pickle(depth: int) -> None:
    error = answered(400, b'{"a":' * depth + b"1" + b"}" * depth)
    assert pickle.loads(pickle.dumps(error)).body == error.body
    assert repr(error.body)


def test_half_a_character_in_a_message_can_be_printed() -> None:
    assert "500 for POST" in str(answered(500, b'{"message":"\\ud83d"}').message.encode())


def test_a_copy_has_no_traceback_and_goes_its_own_way() -> None:
    try:
        raise APIError("m", **KNOWN)
    except APIError as error:
        raised = error
    twin = raised.copy()
    assert twin.__traceback__ is None
    twin.message = "changed"
    assert raised.message == "m"


def test_notes_and_attributes_of_the_user_are_kept_by_pickle() -> None:
    error = APIError("m")
    error.mine = 1  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(error)).mine == 1


class UsersOwn(APIStatusError):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}", response=response(500))


def test_a_subclass_of_the_users_with_other_arguments_survives_pickle() -> None:
    twin = pickle.loads(pickle.dumps(UsersOwn(1, 2)))
    assert type(twin) is UsersOwn
    assert (str(twin), twin.status_code) == ("1 and 2", 500)


def test_str_and_repr() -> None:
    assert str(APIError("m")) == "m"
    assert repr(APIError("m")) == "APIError('m')"
    known = NotFoundError("нет", response=response(404, x_request_id="abc"))
    assert str(known) == "нет (request id abc)"
    assert repr(known) == "NotFoundError('нет (request id abc)')"


@pytest.mark.parametrize(
    ("kind", "parents"),
    [
        (ConfigurationError, (GigaChatError, ValueError)),
        (ConfigurationTypeError, (ConfigurationError, TypeError)),
        (MissingCredentialsError, (ConfigurationError, ValueError)),
        (InvalidRequestError, (GigaChatError, ValueError)),
        (InvalidRequestTypeError, (InvalidRequestError, TypeError)),
        (APIError, (GigaChatError,)),
        (APITimeoutError, (APIConnectionError, APIError)),
        (APIStatusError, (APIError,)),
        (APIResponseValidationError, (APIError,)),
        (StreamInterruptedError, (StreamError, APIError)),
    ],
)
def test_the_tree(kind: type[Exception], parents: tuple[type[Exception], ...]) -> None:
    assert all(issubclass(kind, parent) for parent in parents)


def test_public_errors_are_importable_from_the_package() -> None:
    internal = {"ConfigurationTypeError", "InvalidRequestTypeError"}
    assert {name for name in errors.__all__ if not hasattr(gigachat_sdk, name)} <= internal


WORDS = [
    b'{"status":',
    b"429",
    b'"message":',
    b'"',
    b"}",
    b"[",
    b"null",
    b"<html>",
    "Ошибка".encode(),
    b"\xff",
    b"\\ud800",
]
BODIES = st.lists(st.sampled_from(WORDS) | st.binary(max_size=8), max_size=12).map(b"".join)


@settings(max_examples=2000, deadline=None)
@given(
    BODIES,
    st.sampled_from(["application/json", "application/json; charset=utf-8", "text/html", "text/plain; charset=x", ""]),
    st.integers(300, 599),
)
def test_any_body_of_any_status_becomes_an_error_of_ours(body: bytes, kind: str, status: int) -> None:
    response = ResponseInfo(status, Headers({"Content-Type": kind}))
    error = status_error(RequestInfo("POST", "https://host/v1"), response, body)
    assert isinstance(error, APIStatusError)
    assert error.status_code == status
    assert str(status) in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
