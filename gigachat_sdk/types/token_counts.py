"""`POST /v1/tokens/count`: how many tokens texts have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ._base import ArrayPage, BaseModel, RequestModel
from ._request_fields import Text, text_or_texts


def _texts(value: object) -> object:
    value = text_or_texts(value)
    return [value] if isinstance(value, str) else value


class TokensCountRequest(RequestModel):
    """A request of `client.tokens.count(...)`, validated before anything is sent."""

    input: Annotated[list[str], BeforeValidator(_texts), Field(min_length=1)]
    model: Text


class TokensCount(BaseModel):
    """What the service counted in one text.

    Attributes:
        tokens: Tokens of the text.
        characters: Characters of the text.
        object: `"tokens"`.
    """

    tokens: int
    characters: int = 0
    object: str = "tokens"


class TokensCountList(ArrayPage[TokensCount]):
    """The answer of `client.tokens.count(...)`: a count for each text, in the order of `input`.

    Attributes:
        data: The counts. The service answers with a bare array, and so do `to_dict()` and `to_json()`.
    """

    data: list[TokensCount]

    @property
    def total_tokens(self) -> int:
        """The tokens of all texts together."""
        return sum(count.tokens for count in self.data)
