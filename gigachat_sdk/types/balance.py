"""Answers of `GET /v1/balance`."""

from __future__ import annotations

from ._base import BaseModel, BasePage


class BalanceItem(BaseModel):
    """What is left of one package.

    Attributes:
        usage: What the package is for: a model's name, or `"embeddings"`.
        value: Tokens left.
    """

    usage: str
    value: int | float = 0


class Balance(BasePage[BalanceItem]):
    """The answer of `client.balance.retrieve()`: iterate over it, index it, take its length.

    Attributes:
        balance: What is left, package by package.
    """

    _items_field = "balance"

    balance: list[BalanceItem]
