"""The client: settings in, resources out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
from typing_extensions import Self, Unpack

from .._config import resolve
from .._settings import Arguments, Environment, check_names
from ..errors import ConfigurationError
from ..limits import ConcurrencyLimiter, LocalLimiter
from ..stores import TokenStore
from ..types.client_options import BaseClientOptions
from ..types.http import scrub_url
from ..types.middleware import AsyncMiddleware
from .auth import AsyncTokenManager, manager_for
from .http import AsyncHTTP
from .resources.chat import AsyncChat
from .session import AsyncSession
from .transport import AsyncTransport
from .unknown import AsyncUnknownCalls

if TYPE_CHECKING:
    from .resources.assistants import AsyncAssistants
    from .resources.balance import AsyncBalances
    from .resources.batches import AsyncBatches
    from .resources.checks import AsyncAI, AsyncFilter
    from .resources.embeddings import AsyncEmbeddings
    from .resources.files import AsyncFiles
    from .resources.functions import AsyncFunctions
    from .resources.models import AsyncModels
    from .resources.threads import AsyncThreads
    from .resources.tokens import AsyncTokens
    from .resources.v2 import AsyncV2


class AsyncClientOptions(BaseClientOptions, total=False):
    """Every keyword of `AsyncClient(...)`; the sync and async clients differ in the parts they take."""

    token_manager: AsyncTokenManager | None
    """Where tokens come from, instead of the ways above."""
    limiter: ConcurrencyLimiter | None
    """What limits the requests in flight instead of `max_concurrency`: a `LocalLimiter` shared by several clients, a
    `RedisLimiter` by several machines."""
    token_store: TokenStore | None
    """Where tokens are kept; by default in memory, for all clients of the process."""
    http_client: httpx.AsyncClient | None
    """A configured HTTP client, used for everything and closed by whoever made it."""
    middleware: Sequence[AsyncMiddleware] | None
    """Functions around each attempt, the first one outermost; see `AsyncMiddleware`."""


_NAMES = frozenset(name for kind in AsyncClientOptions.__mro__ for name in getattr(kind, "__annotations__", {}))

_OF_THIS_PROCESS = frozenset(
    {"token_manager", "http_client", "ssl_context", "token_store", "limiter", "middleware", "on_retry"}
)


class AsyncClient(AsyncUnknownCalls):
    """A client of GigaChat. Safe to share.

    Settings come from the arguments, else from `GIGACHAT_<NAME>` variables of the environment, else from the defaults.
    Nothing is opened until the first call.

    Args:
        options: `credentials`, `scope`, `model`, `timeout` and the rest; `AsyncClientOptions` explains each.

    Raises:
        TypeError: An unknown keyword, or a value of the wrong kind.
        ConfigurationError: A value, or a pair of them, makes no sense.
        MissingCredentialsError: Nothing says who you are.

    Example:
        >>> async with AsyncClient(credentials="MDE5YTA...", model="GigaChat-2-Max") as client:
        ...     completion = await client.chat.completions.create(messages=[{"role": "user", "content": "Привет!"}])
        ...     print(completion.choices[0].message.content)
    """

    def __init__(self, **options: Unpack[AsyncClientOptions]) -> None:
        check_names(options.keys(), _NAMES, type(self).__name__ + "()")
        self._build(Arguments(options), Environment.current(), None)

    @classmethod
    def _without_environment(cls, options: Mapping[str, Any]) -> Self:
        """Make a client that no variable of the environment shapes; for the emulator (internal)."""
        check_names(options.keys(), _NAMES, cls.__name__ + "()")
        client = cls.__new__(cls)
        client._build(Arguments(options), Environment({}), None)
        return client

    def _build(self, arguments: Arguments, environment: Environment, parent: AsyncSession | None) -> None:
        self._arguments = arguments
        self._environment = environment
        config = resolve(arguments, environment, is_async=True)
        shared = parent if parent is not None and config.connects_like(parent.config) else None
        http = AsyncHTTP(config) if shared is None else shared.transport.http
        self._owned = http if shared is None else None
        limiter: ConcurrencyLimiter | None = config.limiter
        if parent is not None and config.limits_like(parent.config):
            limiter = parent.transport.limiter
        elif config.max_concurrency is not None:
            limiter = LocalLimiter(config.max_concurrency)
        transport = AsyncTransport(config, http, limiter)
        if shared is not None and config.authorizes_like(shared.config):
            tokens = shared.tokens
        else:
            tokens = manager_for(config, transport)
        self._session = AsyncSession(config, transport, tokens)

    @cached_property
    def chat(self) -> AsyncChat:
        """Dialogues: `client.chat.completions.create(...)`."""
        return AsyncChat(self._session)

    @cached_property
    def models(self) -> AsyncModels:
        """The models that the account may use."""
        from .resources.models import AsyncModels

        return AsyncModels(self._session)

    @cached_property
    def embeddings(self) -> AsyncEmbeddings:
        """Vectors of texts."""
        from .resources.embeddings import AsyncEmbeddings

        return AsyncEmbeddings(self._session)

    @cached_property
    def tokens(self) -> AsyncTokens:
        """How many tokens texts have: `client.tokens.count(...)`."""
        from .resources.tokens import AsyncTokens

        return AsyncTokens(self._session)

    @cached_property
    def functions(self) -> AsyncFunctions:
        """Descriptions of functions: made from OpenAPI, and held against the rules of the service."""
        from .resources.functions import AsyncFunctions

        return AsyncFunctions(self._session)

    @cached_property
    def files(self) -> AsyncFiles:
        """Files that the service keeps: uploads, downloads."""
        from .resources.files import AsyncFiles

        return AsyncFiles(self._session)

    @cached_property
    def batches(self) -> AsyncBatches:
        """Requests that need no answer at once."""
        from .resources.batches import AsyncBatches

        return AsyncBatches(self._session)

    @cached_property
    def balance(self) -> AsyncBalances:
        """What is left of the account's packages."""
        from .resources.balance import AsyncBalances

        return AsyncBalances(self._session)

    @cached_property
    def ai(self) -> AsyncAI:
        """Whether a text was written by a model: `client.ai.check(...)`."""
        from .resources.checks import AsyncAI

        return AsyncAI(self._session)

    @cached_property
    def filter(self) -> AsyncFilter:
        """Whether the service's filter would stop a dialogue: `client.filter.check(...)`."""
        from .resources.checks import AsyncFilter

        return AsyncFilter(self._session)

    @cached_property
    def assistants(self) -> AsyncAssistants:
        """Models with instructions, files and functions of their own, kept by the service."""
        from .resources.assistants import AsyncAssistants

        return AsyncAssistants(self._session)

    @cached_property
    def threads(self) -> AsyncThreads:
        """Dialogues kept by the service."""
        from .resources.threads import AsyncThreads

        return AsyncThreads(self._session)

    @cached_property
    def v2(self) -> AsyncV2:
        """The v2 contract: `client.v2.chat.completions.create(...)`."""
        from .resources.v2 import AsyncV2

        return AsyncV2(self._session)

    @property
    def base_url(self) -> str:
        """Address of the API."""
        return self._session.config.base_url

    @property
    def base_url_v2(self) -> str:
        """Address of the v2 contract."""
        return self._session.config.base_url_v2

    @property
    def auth_url(self) -> str:
        """Address of the token endpoint."""
        return self._session.config.auth_url

    @property
    def model(self) -> str:
        """The model of calls that name none."""
        return self._session.config.model

    @property
    def timeout(self) -> httpx.Timeout:
        """Seconds for each phase of a request."""
        return self._session.config.timeout

    @property
    def max_retries(self) -> int:
        """How often a failed request is sent again."""
        return self._session.config.retry.max_retries

    @property
    def is_closed(self) -> bool:
        """Whether the client is closed; for a copy, also where its parent is closed."""
        transport = self._session.transport
        return transport.is_closed or transport.http.is_closed

    @property
    def limiter(self) -> ConcurrencyLimiter | None:
        """What limits the requests in flight; None where nothing does."""
        return self._session.transport.limiter

    def with_options(self, **overrides: Unpack[AsyncClientOptions]) -> Self:
        """Return a copy with other settings.

        The copy shares connections, tokens and the limiter unless an override shapes them (address, TLS, proxy,
        credentials, ...).
        Closing a copy leaves its parent open.

        Args:
            overrides: Any keyword of the client; one that says who you are replaces all that do.

        Raises:
            ConfigurationError: A value, or a pair of them, makes no sense.

        Example:
            >>> patient = client.with_options(timeout=600, max_retries=5)
        """
        check_names(overrides.keys(), _NAMES, "with_options()")
        given = Arguments(overrides)
        del overrides  # secrets among them must not stand in a traceback with locals
        copy = type(self).__new__(type(self))
        copy._build(self._arguments.merged(given), self._environment, self._session)
        return copy

    async def aclose(self) -> None:
        """Close the connections; calls in flight end with an error. A copy closes only what is its own."""
        self._session.transport.is_closed = True
        if self._owned is not None:
            await self._owned.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        session: AsyncSession | None = getattr(self, "_session", None)
        if session is None:
            return f"<{type(self).__name__}, not built>"
        config = session.config
        return f"{type(self).__name__}(base_url={scrub_url(config.base_url)!r}, model={config.model!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the configuration and no secret: the copy takes credentials from its environment."""
        arguments = self._arguments
        parts = sorted(arguments.names() & _OF_THIS_PROCESS)
        if parts:
            raise ConfigurationError(
                f"this client cannot be pickled: {', '.join(parts)} belongs to this process; make a client in the "
                "other one"
            )
        secrets = arguments.secrets()
        if secrets and arguments.get("allow_pickle_secrets") is not True:
            raise ConfigurationError(
                f"this client was built with explicit secrets ({', '.join(secrets)}) and is not pickled: take them "
                "from the environment, or build it with allow_pickle_secrets=True"
            )
        return {"options": arguments.plain()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._build(Arguments(state["options"]), Environment.current(), None)
