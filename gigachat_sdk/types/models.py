"""Answers of `GET /v1/models` and `GET /v1/models/{model}`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ._base import Page, ResponseModel

KnownModel: TypeAlias = Literal[
    "GigaChat",
    "GigaChat-2",
    "GigaChat-2-Pro",
    "GigaChat-2-Max",
    "GigaChat-2-preview",
    "GigaChat-2-Pro-preview",
    "GigaChat-2-Max-preview",
    "GigaChat-3-Ultra",
    "GigaChat-3-Pro",
    "GigaChat-3-Lightning",
    "GigaChat-2-Reasoning",
]
"""Chat models known when this version was made. Every place that takes one takes any other `str` too."""


class Model(ResponseModel):
    """One model: the answer of `client.models.retrieve(...)`, and an item of `client.models.list()`.

    Attributes:
        id: The name to pass as `model=`.
        object: `"model"`.
        owned_by: For example `"salutedevices"`.
        type: `"chat"`, `"embedder"`, `"aicheck"` or `"filter"`; others may come.
    """

    id: str
    object: str = "model"
    owned_by: str = ""
    type: str | None = None


class ModelList(Page[Model]):
    """The models that the account may use, the answer of `client.models.list()`."""
