"""`client.embeddings`: POST /v1/embeddings."""

from __future__ import annotations

from collections.abc import Iterable

from typing_extensions import Unpack

from ..._headers import Hidden
from ..._request import json_call
from ..._retry import CallKind
from ...types import EmbeddingList, KnownEmbeddingModel, RequestOptions
from ...types.embeddings import EmbeddingsRequest
from ..session import AsyncSession


class AsyncEmbeddings:
    """Vectors of texts."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(
        self,
        *,
        input: str | Iterable[str],  # noqa: A002  # the endpoint's word
        model: KnownEmbeddingModel | str = "Embeddings",
        **options: Unpack[RequestOptions],
    ) -> EmbeddingList:
        """Return the vector of each text.

        Source: `POST /v1/embeddings`.

        Args:
            input: A text, or any iterable of texts. The service documents no limit; some 90 texts, or a million
                characters, in one call are known to work.
            model: `"Embeddings"` (1024 numbers a text), `"Embeddings-2"`, `"EmbeddingsGigaR"` (2560; it wants an
                instruction before queries, and none before documents), or any other embedder of `models.list()`.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Returns:
            A page of `Embedding`, in the order of `input`; its `usage` adds up the tokens of all texts.

        Raises:
            InvalidRequestError: There is no text, or something that is none.
            NotFoundError: There is no such model.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> page = await client.embeddings.create(input=["Кошка", "Собака"])
            >>> [len(item.embedding) for item in page], page.usage.prompt_tokens
            ([1024, 1024], 9)
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        fields = {"input": input, "model": model}
        call = json_call("create", "/embeddings", EmbeddingsRequest, fields, given, CallKind.REPEATABLE)
        return await self._session.request(call, EmbeddingList)
