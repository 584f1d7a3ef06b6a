"""`client.functions`: POST /v1/functions/convert and POST /v1/functions/validate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import Unpack

from ..._endpoints import convert_call
from ..._headers import Hidden
from ..._request import json_call
from ..._retry import CallKind
from ...types import ConvertedFunctions, FunctionDefinition, FunctionParam, FunctionValidation, RequestOptions
from ...types.functions_request import FunctionValidateRequest
from ..session import AsyncSession


class AsyncFunctions:
    """Descriptions of functions: made, and held against the rules of the service."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def convert(self, *, openapi: str, **options: Unpack[RequestOptions]) -> ConvertedFunctions:
        """Return the functions that an OpenAPI document describes, ready for `functions=[...]`.

        Source: `POST /v1/functions/convert`; the service's newest documents do not mention it.

        Args:
            openapi: The document as text, YAML or JSON. It is sent as it is (`text/plain`), so there is no
                `extra_body`.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            InvalidRequestError: The document is empty, or no text.
            BadRequestError: The service cannot read the document.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> found = await client.functions.convert(openapi=Path("openapi.yaml").read_text())
            >>> await client.chat.completions.create(messages=messages, functions=found)
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        return await self._session.request(convert_call(openapi, given), ConvertedFunctions)

    async def validate(
        self, *, function: FunctionParam | FunctionDefinition | Mapping[str, Any], **options: Unpack[RequestOptions]
    ) -> FunctionValidation:
        """Hold the description of a function against the rules of the service.

        Source: `POST /v1/functions/validate`.

        Args:
            function: The function as it would stand in `functions=[...]`. It is sent whatever is in it: the verdict of
                the service is what is asked for.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`.

        Returns:
            The verdict, with `is_valid`, `errors` and `warnings`. A function that is refused raises nothing.

        Raises:
            InvalidRequestError: The function is no dict.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> verdict = await client.functions.validate(function={"name": "weather"})
            >>> verdict.is_valid, [issue.description for issue in verdict.errors or ()]
            (False, ['parameters is required'])
        """
        given = Hidden(options)
        del options
        call = json_call(
            "validate",
            "/functions/validate",
            FunctionValidateRequest,
            {"function": function},
            given,
            CallKind.REPEATABLE,
        )
        return await self._session.request(call, FunctionValidation)
