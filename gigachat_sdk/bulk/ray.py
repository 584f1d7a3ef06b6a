"""Bulk work on a Ray cluster: a callable for Ray Data's `map_batches`, whose actors share one account.

import ray
from gigachat_sdk.bulk.ray import ChatMapper

reviews = ray.data.read_parquet("reviews.parquet")
answers = reviews.map_batches(
    ChatMapper,
    fn_constructor_kwargs={"redis_url": "redis://redis:6379/0", "limit": 10, "prompt_column": "text"},
    compute=ray.data.ActorPoolStrategy(size=2),
    num_cpus=0.1,
    batch_size=100,
)
answers.write_parquet("answers")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import SecretStr

from .. import Client, ClientOptions
from .._headers import Hidden
from .._quota import check_limits
from .._redis import OnOutage, check_on_outage
from .._redis_limiter import RedisLimiter
from .._redis_store import RedisTokenStore
from .._settings import Arguments, Environment
from ..errors import ConfigurationError, ConfigurationTypeError, InvalidRequestError
from ..types.http import scrub_url
from ._columns import Batch
from ._items import Item
from ._map import map as bulk_map
from ._rows import RowReader, check_outputs, checked_keywords, line_of, shown_as

_MADE_HERE = ("limiter", "max_concurrency", "token_store")


class ChatMapper:
    """Asks GigaChat about each row of a batch; give the class to Ray Data's `map_batches`.

    Each actor has one client. All of them together keep to the account's quota (`RedisLimiter`) and buy one token
    (`RedisTokenStore`), as does every other program that uses this Redis and namespace. Rows of a batch are asked at
    the same time, and stay in their order. Needs the extra `ray` on every node.

    A row that gets no answer keeps its place: `error_column` says why. What is no matter of a row raises, and so ends
    Ray's job: 401 and 402, 403 where no row of the batch was answered before, no credentials, a Redis that is away.
    Requests that fail for a reason that passes are sent again first. Ray repeats the batch of a node that dies, and
    with it all requests of that batch: keep batches small enough, but several times `concurrency`, as a batch waits
    for its slowest row.

    Batches may be of the formats `"numpy"` (the default: a dict of arrays; lists will do), `"pandas"` and `"pyarrow"`.

    Credentials come from the environment of the actors (`GIGACHAT_CREDENTIALS`, ...), and so may the address of Redis:
    constructor arguments travel through the cluster in plain text.

    Args:
        limit: How many requests the account may have in flight, over all actors; or limits by model, as in
            `{"GigaChat-2-Max": 2, "*": 10}`. See `RedisLimiter`.
        prompt_column: The column with texts; each is sent as a user's message, to other endpoints as their `input`.
        request_column: The column with whole requests: keywords of the endpoint's method, as structs or as JSON text.
            Fields of a struct that are None are left out.
        make_request: A function that makes a request of a row, given as a dict. It may raise `InvalidRequestError` for
            a row that cannot be asked; any other exception ends the job. Exactly one of these three is given.
        defaults: Keywords of every request that does not have them, such as `{"model": "GigaChat-2-Max"}`.
        endpoint: The method below the client: `"chat.completions.create"`, `"v2.chat.completions.create"`,
            `"embeddings.create"`, `"tokens.count"`, `"ai.check"` or `"filter.check"`.
        output_column: The column that gets the answers.
        output: `"text"` for the text of an answer, the default for dialogues; `"json"` for the whole answer as JSON
            text, the default for other endpoints.
        error_column: The column that gets the error of a row, None where there is none.
        redis_url: Address of the Redis that all actors reach; else `GIGACHAT_REDIS_URL` of their environment.
        namespace: What the names of the keys begin with; one for each account.
        lease: Seconds after which the slots of an actor that was killed come back, 1 to 3600.
        on_outage: What happens while Redis cannot be used: `"fail"` ends the job, `"local"` lets each actor go on with
            one request at a time and a token of its own.
        concurrency: How many rows an actor asks at a time, waiting for a slot included; None for what `limit` allows in
            sum, so that one actor alone can use the whole quota.
        client_options: Further keywords of each actor's `Client`.

    Raises:
        ConfigurationError: A setting makes no sense.
        InvalidRequestError: There is no such endpoint.

    Example:
        >>> def make_request(row):
        ...     return {"messages": [{"role": "user", "content": f"Исправь ошибки: {row['text']}"}]}
        >>> settings = {"limit": 10, "make_request": make_request, "defaults": {"temperature": 0.1}}
        >>> texts.map_batches(ChatMapper, fn_constructor_kwargs=settings, batch_size=100)  # of a `ray.data.Dataset`
    """

    _client: Client | None = None

    def __init__(
        self,
        *,
        limit: int | Mapping[str, int],
        prompt_column: str | None = None,
        request_column: str | None = None,
        make_request: Callable[[dict[str, Any]], Any] | None = None,
        defaults: Mapping[str, Any] | None = None,
        endpoint: str = "chat.completions.create",
        output_column: str = "response",
        output: Literal["text", "json"] | None = None,
        error_column: str = "error",
        redis_url: str | None = None,
        namespace: str = "gigachat",
        lease: float = 30,
        on_outage: OnOutage = "fail",
        concurrency: int | None = None,
        client_options: ClientOptions | None = None,
    ) -> None:
        self._redis_url = _checked_address(redis_url)
        self._client_options = checked_keywords("client_options", client_options)
        self._defaults = checked_keywords("defaults", defaults)
        del redis_url, client_options, defaults  # secrets among them must not stand in a traceback with locals
        self._settings: dict[str, Any] = {
            "limit": limit,
            "prompt_column": prompt_column,
            "request_column": request_column,
            "make_request": make_request,
            "endpoint": endpoint,
            "output_column": output_column,
            "output": output,
            "error_column": error_column,
            "namespace": namespace,
            "lease": lease,
            "on_outage": on_outage,
            "concurrency": concurrency,
        }
        self._reader = RowReader(
            endpoint,
            prompt_column=prompt_column,
            request_column=request_column,
            make_request=make_request,
            defaults=self._defaults,
        )
        self._outputs = check_outputs(output_column, error_column)
        self._shown = shown_as(output, self._reader.endpoint)
        limits = check_limits("limit", limit)
        self._concurrency = sum(limits.values()) if concurrency is None else _checked_concurrency(concurrency)
        check_on_outage(on_outage)
        beside = [name for name in _MADE_HERE if self._client_options.get(name) is not None]
        if beside:
            raise ConfigurationError(f"client_options: {', '.join(beside)} is made of limit and redis_url here")
        self._guard = threading.Lock()

    def __call__(self, batch: Any) -> Any:
        """Ask about each row of a batch, and return the batch with the columns of answers and errors.

        Raises:
            InvalidRequestError: The batch lacks a column, or has one of an output's name.
            ConfigurationError: The client cannot be made: no credentials, no address of Redis, ...
            SharedStateError: Redis is away, and the policy says fail.
            APIStatusError: The account is the trouble: 401, 402, 403.
        """
        rows = Batch(batch)
        if not rows.names:  # an empty part of a dataset, whose columns nobody knows
            return batch
        for name in self._outputs:
            if name in rows.names:
                raise InvalidRequestError(
                    f"the batch has a column {name!r} already; name another output_column or error_column", param=name
                )
        found = self._reader.items(rows)
        answers: list[str | None] = [None] * len(found)
        errors = [line_of(None if isinstance(item, Item) else item) for item in found]
        items = [item for item in found if isinstance(item, Item)]
        if items:
            requests = [{"request": item.request} for item in items]  # without ids: two rows may have the same
            with bulk_map(
                self._client_here(),
                requests,
                concurrency=self._concurrency,
                progress=False,
                endpoint=self._reader.endpoint,
            ) as results:
                for item, result in zip(items, results, strict=True):
                    if result.response is not None:
                        answers[item.index] = self._shown(result.response)
                    errors[item.index] = line_of(result.error)
        return rows.with_texts(dict(zip(self._outputs, (answers, errors), strict=True)))

    def _client_here(self) -> Client:
        """Return the client of this process; it is made for the first request, so a driver needs no credentials."""
        with self._guard:
            if self._client is None:
                given = self._settings
                shared = {"namespace": given["namespace"], "on_outage": given["on_outage"]}
                options = Hidden(
                    self._client_options,
                    limiter=RedisLimiter(self._address(), given["limit"], given["lease"], **shared),
                    token_store=RedisTokenStore(self._address(), **shared),
                )
                self._client = Client(**options)
            return self._client

    def _address(self) -> str:
        address = (
            Environment.current().get("redis_url") if self._redis_url is None else self._redis_url.get_secret_value()
        )
        if address is None:
            raise ConfigurationError(
                "redis_url: give the address of the Redis that all actors reach, or set GIGACHAT_REDIS_URL in their "
                "environment"
            )
        return address

    def close(self) -> None:
        """Close the client; the next batch makes another one. A mapper that is dropped closes it too."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # the actor is ending, and nobody could do anything about it
            return

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings, and no secret unless `client_options` has `allow_pickle_secrets`."""
        url = None if self._redis_url is None else self._redis_url.get_secret_value()
        secrets = Arguments(self._client_options).secrets()
        if url is not None and scrub_url(url) != url:
            secrets.append("redis_url")
        if secrets and self._client_options.get("allow_pickle_secrets") is not True:
            del url
            raise ConfigurationError(
                f"this mapper was built with explicit secrets ({', '.join(secrets)}) and is not pickled: set them in "
                "the environment of the actors, or give client_options allow_pickle_secrets=True"
            )
        return _rebuild, (
            type(self),
            Hidden(
                self._settings,
                redis_url=url,
                client_options=self._client_options or None,
                defaults=self._defaults or None,
            ),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(endpoint={self._reader.endpoint!r}, limit={self._settings['limit']!r})"


def _rebuild(kind: type[ChatMapper], settings: dict[str, Any]) -> ChatMapper:
    return kind(**settings)


def _checked_address(redis_url: Any) -> SecretStr | None:
    if redis_url is not None and not isinstance(redis_url, str):
        kind = type(redis_url).__name__
        raise ConfigurationTypeError(f"redis_url: expected an address, got {kind}; a connection stays in its process")
    return None if redis_url is None else SecretStr(redis_url)


def _checked_concurrency(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise ConfigurationTypeError(f"concurrency: expected a number of rows, got {type(given).__name__}")
    if given < 1:
        raise ConfigurationError(f"concurrency: give a number over 0, not {given}")
    return given
