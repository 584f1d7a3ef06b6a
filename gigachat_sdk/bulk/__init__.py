"""Bulk work: many requests in, their results in order or as they finish, errors beside them, a journal to resume from.

from gigachat_sdk import Client, bulk

requests = [{"id": "kazan", "request": {"messages": [{"role": "user", "content": "Чем известна Казань?"}]}}]
with Client() as client, bulk.map(client, requests, "answers.jsonl") as results:
    for result in results:
        print(result.id, result.unwrap().choices[0].message.content)
"""

from ._amap import amap
from ._items import BulkRequest
from ._map import map  # noqa: A004  # the name of the contract
from ._progress import BulkProgress
from ._results import BulkResult, JournalError
from ._tasks import AsyncBulkRun
from ._threads import BulkRun

__all__ = ["AsyncBulkRun", "BulkProgress", "BulkRequest", "BulkResult", "BulkRun", "JournalError", "amap", "map"]
