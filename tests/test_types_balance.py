"""`types/balance.py`: what is left of the account's packages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gigachat_sdk.types import Balance

DOCUMENT: dict[str, Any] = {"balance": [{"usage": "GigaChat", "value": 900000}, {"usage": "embeddings", "value": 0.5}]}


def test_a_balance_is_iterated_indexed_and_counted() -> None:
    balance = Balance.model_validate_json(json.dumps(DOCUMENT))
    assert {item.usage: item.value for item in balance} == {"GigaChat": 900000, "embeddings": 0.5}
    assert (len(balance), balance[-1].usage, balance.balance[0].value) == (2, "embeddings", 900000)


def test_whole_numbers_stay_whole() -> None:
    balance = Balance.model_validate_json(json.dumps(DOCUMENT))
    assert balance.to_json() == '{"balance":[{"usage":"GigaChat","value":900000},{"usage":"embeddings","value":0.5}]}'


def test_an_empty_balance_is_an_answer() -> None:
    balance = Balance.model_validate({"balance": []})
    assert (list(balance), bool(balance)) == ([], True)


@pytest.mark.parametrize("document", [{}, [], {"balance": {}}, {"balance": [{"value": 1}]}])
def test_what_is_no_balance_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="Balance"):
        Balance.model_validate(document)
