"""How a run goes: its arguments, checked, and what the client's settings say where they are silent."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic

from .. import AsyncClient, Client
from .._config import ClientConfig
from ..errors import InvalidRequestError, InvalidRequestTypeError
from ..types._narrow import is_iterable, is_mapping, is_path
from ._items import Endpoint, endpoint_named
from ._progress import Progress, check_progress
from ._results import ResponseT

_RETRIES = 5
_PER_ACCOUNT = {"GIGACHAT_API_PERS": 1}  # requests at a time that the service answers; else 10
_USUAL = 10


@dataclass(frozen=True)
class Options(Generic[ResponseT]):
    """How a run goes, checked.

    Attributes:
        endpoint: Where its requests go.
        concurrency: How many are asked at a time.
        ordered: Whether results come in the order of the requests.
        journal: Path of the journal; None for none.
        retry_errors: Whether items whose error is final are asked again.
        max_retries: How often a request is sent again that says nothing of it.
        progress: Who is told how far it is.
        total: How many requests there are; None where nobody knows.
        place: Says where a request stands, for messages.
        sorts_journal: Whether the lines of the journal are sorted when everything is done.
    """

    endpoint: Endpoint
    concurrency: int
    ordered: bool
    journal: str | os.PathLike[str] | None
    retry_errors: bool
    max_retries: int
    progress: Progress
    total: int | None
    place: Callable[[int], str]
    sorts_journal: bool = False


def options_of(
    requests: object,
    client: Client | AsyncClient,
    *,
    endpoint: Any,
    concurrency: Any,
    ordered: Any,
    journal: Any,
    retry_errors: Any,
    max_retries: Any,
    progress: Any,
    place: Callable[[int], str] | None,
) -> Options[Any]:
    """Check the arguments of a run.

    Args:
        requests: What is asked.
        client: The client that is to ask it.
        endpoint: As of `bulk.map`, and so are the others.
        concurrency: As above.
        ordered: As above.
        journal: As above.
        retry_errors: As above.
        max_retries: As above.
        progress: As above.
        place: Says where a request stands, for messages; None for its number.

    Raises:
        InvalidRequestError: One of them makes no sense.
    """
    for name, flag in (("ordered", ordered), ("retry_errors", retry_errors)):
        if not isinstance(flag, bool):
            raise InvalidRequestTypeError(f"{name}: expected True or False, got {type(flag).__name__}", param=name)
    if not (journal is None or isinstance(journal, str) or is_path(journal)):
        raise InvalidRequestTypeError(f"journal: expected a path, got {type(journal).__name__}", param="journal")
    if journal is not None and os.fspath(journal) == "":
        raise InvalidRequestError("journal: the path is empty; give None for no journal", param="journal")
    if journal is not None and "\0" in os.fspath(journal):
        raise InvalidRequestError("journal: the path holds a zero character", param="journal")
    check_progress(progress)
    config = config_of(client)
    length: Any = getattr(requests, "__len__", None)
    return Options(
        replace(endpoint_named(endpoint), model=config.model),
        usual_concurrency(config, client.limiter) if concurrency is None else _count("concurrency", concurrency, 1),
        ordered,
        journal,
        retry_errors,
        _retries_of(client) if max_retries is None else _count("max_retries", max_retries, 0),
        progress,
        None if length is None else length(),
        (lambda index: f"requests[{index}]") if place is None else place,
    )


# The inside of the client is this package's.
def config_of(client: Client | AsyncClient) -> ClientConfig:
    """Return the settings of a client."""
    return client._session.config  # pyright: ignore[reportPrivateUsage]  # as above


def _retries_of(client: Client | AsyncClient) -> int:
    """Return how often a request is sent again: as the client was told, else more often than a single call."""
    given, variables = client._arguments, client._environment  # pyright: ignore[reportPrivateUsage]  # as above
    is_told = given.get("max_retries") is not None or variables.get("max_retries") is not None
    return config_of(client).retry.max_retries if is_told else _RETRIES


def _count(name: str, given: Any, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise InvalidRequestTypeError(f"{name}: expected a whole number, got {type(given).__name__}", param=name)
    if given < least:
        raise InvalidRequestError(f"{name}: give {least} or more, not {given}", param=name)
    return given


def check_requests(requests: object, *, takes_async: bool) -> None:
    """Refuse what are no requests."""
    is_async = hasattr(requests, "__aiter__")
    if is_async and not takes_async:
        text = "requests: an async iterable goes to bulk.amap; bulk.map takes any other one"
        raise InvalidRequestTypeError(text, param="requests")
    if isinstance(requests, str | bytes) or is_mapping(requests) or not (is_async or is_iterable(requests)):
        text = f"requests: expected an iterable of requests, got {type(requests).__name__}"
        raise InvalidRequestTypeError(text, param="requests")


def usual_concurrency(config: ClientConfig, limiter: object) -> int:
    """Return how many requests are asked at a time where the user does not say: what limiter or scope allow."""
    limits: Any = getattr(limiter, "limits", None)
    if is_mapping(limits) and limits:
        return sum(limits.values())
    return _PER_ACCOUNT.get(config.auth.scope, _USUAL)
