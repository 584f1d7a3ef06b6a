"""`bulk.map`: many requests by threads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, Literal, overload

from .. import Client
from ..errors import InvalidRequestTypeError
from ..types import (
    AICheckResult,
    ChatCompletion,
    EmbeddingList,
    FilterCheckResult,
    TokensCountList,
    v2,
)
from ._items import BulkRequest
from ._options import check_requests, options_of
from ._progress import Progress
from ._threads import BulkRun


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["chat.completions.create"] = "chat.completions.create",
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[ChatCompletion]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["v2.chat.completions.create"],
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[v2.ChatCompletion]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["embeddings.create"],
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[EmbeddingList]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["tokens.count"],
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[TokensCountList]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["ai.check"],
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[AICheckResult]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: Literal["filter.check"],
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[FilterCheckResult]: ...


@overload
def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: str,
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[Any]: ...


def map(  # noqa: A001  # the name of the contract
    client: Client,
    requests: Iterable[BulkRequest],
    journal: str | os.PathLike[str] | None = None,
    ordered: bool = True,
    concurrency: int | None = None,
    progress: Progress = None,
    *,
    endpoint: str = "chat.completions.create",
    max_retries: int | None = None,
    retry_errors: bool = False,
) -> BulkRun[Any]:
    """Ask many requests by threads, and give their results as they come.

    Args:
        client: A `Client`; its settings, limiter and retries are those of every request.
        requests: Any iterable of requests: keywords of the endpoint's method as a dict or a model, or
            `{"id": ..., "request": {...}}`. At most four times `concurrency` of them are taken before their results
            are, so a generator may go on for ever. They are taken in
            the thread that takes the results.
        journal: Path of a JSONL file that gets a line for each finished request. A run that finds one goes on where the
            last one ended: it asks nothing that has an answer or a final error there, and yields that from the file. A
            request is known by its `id`, else by its place. Where the journal has another question under that id or
            at that place (other messages, another model, the client's included) the run ends with a `JournalError`:
            give it another id, or the run another journal. Errors that pass (no connection, time, 429, 5xx), and those
            of an option (`deadline`, `timeout`, ...), are asked again. A killed process loses what was in flight; a
            power cut may also lose the last lines, since they are brought to the disk at the end.
        ordered: Whether results come in the order of the requests (default), or as they finish.
        concurrency: How many are asked at a time. None for what the client's limiter allows in sum; without a limiter
            1 for the scope `GIGACHAT_API_PERS` and 10 for others.
        progress: A function that is told a `BulkProgress` after each result; True for a bar on standard error, False
            for none, None (default) for one where that is a terminal. With `rich` (the extra `cli`) it is a nicer one.
        endpoint: The method below the client: `"chat.completions.create"`, `"v2.chat.completions.create"`,
            `"embeddings.create"`, `"tokens.count"`, `"ai.check"` or `"filter.check"`.
        max_retries: How often each request is sent again; None for the client's setting (`max_retries` or
            `GIGACHAT_MAX_RETRIES`), and 5 where it has none.
        retry_errors: Whether requests with a final error in the journal are asked again as well.

    Returns:
        A `BulkRun`: an iterator of `BulkResult`, and a context manager.

    Raises:
        InvalidRequestError: An argument makes no sense.

    The results hold the errors of their requests: a `GigaChatError`, or a `TypeError` for an unknown keyword; the run
    goes on. It ends where the account is the trouble (401, 402, no credentials, a limiter or store that cannot be used)
    or a disk is full: requests in flight are finished and written, what is ready is given, and then the error is
    raised; so it does, with an `OSError`, where somebody else removes or changes the journal meanwhile.
    A 403 ends it as long as nothing was answered, in this run or in its journal; after that it stands beside
    the others, as that of one request whose model is not in the plan. While no token can be bought for a reason that
    passes, the run waits and asks those requests again, for two minutes; then it ends with that error. Where `requests`
    give something that is none, an id for the second time, an error of their own, or another request than the journal
    has, all before it are finished first. After mending, run it again with the same journal.

    Example:
        >>> requests = ({"messages": [{"role": "user", "content": line}]} for line in open("questions.txt"))
        >>> with bulk.map(client, requests, "answers.jsonl", ordered=False) as results:
        ...     failed = [result.index for result in results if result.error]
    """
    if not isinstance(client, Client):
        raise InvalidRequestTypeError(
            f"client: bulk.map takes a Client, got {type(client).__name__}; see bulk.amap", param="client"
        )
    check_requests(requests, takes_async=False)
    options = options_of(
        requests,
        client,
        endpoint=endpoint,
        concurrency=concurrency,
        ordered=ordered,
        journal=journal,
        retry_errors=retry_errors,
        max_retries=max_retries,
        progress=progress,
        place=None,
    )
    return BulkRun(client, requests, options)
