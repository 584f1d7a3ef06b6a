"""What tests of journals share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gigachat_sdk import ChatCompletion
from gigachat_sdk.bulk import JournalError
from gigachat_sdk.bulk._items import Item, endpoint_named, read_item
from gigachat_sdk.bulk._journal import Journal
from gigachat_sdk.bulk._records import Record, line_of

ENDPOINT = "chat.completions.create"
DIGEST = "0" * 32


def item(index: int, identity: str | int | None = None, text: str = "Привет") -> Item:
    read = read_item({"id": identity, "request": {"messages": [text]}}, index, ENDPOINT)
    assert isinstance(read, Item)
    return read


def counted(index: int, identity: str | None = None) -> Item:
    read = read_item({"id": identity, "request": {"messages": ["Привет"]}}, index, "tokens.count")
    assert isinstance(read, Item)
    return read


def answer(text: str) -> ChatCompletion:
    return ChatCompletion.model_validate(
        {
            "choices": [{"message": {"role": "assistant", "content": text}, "index": 0}],
            "created": 1,
            "model": "m",
            "x": [1],
        }
    )


def write(path: Path, *given: tuple[Item, Any]) -> None:
    journal = Journal(path)
    for one, outcome in given:
        journal.write(line_of(one, outcome))
    journal.close()


def found(journal: Journal, one: Item) -> Any:
    record = journal.find(one)
    if not isinstance(record, Record):
        return record
    result = journal.result_of(record, one, endpoint_named(ENDPOINT))
    return result if isinstance(result, JournalError) else result.response or result.error
