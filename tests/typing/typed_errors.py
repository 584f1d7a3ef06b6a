"""Types of what errors carry, checked by mypy and pyright and never run."""

from __future__ import annotations

from typing import Any

from typing_extensions import assert_type

from gigachat_sdk import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    Client,
    ConfigurationError,
    GigaChatError,
    InvalidRequestError,
    MissingCredentialsError,
    RateLimitError,
    StreamError,
    StreamInterruptedError,
)
from gigachat_sdk.types import Headers, RequestInfo, ResponseInfo


def what_every_error_carries(error: GigaChatError) -> None:
    assert_type(error.message, str)
    assert_type(error.request, RequestInfo | None)
    assert_type(error.response, ResponseInfo | None)
    assert_type(error.status_code, int | None)
    assert_type(error.request_id, str | None)
    assert_type(error.body, Any)
    if error.request is not None:
        assert_type(error.request.method, str)
        assert_type(error.request.url, str)
        assert_type(error.request.headers, Headers)


def what_some_carry(client: Client) -> None:
    try:
        client.models.list()
    except RateLimitError as error:
        assert_type(error.retry_after, float | None)
    except APIConnectionError as error:
        assert_type(error.sent, bool)
    except InvalidRequestError as error:
        assert_type(error.param, str | None)
    except StreamInterruptedError as error:
        assert_type(error.text, str)


def the_tree(
    api: APIStatusError | APIConnectionError | StreamError | APIResponseValidationError,
    timeout: APITimeoutError,
    configuration: ConfigurationError | MissingCredentialsError,
    invalid: InvalidRequestError,
) -> None:
    api_errors: list[APIError] = [api, timeout]
    values: list[ValueError] = [configuration, invalid]
    everything: list[GigaChatError] = [*api_errors, configuration, invalid]
    assert_type((values, everything), tuple[list[ValueError], list[GigaChatError]])
