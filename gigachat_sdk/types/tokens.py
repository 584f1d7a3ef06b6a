"""Answers of the two token endpoints, in the one shape that is used further on."""

from __future__ import annotations

from typing import Any

from pydantic import AliasChoices, Field

from ._base import ResponseModel


class TokenAnswer(ResponseModel):
    """A token as the service issued it; never shown to users, and its repr holds nothing.

    `POST /api/v2/oauth` names the fields `access_token` and `expires_at`, `POST /v1/token` names them `tok` and `exp`.
    """

    access_token: str = Field(min_length=1, validation_alias=AliasChoices("access_token", "tok"), repr=False)
    expires_at: float | None = Field(default=None, validation_alias=AliasChoices("expires_at", "exp"), repr=False)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:  # unknown fields could hold anything
        return []
