"""`client.ai` and `client.filter`: POST /v1/ai/check and POST /v1/filter/check."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import Unpack

from ..._headers import Hidden
from ..._request import json_call
from ..._retry import CallKind
from ...types import (
    AICheckResult,
    ChatCompletionMessage,
    FilterCheckResult,
    FilterSettingsParam,
    FunctionDefinition,
    FunctionParam,
    KnownAICheckModel,
    MessageParam,
    RequestOptions,
)
from ...types.checks import AICheckRequest, FilterCheckRequest
from ..session import AsyncSession


class AsyncAI:
    """Whether a text was written by a model."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def check(
        self,
        *,
        input: str,  # noqa: A002  # the endpoint's word
        model: KnownAICheckModel | str = "GigaCheckDetection",
        **options: Unpack[RequestOptions],
    ) -> AICheckResult:
        """Say whether a text was written by a person, by a model, or by both.

        Source: `POST /v1/ai/check`.

        Args:
            input: A Russian text of at least 20 words.
            model: `"GigaCheckDetection"`, which also says where a model wrote, or `"GigaCheckClassification"`.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Raises:
            InvalidRequestError: The text is empty, or none.
            PermissionDeniedError: The account does not pay as it goes (`GIGACHAT_API_CORP`).
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> verdict = await client.ai.check(input=text)
            >>> verdict.category, verdict.ai_intervals
            ('mixed', [[1, 262], [415, 533]])
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        fields = {"input": input, "model": model}
        call = json_call("check", "/ai/check", AICheckRequest, fields, given, CallKind.REPEATABLE)
        return await self._session.request(call, AICheckResult)


class AsyncFilter:
    """Whether the service's filter would stop a dialogue."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def check(
        self,
        *,
        messages: Iterable[MessageParam | ChatCompletionMessage],
        model: str = "GigaFilter",
        settings: FilterSettingsParam | None = None,
        functions: Iterable[FunctionParam | FunctionDefinition] | None = None,
        **options: Unpack[RequestOptions],
    ) -> FilterCheckResult:
        """Say whether the filter would stop a dialogue, without asking a model to answer it.

        Source: `POST /v1/filter/check`, known from the vendor's Java SDK alone.

        Args:
            messages: The dialogue: dicts, answers of earlier calls, or a mix.
            model: A model of the type `"filter"` of `models.list()`.
            settings: Which filters look at it, and how; see `FilterSettingsParam`.
            functions: Functions that the dialogue speaks of.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            PermissionDeniedError: Not in the account's plan.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> verdict = await client.filter.check(messages=[{"role": "user", "content": "Привет!"}])
            >>> verdict.is_profane, verdict.usage.filter_tokens
            (False, 12)
        """
        given = Hidden(options)
        del options
        fields = {"model": model, "messages": messages, "settings": settings, "functions": functions}
        call = json_call("check", "/filter/check", FilterCheckRequest, fields, given, CallKind.REPEATABLE)
        return await self._session.request(call, FilterCheckResult)
