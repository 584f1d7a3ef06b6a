"""`client.get`, `client.post`, `client.delete`: endpoints that this SDK does not know yet."""

from __future__ import annotations

from typing import Any, overload

from typing_extensions import TypeVar, Unpack

from .._cast import NothingAccumulator, any_call, check_cast, chunk_type
from .._headers import Hidden
from ..types._base import ResponseModel
from ..types.request_options import RequestOptions
from .session import AsyncSession
from .streaming import AsyncStream, async_open_stream

T = TypeVar("T")
ValueT = TypeVar("ValueT", default=Any)  # of a bare `dict` or `list`
ChunkT = TypeVar("ChunkT", bound=ResponseModel)


class AsyncUnknownCalls:
    """The methods for any path."""

    _session: AsyncSession

    @overload
    async def get(
        self, path: str, *, cast_to: type[dict[str, ValueT]], **options: Unpack[RequestOptions]
    ) -> dict[str, ValueT]: ...

    @overload
    async def get(
        self, path: str, *, cast_to: type[list[ValueT]], **options: Unpack[RequestOptions]
    ) -> list[ValueT]: ...

    @overload
    async def get(self, path: str, *, cast_to: type[T], **options: Unpack[RequestOptions]) -> T: ...

    async def get(self, path: str, *, cast_to: Any, **options: Unpack[RequestOptions]) -> Any:
        """Send a GET to a path that the SDK has no method for.

        The token, the retries and the errors are those of every call.

        Args:
            path: What comes after `base_url`, such as `"/models"`.
            cast_to: What to read the answer as: a pydantic model, `dict`, or any type that pydantic reads; `str` and
                `bytes` give the body as it is. A model on `gigachat_sdk.types.ResponseModel` knows its `request_id`.
            options: `extra_query`, `extra_headers`, `timeout` and the rest of `RequestOptions`.

        Raises:
            InvalidRequestError: The path is none, or nothing can be read as `cast_to`.
            APIResponseValidationError: The answer is not what `cast_to` says.
            APIStatusError: The service answered with an error.

        Example:
            >>> await client.get("/models", cast_to=dict)
            {'data': [...], 'object': 'list'}
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        check_cast(cast_to)
        return await self._session.request_as(any_call("GET", path, given), cast_to)

    @overload
    async def post(
        self, path: str, *, cast_to: type[dict[str, ValueT]], body: object = None, **options: Unpack[RequestOptions]
    ) -> dict[str, ValueT]: ...

    @overload
    async def post(
        self, path: str, *, cast_to: type[list[ValueT]], body: object = None, **options: Unpack[RequestOptions]
    ) -> list[ValueT]: ...

    @overload
    async def post(
        self, path: str, *, cast_to: type[T], body: object = None, **options: Unpack[RequestOptions]
    ) -> T: ...

    @overload
    async def post(
        self,
        path: str,
        *,
        stream_cls: type[AsyncStream[ChunkT]],
        body: object = None,
        **options: Unpack[RequestOptions],
    ) -> AsyncStream[ChunkT]: ...

    async def post(
        self,
        path: str,
        *,
        cast_to: Any = None,
        stream_cls: Any = None,
        body: object = None,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """Send a POST to a path that the SDK has no method for.

        It is not sent again when its answer was lost, since nobody knows what it does.

        Args:
            path: What comes after `base_url`.
            cast_to: What to read the answer as; see `get`.
            stream_cls: Instead of it, for an answer that is an event stream: `AsyncStream[...]` with the type of the
                chunks. Whether the service streams is up to the body (`"stream": True`).
            body: A dict, a list or a pydantic model is sent as JSON, text and bytes as they are.
            options: `extra_query`, `extra_headers`, `timeout` and the rest of `RequestOptions`.

        Raises:
            TypeError: Neither `cast_to` nor `stream_cls` is given, or both are.
            InvalidRequestError: The path or the body cannot be sent.
            APIResponseValidationError: The answer is not what `cast_to` says.
            APIStatusError: The service answered with an error.

        Example:
            >>> await client.post("/tokens/count", cast_to=list, body={"model": "GigaChat", "input": ["Привет"]})
            [{'object': 'tokens', 'tokens': 2, 'characters': 6}]
        """
        given = Hidden(options)
        del options
        if (cast_to is None) == (stream_cls is None):
            raise TypeError("post() takes one of cast_to= and stream_cls=")
        if stream_cls is not None:
            chunk = chunk_type(stream_cls, AsyncStream)
            call = any_call("POST", path, given, body=body, is_stream=True)
            return await async_open_stream(self._session, call, chunk, NothingAccumulator())
        check_cast(cast_to)
        return await self._session.request_as(any_call("POST", path, given, body=body), cast_to)

    @overload
    async def delete(
        self, path: str, *, cast_to: type[dict[str, ValueT]], **options: Unpack[RequestOptions]
    ) -> dict[str, ValueT]: ...

    @overload
    async def delete(
        self, path: str, *, cast_to: type[list[ValueT]], **options: Unpack[RequestOptions]
    ) -> list[ValueT]: ...

    @overload
    async def delete(self, path: str, *, cast_to: type[T], **options: Unpack[RequestOptions]) -> T: ...

    async def delete(self, path: str, *, cast_to: Any, **options: Unpack[RequestOptions]) -> Any:
        """Send a DELETE to a path that the SDK has no method for.

        Args:
            path: What comes after `base_url`.
            cast_to: What to read the answer as; see `get`.
            options: `extra_query`, `extra_headers`, `timeout` and the rest of `RequestOptions`.

        Raises:
            InvalidRequestError: The path is none, or nothing can be read as `cast_to`.
            APIResponseValidationError: The answer is not what `cast_to` says.
            APIStatusError: The service answered with an error.

        Example:
            >>> await client.delete("/things/17", cast_to=dict)
            {'deleted': True}
        """
        given = Hidden(options)
        del options
        check_cast(cast_to)
        return await self._session.request_as(any_call("DELETE", path, given), cast_to)
