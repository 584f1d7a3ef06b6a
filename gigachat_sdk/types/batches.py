"""`/v1/batches`: many requests in one file, answered when the service has time, and their results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import pydantic
from pydantic import BeforeValidator, Field

from ._base import ArrayPage, BaseModel, ResponseModel
from ._narrow import is_mapping
from .chat_completion import ChatCompletion
from .embeddings import EmbeddingList
from .files import FileContent

BatchMethod: TypeAlias = Literal["chat_completions", "embedder"]
"""Which endpoint answers the requests of a batch: chat, or embeddings."""

BatchFile: TypeAlias = FileContent
"""Where the lines of a batch come from: a path (a `str` always is one), bytes, or a file object in binary mode."""

_FAILED = frozenset({"failed", "cancelled", "canceled", "expired", "error"})


class BatchRequestCounts(BaseModel):
    """How far a batch is.

    Attributes:
        total: Requests in it.
        completed: Those that were answered.
        failed: Those that could not be.
    """

    total: int = 0
    completed: int = 0
    failed: int = 0


class Batch(ResponseModel):
    """A batch: the answer of `client.batches.create(...)`, `retrieve(...)` and `wait(...)`.

    Attributes:
        id: What the other methods take.
        method: `"chat_completions"` or `"embedder"`; others may come.
        status: `"created"`, `"in_progress"` or `"completed"`; others may come.
        request_counts: How far it is; None where the service does not say.
        output_file_id: The file with the results, once it is completed; `client.batches.results(batch)` reads it.
        created_at: Unix seconds.
        updated_at: Unix seconds.
    """

    id: str
    method: str = ""
    status: str = ""
    request_counts: BatchRequestCounts | None = None
    output_file_id: str | None = None
    created_at: int = 0
    updated_at: int = 0

    @property
    def is_completed(self) -> bool:
        """Whether every request was answered, or could not be: the results are there."""
        return self.status == "completed"

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen: it is completed, or was given up."""
        return self.is_completed or self.status in _FAILED


def _listed(value: object) -> object:
    return [] if value is None else value


class BatchList(ArrayPage[Batch]):
    """The batches of the account, the answer of `client.batches.list()`.

    Attributes:
        batches: The items, in the order of the service.
    """

    _items_field: ClassVar[str] = "batches"

    batches: Annotated[list[Batch], BeforeValidator(_listed)] = Field(default_factory=list[Batch])

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        """Take a batch by itself for a list of one."""
        return {"batches": [value]} if is_mapping(value) and "id" in value else value


@dataclass(frozen=True)
class BatchResultError:
    """Why a request of a batch has no answer.

    Attributes:
        message: What the service says.
        status_code: The HTTP status that the request would have got; None where the service does not say.
    """

    message: str
    status_code: int | None = None


@dataclass(frozen=True)
class BatchResult:
    """What became of one request of a batch.

    Attributes:
        id: The id of the request; empty where its line cannot be read.
        response: The answer; None where there is none, and then `error` says why.
        error: Why there is no answer; None where there is one.
        raw: The line of the results as it came; `line` reads it. Empty where it cannot be read.
    """

    id: str
    response: ChatCompletion | EmbeddingList | None = None
    error: BatchResultError | None = None
    raw: bytes = field(default=b"", repr=False)

    @property
    def line(self) -> dict[str, Any]:
        """The line of the results as it came, fields that the SDK does not know included; read anew each time."""
        document: dict[str, Any] = json.loads(self.raw or b"{}")
        return document

    @property
    def completion(self) -> ChatCompletion | None:
        """The answer of a chat; None for any other, and where there is none."""
        return self.response if isinstance(self.response, ChatCompletion) else None

    @property
    def embeddings(self) -> EmbeddingList | None:
        """The vectors of an embedder; None for any other answer, and where there is none."""
        return self.response if isinstance(self.response, EmbeddingList) else None


class BatchResults:
    """The results of a batch, in the order of the service, which need not be that of the requests.

    Iterate over them, or ask for one by the id of its request.

    Attributes:
        by_id: The results by the ids of their requests, all whose line can be read.

    Example:
        >>> results = client.batches.results(batch)
        >>> results["0"].completion.choices[0].message.content
        'Привет! Чем могу помочь?'
        >>> [result.id for result in results if result.error]
        []
    """

    def __init__(self, results: Iterable[BatchResult]) -> None:
        self._results = tuple(results)
        self.by_id: Mapping[str, BatchResult] = {result.id: result for result in self._results if result.id}

    def __iter__(self) -> Iterator[BatchResult]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, request_id: str | int) -> BatchResult:
        return self.by_id[str(request_id)]

    def __contains__(self, request_id: object) -> bool:
        return str(request_id) in self.by_id

    def get(self, request_id: str | int) -> BatchResult | None:
        """Return the result of a request, a number standing for its text; None where the service gave none."""
        return self.by_id.get(str(request_id))

    def __repr__(self) -> str:
        failed = sum(result.error is not None for result in self)
        return f"<{type(self).__name__} of {len(self)} requests, {failed} without an answer>"
