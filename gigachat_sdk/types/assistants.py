"""`/v1/assistants...`: models with instructions, files and functions of their own, kept by the service."""

from __future__ import annotations

from typing import Any

from ._base import BaseModel, Page, RequestModel, ResponseModel
from ._request_fields import Metadata, NamedFunctions, Text, Texts
from .functions import FunctionDefinition


class AssistantsQuery(RequestModel):
    """Parameters of `client.assistants.list(...)`."""

    assistant_id: Text | None = None


class AssistantFields(RequestModel):
    """What creating and changing an assistant have in common."""

    description: str | None = None
    instructions: str | None = None
    file_ids: Texts | None = None
    functions: NamedFunctions = None
    metadata: Metadata | None = None


class AssistantCreateRequest(AssistantFields):
    """A request of `client.assistants.create(...)`, validated before anything is sent."""

    model: Text
    name: Text


class AssistantUpdateRequest(AssistantFields):
    """A request of `client.assistants.update(...)`, validated before anything is sent."""

    assistant_id: Text
    name: Text | None = None


class AssistantRequest(RequestModel):
    """A request that names an assistant and nothing else."""

    assistant_id: Text


class AssistantFileDeleteRequest(AssistantRequest):
    """A request of `client.assistants.delete_file(...)`, validated before anything is sent."""

    file_id: Text


class AssistantCreated(ResponseModel):
    """The answer of `client.assistants.create(...)`.

    Attributes:
        assistant_id: The new assistant's id.
        created_at: Unix seconds.
    """

    assistant_id: str
    created_at: int = 0


class AssistantFile(BaseModel):
    """A file that an assistant may read.

    Attributes:
        file_id: The file's id.
        name: Its name.
    """

    file_id: str = ""
    name: str | None = None


class Assistant(ResponseModel):
    """An assistant: the answer of `client.assistants.retrieve(...)` and `.update(...)`, and an item of `.list()`.

    Attributes:
        assistant_id: Its id.
        model: The model that answers.
        name: Its name.
        description: What it is for.
        instructions: What it is told before every dialogue.
        created_at: Unix seconds.
        updated_at: Unix seconds.
        files: The files it may read; the service gives these or `file_ids`.
        file_ids: Ids of the files it may read.
        functions: The functions it may ask for.
        metadata: Pairs of the user's own.
        threads_count: How many threads it has.
    """

    assistant_id: str
    model: str = ""
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    created_at: int = 0
    updated_at: int | None = None
    files: list[AssistantFile] | None = None
    file_ids: list[str] | None = None
    functions: list[FunctionDefinition] | None = None
    metadata: dict[str, Any] | None = None
    threads_count: int | None = None


class AssistantList(Page[Assistant]):
    """The account's assistants, the answer of `client.assistants.list()`."""


class AssistantDeleted(ResponseModel):
    """The answer of `client.assistants.delete(...)`.

    Attributes:
        assistant_id: The assistant's id.
        deleted: Whether it is gone.
    """

    assistant_id: str = ""
    deleted: bool = False


class AssistantFileDeleted(ResponseModel):
    """The answer of `client.assistants.delete_file(...)`.

    Attributes:
        file_id: The file's id.
        deleted: Whether the assistant has it no more; the file itself stays.
    """

    file_id: str = ""
    deleted: bool = False
