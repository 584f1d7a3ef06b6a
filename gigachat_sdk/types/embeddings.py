"""`POST /v1/embeddings`: vectors of texts."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from ._base import BaseModel, Page, RequestModel
from ._request_fields import Text, text_or_texts

KnownEmbeddingModel: TypeAlias = Literal["Embeddings", "Embeddings-2", "EmbeddingsGigaR", "GigaEmbeddings-3B-2025-09"]
"""Embedding models known when this version was made. Every place that takes one takes any other `str` too."""


def _input_tag(value: object) -> str:
    return "<text>" if isinstance(value, str) else "<texts>"


class EmbeddingsRequest(RequestModel):
    """A request of `client.embeddings.create(...)`, validated before anything is sent."""

    input: Annotated[
        Annotated[str, Tag("<text>")] | Annotated[list[str], Field(min_length=1), Tag("<texts>")],
        Discriminator(_input_tag),
        BeforeValidator(text_or_texts),
    ]
    model: Text


class EmbeddingUsage(BaseModel):
    """Tokens of a text, as the service counted them.

    Attributes:
        prompt_tokens: Tokens of the text.
    """

    prompt_tokens: int = 0


class Embedding(BaseModel):
    """The vector of one text.

    Attributes:
        embedding: The vector; its length depends on the model (1024 for `Embeddings`, 2560 for `EmbeddingsGigaR`).
        index: Position of the text in `input`.
        object: `"embedding"`.
        usage: The tokens of this text; None where the service does not say.
    """

    embedding: list[float]
    index: int = 0
    object: str = "embedding"
    usage: EmbeddingUsage | None = None


class EmbeddingList(Page[Embedding]):
    """The answer of `client.embeddings.create(...)`: a vector for each text, in the order of `input`.

    Attributes:
        model: The model that made the vectors.
    """

    model: str = ""

    @property
    def usage(self) -> EmbeddingUsage | None:
        """The tokens of all texts; the service counts each by itself. None where it does not say for any."""
        counted = [item.usage.prompt_tokens for item in self.data if item.usage is not None]
        return EmbeddingUsage(prompt_tokens=sum(counted)) if counted else None
