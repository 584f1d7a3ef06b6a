"""`client.assistants`: /v1/assistants, /v1/assistants/modify, /v1/assistants/delete, /v1/assistants/files/delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from typing_extensions import Unpack

from ..._endpoints import the_one
from ..._headers import Hidden
from ..._request import get_call, json_call, validated
from ..._retry import CallKind
from ...types import (
    Assistant,
    AssistantCreated,
    AssistantDeleted,
    AssistantFileDeleted,
    AssistantList,
    FunctionDefinition,
    FunctionParam,
    KnownModel,
    RequestOptions,
)
from ...types.assistants import (
    AssistantCreateRequest,
    AssistantFileDeleteRequest,
    AssistantRequest,
    AssistantsQuery,
    AssistantUpdateRequest,
)
from ..session import AsyncSession


class AsyncAssistants:
    """Models with instructions, files and functions of their own, kept by the service.

    The service's documents do not mention them any more; new programs keep their dialogues themselves, or use threads
    of the v2 contract.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def list(self, *, assistant_id: str | None = None, **options: Unpack[RequestOptions]) -> AssistantList:
        """Return the account's assistants.

        Source: `GET /v1/assistants`.

        Args:
            assistant_id: Ask for this one alone.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [assistant.name for assistant in await client.assistants.list()]
            ['Лектор', 'Переводчик']
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        query = validated(AssistantsQuery, {"assistant_id": assistant_id}).to_payload()
        return await self._session.request(get_call("list", "/assistants", given, query), AssistantList)

    async def retrieve(self, assistant_id: str, **options: Unpack[RequestOptions]) -> Assistant:
        """Return one assistant.

        Source: `GET /v1/assistants` with its id; the service has no address for a single one.

        Args:
            assistant_id: Its id.
            options: `extra_headers`, `extra_query`, `timeout`, the retry settings and the ids of the context; see
                `RequestOptions`.

        Raises:
            NotFoundError: There is none; its status is 200 where the service answered with a list without it.
            InvalidRequestError: The id is empty, or no string.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.assistants.retrieve("5a18157d-7f0b-4bf9-b4e9-f01271808104")).model
            'GigaChat-Pro'
        """
        given = Hidden(options)
        del options
        query = validated(AssistantRequest, {"assistant_id": assistant_id}).to_payload()
        page = await self._session.request(get_call("retrieve", "/assistants", given, query), AssistantList)
        return the_one(page, "assistant_id", assistant_id)

    async def create(
        self,
        *,
        name: str,
        model: KnownModel | str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        file_ids: Iterable[str] | None = None,
        functions: Iterable[FunctionParam | FunctionDefinition] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[RequestOptions],
    ) -> AssistantCreated:
        """Make an assistant, and return its id.

        Source: `POST /v1/assistants`.

        Args:
            name: Its name.
            model: The model that answers; without it the client's `model`.
            description: What it is for.
            instructions: What it is told before every dialogue.
            file_ids: Ids of uploaded files that it may read.
            functions: Functions that it may ask for.
            metadata: Up to 16 pairs of your own.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> made = await client.assistants.create(name="Лектор", instructions="Отвечай как лектор.")
            >>> made.assistant_id
            '5a18157d-7f0b-4bf9-b4e9-f01271808104'
        """
        given = Hidden(options)
        del options
        fields = {
            "model": self._session.config.model if model is None else model,
            "name": name,
            "description": description,
            "instructions": instructions,
            "file_ids": file_ids,
            "functions": functions,
            "metadata": metadata,
        }
        call = json_call("create", "/assistants", AssistantCreateRequest, fields, given, CallKind.CREATING)
        return await self._session.request(call, AssistantCreated)

    async def update(
        self,
        assistant_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        file_ids: Iterable[str] | None = None,
        functions: Iterable[FunctionParam | FunctionDefinition] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **options: Unpack[RequestOptions],
    ) -> Assistant:
        """Change an assistant, and return it as it is now.

        Source: `POST /v1/assistants/modify`.

        Args:
            assistant_id: Its id.
            name: Its new name. Here as below, None leaves what there is.
            description: What it is for; `""` for nothing.
            instructions: What it is told before every dialogue; `""` for nothing.
            file_ids: Ids of all files that it may read from now on; `[]` for none.
            functions: All functions that it may ask for from now on; `[]` for none.
            metadata: Up to 16 pairs of your own, which replace the former ones.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: An argument cannot be sent; nothing was.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.assistants.update(made.assistant_id, name="Историк")).name
            'Историк'
        """
        given = Hidden(options)
        del options
        fields = {
            "assistant_id": assistant_id,
            "name": name,
            "description": description,
            "instructions": instructions,
            "file_ids": file_ids,
            "functions": functions,
            "metadata": metadata,
        }
        call = json_call("update", "/assistants/modify", AssistantUpdateRequest, fields, given, CallKind.CREATING)
        return await self._session.request(call, Assistant)

    async def delete(self, assistant_id: str, **options: Unpack[RequestOptions]) -> AssistantDeleted:
        """Delete an assistant.

        Source: `POST /v1/assistants/delete`.

        Args:
            assistant_id: Its id.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: The id is empty, or no string.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.assistants.delete(made.assistant_id)).deleted
            True
        """
        given = Hidden(options)
        del options
        fields = {"assistant_id": assistant_id}
        call = json_call("delete", "/assistants/delete", AssistantRequest, fields, given, CallKind.CREATING)
        return await self._session.request(call, AssistantDeleted)

    async def delete_file(
        self, file_id: str, *, assistant_id: str, **options: Unpack[RequestOptions]
    ) -> AssistantFileDeleted:
        """Take a file from an assistant; the file itself stays, `client.files.delete(...)` deletes it.

        Source: `POST /v1/assistants/files/delete`.

        Args:
            file_id: The file's id.
            assistant_id: The assistant's id.
            options: `extra_headers`, `extra_query`, `extra_body`, `timeout`, the retry settings and the ids of the
                context; see `RequestOptions`. The call is not sent again when its answer was lost.

        Raises:
            InvalidRequestError: An id is empty, or no string.
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> (await client.assistants.delete_file("7ec30261-...", assistant_id=made.assistant_id)).deleted
            True
        """
        given = Hidden(options)
        del options
        call = json_call(
            "delete_file",
            "/assistants/files/delete",
            AssistantFileDeleteRequest,
            {"assistant_id": assistant_id, "file_id": file_id},
            given,
            CallKind.CREATING,
        )
        return await self._session.request(call, AssistantFileDeleted)
