"""Token managers: where a token comes from, and who renews it when."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from pydantic import SecretStr
from typing_extensions import Unpack

from .._calls import oauth_call, password_call
from .._concurrency import async_call
from .._config import ClientConfig, resolve
from .._constants import (
    DEFAULT_AUTH_URL,
    DEFAULT_SCOPE,
    EARLY_REFRESH_TIMEOUT,
    LEGACY_BASE_URL,
    REFRESH_PAUSE,
)
from .._deadline import Deadline, DeadlineError, current_deadline, half_of_the_rest, running
from .._logging import logger
from .._request import Call
from .._settings import Arguments, Environment, check_address, check_names
from .._token import (
    Freshness,
    check_credentials,
    check_header_value,
    freshness,
    store_key,
    unix_seconds,
    usable_until,
)
from ..errors import APIError, ConfigurationError, ConfigurationTypeError
from ..stores import KnownFailures, SealsTokens, SharesFailures, TokenStore, process_store
from ..types._narrow import is_utf8
from ..types.client_options import CONNECTION_NAMES, ConnectionOptions
from ..types.tokens import AccessToken, TokenAnswer
from .http import AsyncHTTP
from .transport import AsyncTransport

_SLOW = 0.5  # seconds to learn that a lock is not free


@runtime_checkable
class AsyncTokenManager(Protocol):
    """Where a client's tokens come from; implement it for a way of your own.

    Example:
        >>> class FromVault:
        ...     async def get_token(self):
        ...         return AccessToken(await vault.read("gigachat/token"))
        ...
        ...     async def invalidate(self, token):
        ...         await vault.refresh("gigachat/token")
    """

    async def get_token(self) -> AccessToken | None:
        """Return a token that is valid now; None to send none (a client certificate says who you are)."""
        ...

    async def invalidate(self, token: AccessToken) -> None:
        """Forget `token`, which the service has refused; another caller may have renewed it already."""
        ...


class AsyncStaticTokenManager:
    """One token that nobody renews; a 401 is raised.

    Args:
        token: The token, with or without its expiry.

    Example:
        >>> AsyncStaticTokenManager("eyJjdHki...")
        AsyncStaticTokenManager()
    """

    def __init__(self, token: str | AccessToken) -> None:
        self._token = _as_token(token)

    async def get_token(self) -> AccessToken:
        """Return the token."""
        return self._token

    async def invalidate(self, token: AccessToken) -> None:
        """Do nothing: there is no other token."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class AsyncCallableTokenManager:
    """Asks a function of yours for the token, before every request; keep it quick, or let it cache.

    Args:
        function: Takes nothing, returns the token as a string or an `AccessToken`.

    Example:
        >>> AsyncCallableTokenManager(lambda: open("/run/secrets/gigachat-token").read().strip())
        AsyncCallableTokenManager()
    """

    def __init__(self, function: Callable[[], Awaitable[str | AccessToken] | str | AccessToken]) -> None:
        if not callable(function):
            raise ConfigurationTypeError(f"function: expected a function, got {type(function).__name__}")
        self._function = function

    async def get_token(self) -> AccessToken:
        """Call the function."""
        return _as_token(await async_call(self._function))

    async def invalidate(self, token: AccessToken) -> None:
        """Do nothing: the function is asked again anyway, and the request is repeated if it has another token."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _AsyncRenewingTokenManager:
    """Gets a token with a call of its own, keeps it in a store, and renews it once however many wait for it."""

    def __init__(
        self,
        transport: AsyncTransport,
        call: Call,
        name: str,
        secret: SecretStr,
        *,
        token_store: TokenStore | None,
        access_token: AccessToken | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._call = call
        self._name = name
        store = token_store or process_store
        self._store = store.sealed_with(secret) if isinstance(store, SealsTokens) else store
        self._given = access_token  # the user's own token comes first, and is renewed once it is refused
        self._clock = clock
        self._failures = KnownFailures(self._store, name)

    async def get_token(self) -> AccessToken:
        """Return a token that is valid now, from the store or from the service.

        A cold or expired token costs one call, however many wait for it. From a minute before the expiry one caller
        renews it, and the rest go on with the one that is still valid. After an answer that is an error nobody asks
        again for a while (1 s, then 2, up to 30; longer where the service says so): whoever needs a token gets that
        error. Where there was no answer, the callers of this manager alone wait so.

        Raises:
            AuthenticationError: The service does not accept the credentials.
            APIError: The token endpoint cannot be reached, or fails, or has just failed.
            SharedStateError: The store cannot be used.
        """
        given = self._given
        if given is not None and freshness(given, self._clock()) is not Freshness.EXPIRED:
            return given
        token, failures = await self._store.aget(self._name), self._failures
        now = self._clock()
        state = freshness(token, now)
        if token is not None and state is Freshness.FRESH:
            failures.succeeded()  # another caller, perhaps of another process, has had success
            return token
        if token is not None and state is Freshness.AGEING and failures.is_too_early(now):
            return token
        if state is Freshness.EXPIRED:
            failures.refuse_during_pause(now)
        counts = failures.counts
        if token is not None and state is Freshness.AGEING:
            return await self._renew_early(token, counts)
        lock = self._store.alock(self._name)
        await lock.acquire()
        try:
            return await self._renew(counts)
        finally:
            lock.release()

    async def _renew_early(self, token: AccessToken, counts: tuple[int, int]) -> AccessToken:
        """Renew a token that is valid yet, if nobody else does, in a part of the time that this call has."""
        half, began = half_of_the_rest(), time.monotonic()
        if half is not None and half.remaining <= 0:
            return token
        lock = self._store.alock(self._name)
        try:
            with running(half), running(Deadline(EARLY_REFRESH_TIMEOUT)):
                if not await lock.acquire(wait=False):
                    if time.monotonic() - began > _SLOW:  # where the lock is does not answer
                        self._hold_early()
                    return token
                try:
                    return await self._renew(counts)
                finally:
                    lock.release()
        except DeadlineError:
            self._hold_early()
        return token if freshness(token, self._clock()) is not Freshness.EXPIRED else await self.get_token()

    def _hold_early(self) -> None:
        self._failures.hold_early(self._clock() + REFRESH_PAUSE)

    async def _renew(self, counts: tuple[int, int]) -> AccessToken:
        """Renew the token under its lock, unless another caller has, or has just failed to."""
        failures = self._failures
        token = await self._store.aget(self._name)
        now = self._clock()
        usable = token if freshness(token, now) is not Freshness.EXPIRED else None
        if usable is not None and freshness(usable, now) is Freshness.FRESH:
            failures.succeeded()
            return usable
        failure = failures.since(counts)
        if failure is not None:
            # Whoever waited with us gets the same answer, and the service is asked once.
            if usable is not None:
                return usable
            raise failure.error.copy()
        if isinstance(self._store, SharesFailures):
            failures.heard(await self._store.aget_failure(self._name, now), now)
        if usable is None:
            failures.refuse_during_pause(now)
        elif failures.is_too_early(now):
            return usable
        try:
            answer = await self._transport.request(self._call, TokenAnswer, None)
        except APIError as error:
            is_noted = await self._note(error)
            if usable is None or freshness(usable, self._clock()) is Freshness.EXPIRED:
                raise
            if not is_noted:
                self._hold_early()
            logger.warning("the token could not be renewed early, the old one is used on: %s", error)
            return usable
        except BaseException:  # cancelled, for one: the next caller need not wait for the same endpoint
            if usable is not None:
                self._hold_early()
            raise
        now = self._clock()
        renewed = AccessToken(answer.access_token, usable_until(unix_seconds(answer.expires_at), now))
        if freshness(renewed, now) is not Freshness.FRESH:
            self._hold_early()  # a short-lived token must not be renewed by every call
        failures.succeeded()
        await self._store.aset(self._name, renewed)
        return renewed

    async def _note(self, error: APIError) -> bool:
        """Remember that the token could not be bought, for all whom it concerns; False where that is this caller."""
        deadline = current_deadline()
        if (deadline is not None and deadline.remaining <= 0) or self._transport.http.is_closed:
            return False
        now = self._clock()
        failure = self._failures.failed(error, now)
        if failure is not None and isinstance(self._store, SharesFailures):
            await self._store.aset_failure(self._name, failure, now)
        return True

    async def invalidate(self, token: AccessToken) -> None:
        """Forget `token`, unless another caller has renewed it already."""
        given = self._given
        if given is not None and given.value == token.value:
            self._given = None
        await self._store.adelete(self._name, token)

    async def aclose(self) -> None:
        """Close the connections of a manager that was made by hand; one that a client made shares the client's."""
        await self._transport.http.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class AsyncOAuthTokenManager(_AsyncRenewingTokenManager):
    """Buys tokens with the authorization key, the usual way.

    `AsyncClient(credentials=...)` makes one by itself; make one by hand to share it, or to give it connections of its
    own. Source: `POST /api/v2/oauth`.

    Args:
        credentials: The authorization key: base64 of `client_id:client_secret`, as it was issued.
        scope: `"GIGACHAT_API_PERS"` (individuals), `"GIGACHAT_API_B2B"` or `"GIGACHAT_API_CORP"` (companies).
        auth_url: The token endpoint.
        token_store: Where the token is kept; by default in memory, for all clients of the process. A `FileTokenStore`
            serves all processes of a machine, a `RedisTokenStore` those of many machines.
        access_token: A token to begin with.
        clock: Gives the time in Unix seconds.
        options: How to connect: the TLS, proxy and retry settings of `AsyncClient`.

    Raises:
        ConfigurationError: The key cannot be right, or a setting makes no sense.

    Example:
        >>> manager = AsyncOAuthTokenManager(key, scope="GIGACHAT_API_CORP")
        >>> client = AsyncClient(token_manager=manager)
    """

    def __init__(
        self,
        credentials: str | SecretStr,
        *,
        scope: str = DEFAULT_SCOPE,
        auth_url: str = DEFAULT_AUTH_URL,
        token_store: TokenStore | None = None,
        access_token: AccessToken | None = None,
        clock: Callable[[], float] = time.time,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        key = _secret(credentials)
        check_credentials("credentials", key.get_secret_value())
        url = check_address("auth_url", auth_url, is_endpoint=True)
        super().__init__(
            _transport(Arguments({**options, "auth_url": url})),
            oauth_call(key, scope, url),
            store_key("oauth", url, key.get_secret_value(), scope),
            key,
            token_store=token_store,
            access_token=access_token,
            clock=clock,
        )


class AsyncPasswordTokenManager(_AsyncRenewingTokenManager):
    """Gets tokens with a user name and a password, from hosts that support it.

    Source: `POST /v1/token`.

    Args:
        user: The user name.
        password: The password.
        base_url: The API's address; the public `api.giga.chat` does not serve this way.
        token_store: Where the token is kept; by default in memory, for all clients of the process. A `FileTokenStore`
            serves all processes of a machine, a `RedisTokenStore` those of many machines.
        access_token: A token to begin with.
        clock: Gives the time in Unix seconds.
        options: How to connect: the TLS, proxy and retry settings of `AsyncClient`.

    Example:
        >>> AsyncPasswordTokenManager("me", "secret", base_url="https://gigachat.example.com/v1")
        AsyncPasswordTokenManager()
    """

    def __init__(
        self,
        user: str,
        password: str | SecretStr,
        *,
        base_url: str = LEGACY_BASE_URL,
        token_store: TokenStore | None = None,
        access_token: AccessToken | None = None,
        clock: Callable[[], float] = time.time,
        **options: Unpack[ConnectionOptions],
    ) -> None:
        secret = _secret(password)
        if ":" in user:
            raise ConfigurationError("user: a user name cannot hold a colon (RFC 7617)")
        if not (is_utf8(user) and is_utf8(secret.get_secret_value())):
            raise ConfigurationError("user, password: one of them is no text: it holds a lone surrogate")
        url = check_address("base_url", base_url)
        super().__init__(
            _transport(Arguments({**options, "base_url": url})),
            password_call(user, secret, url),
            store_key("password", url, user, secret.get_secret_value()),
            secret,
            token_store=token_store,
            access_token=access_token,
            clock=clock,
        )


def manager_for(config: ClientConfig, transport: AsyncTransport) -> AsyncTokenManager | None:
    """Make the token manager that a configuration asks for, on the connections of its client (internal)."""
    auth = config.auth
    if auth.token_manager is not None:
        manager: AsyncTokenManager = auth.token_manager
        return manager
    if auth.credentials is not None:
        secret = auth.credentials
        call = oauth_call(secret, auth.scope, config.auth_url)
        kind: type[_AsyncRenewingTokenManager] = AsyncOAuthTokenManager
        name = store_key("oauth", config.auth_url, secret.get_secret_value(), auth.scope)
    elif auth.user is not None and auth.password is not None:
        secret = auth.password
        call = password_call(auth.user, secret, config.base_url)
        kind = AsyncPasswordTokenManager
        name = store_key("password", config.base_url, auth.user, secret.get_secret_value())
    else:
        return None if auth.access_token is None else AsyncStaticTokenManager(auth.access_token)
    made = kind.__new__(kind)
    _AsyncRenewingTokenManager.__init__(
        made, transport, call, name, secret, token_store=config.token_store, access_token=auth.access_token
    )
    return made


def _transport(arguments: Arguments) -> AsyncTransport:
    """Make the connections of a manager that belongs to no client."""
    check_names(arguments.names(), {"base_url", "auth_url", *CONNECTION_NAMES}, "the token manager")
    config = resolve(arguments.merged(Arguments({"credentials": _PLACEHOLDER})), Environment.current(), is_async=True)
    return AsyncTransport(config, AsyncHTTP(config))


# The transport of a manager sends calls that bring their own authorization; its configuration needs none.
_PLACEHOLDER = "dW51c2VkOnVudXNlZA=="


def _secret(value: str | SecretStr) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(value)


def _as_token(value: object) -> AccessToken:
    kind = type(value).__name__
    token = AccessToken(value) if isinstance(value, str) else value if isinstance(value, AccessToken) else None
    del value  # a traceback with locals must not show it
    if token is None:
        raise ConfigurationTypeError(f"token: expected a string or an AccessToken, got {kind}")
    check_header_value("token", token.value)
    return token
