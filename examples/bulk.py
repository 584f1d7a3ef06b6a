"""Много запросов разом, с журналом: прерванная работа продолжается с того же места.

Нужен GIGACHAT_CREDENTIALS в окружении.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gigachat_sdk import Client, bulk

CITIES = ["Казань", "Пермь", "Тула", "Псков"]


def requests() -> Iterator[dict[str, Any]]:
    for city in CITIES:
        yield {"id": city, "request": {"messages": [{"role": "user", "content": f"Чем известен город {city}?"}]}}


with Client() as client, TemporaryDirectory() as folder:
    journal = Path(folder, "answers.jsonl")  # своя программа хранит его рядом с данными

    for result in bulk.map(client, requests(), journal):
        if result.error is None:
            print(f"{result.id}: {result.unwrap().choices[0].message.content}")
        else:
            print(f"{result.id}: не получилось, {result.error}")

    # Второй раз ничего не спрашивается: ответы берутся из журнала.
    with bulk.map(client, requests(), journal) as again:
        known = sum(result.from_journal for result in again)
    print(f"Из журнала: {known}")
