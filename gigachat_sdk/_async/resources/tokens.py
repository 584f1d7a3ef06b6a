"""`client.tokens`: POST /v1/tokens/count."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import Unpack

from ..._headers import Hidden
from ..._request import json_call
from ..._retry import CallKind
from ...types import KnownModel, RequestOptions, TokensCountList
from ...types.token_counts import TokensCountRequest
from ..session import AsyncSession


class AsyncTokens:
    """How many tokens texts have."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def count(
        self,
        *,
        input: str | Iterable[str],  # noqa: A002  # the endpoint's word
        model: KnownModel | str | None = None,
        **options: Unpack[RequestOptions],
    ) -> TokensCountList:
        """Return how many tokens each text has for a model; counting costs none.

        Source: `POST /v1/tokens/count`.

        Args:
            input: A text, or any iterable of texts.
            model: The model whose tokens are counted; without it the client's `model`.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Returns:
            A page of `TokensCount`, in the order of `input`; its `total_tokens` adds them up.

        Raises:
            InvalidRequestError: There is no text, or something that is none.
            NotFoundError: There is no such model.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> counts = await client.tokens.count(input=["First text", "Second text"])
            >>> [count.tokens for count in counts], counts.total_tokens
            ([2, 2], 4)
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        fields = {"input": input, "model": self._session.config.model if model is None else model}
        call = json_call("count", "/tokens/count", TokensCountRequest, fields, given, CallKind.REPEATABLE)
        return await self._session.request(call, TokensCountList)
