"""`client.models`: GET /v1/models and GET /v1/models/{model}."""

from __future__ import annotations

from typing_extensions import Unpack

from ..._headers import Hidden
from ..._request import get_call, quoted
from ...types import Model, ModelList, RequestOptions
from ..session import AsyncSession


class AsyncModels:
    """The models that the account may use."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(self, **options: Unpack[RequestOptions]) -> ModelList:
        """Return the models that the account may use; the list differs per host and per account.

        Source: `GET /v1/models`.

        Args:
            options: `extra_headers`, `extra_query`, `timeout` and the retry settings; see `RequestOptions`.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [model.id for model in await client.models.list()]
            ['GigaChat', 'GigaChat-2', 'GigaChat-2-Max', ...]
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        return await self._session.request(get_call("list", "/models", given), ModelList)

    async def retrieve(self, model: str, **options: Unpack[RequestOptions]) -> Model:
        """Return one model.

        Source: `GET /v1/models/{model}`.

        Args:
            model: Its name.
            options: `extra_headers`, `extra_query`, `timeout` and the retry settings; see `RequestOptions`.

        Raises:
            NotFoundError: There is no such model.
            InvalidRequestError: The name is empty.

        Example:
            >>> (await client.models.retrieve("GigaChat")).owned_by
            'salutedevices'
        """
        given = Hidden(options)
        del options
        return await self._session.request(get_call("retrieve", f"/models/{quoted(model, 'model')}", given), Model)
