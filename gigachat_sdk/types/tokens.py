"""Tokens: as the two endpoints answer them, and in the one shape that is used further on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import AliasChoices, Field

from ._base import ResponseModel


@dataclass(frozen=True)
class AccessToken:
    """A token that the API accepts; its repr hides the value.

    Attributes:
        value: What stands after `Bearer`.
        expires_at: When it ends, in Unix seconds; None for never, or not known.

    Example:
        >>> AccessToken("eyJjdHki...", expires_at=1706026848.841)
        AccessToken(value=[hidden], expires_at=1706026848.841)
    """

    value: str = field(repr=False)
    expires_at: float | None = None

    def __repr__(self) -> str:
        return f"AccessToken(value=[hidden], expires_at={self.expires_at})"


class TokenAnswer(ResponseModel):
    """A token as the service issued it; never shown to users, and its repr holds nothing.

    `POST /api/v2/oauth` names the fields `access_token` and `expires_at`, `POST /v1/token` names them `tok` and `exp`.
    """

    # Visible ASCII alone: anything else could not stand in a header.
    access_token: str = Field(pattern=r"^[!-~]+$", validation_alias=AliasChoices("access_token", "tok"), repr=False)
    expires_at: float | None = Field(default=None, validation_alias=AliasChoices("expires_at", "exp"), repr=False)

    def __repr_args__(self) -> list[tuple[str | None, Any]]:  # unknown fields could hold anything
        return []
