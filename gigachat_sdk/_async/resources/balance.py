"""`client.balance`: GET /v1/balance."""

from __future__ import annotations

from typing_extensions import Unpack

from ..._headers import Hidden
from ..._request import get_call
from ...types import Balance, RequestOptions
from ..session import AsyncSession


class AsyncBalances:
    """What is left of the account's packages."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def retrieve(self, **options: Unpack[RequestOptions]) -> Balance:
        """Return how many tokens are left, package by package.

        Source: `GET /v1/balance`.

        Args:
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            PermissionDeniedError: The account pays as it goes; only prepaid packages have a balance.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> {item.usage: item.value for item in await client.balance.retrieve()}
            {'embeddings': 9999967, 'GigaChat-Pro': 991490, 'GigaChat': 900000}
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        return await self._session.request(get_call("retrieve", "/balance", given), Balance)
