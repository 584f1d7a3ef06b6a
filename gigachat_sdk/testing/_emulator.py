"""The public face of the emulator: `Emulator`."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from typing_extensions import Self, Unpack

from gigachat_sdk import AsyncClient, AsyncClientOptions, Client, ClientOptions
from gigachat_sdk.testing._app import App
from gigachat_sdk.testing._fault_choice import Faults
from gigachat_sdk.testing._fault_profile import FaultProfile
from gigachat_sdk.testing._faults import Fault, FaultRecord
from gigachat_sdk.testing._port import HOST
from gigachat_sdk.testing._replies import Reply, check_json
from gigachat_sdk.testing._server import Certificates, Server
from gigachat_sdk.testing._state import (
    OAUTH_PATH,
    AnswerSource,
    Handler,
    Plan,
    RecordedRequest,
    Settings,
    State,
    check_answer,
    check_function,
    check_path,
)

_CREDENTIALS = "NmIxZDBkNmUtZmY0NC00YjQ4LTkyZWEtOGZiOTc5NjkwM2VhOjRjNDk5NGJiLTFkNWEtNGIxZC1hYzE1LWZkNTAzNjk1MDI1Mg=="


class Emulator:
    """The GigaChat API on a loopback port of this process, for tests without a key and without a network.

    It checks requests as the service does, answers in the service's own shapes, and always gives the same answer to
    the same question. Replies can be scripted; everything received is kept. It runs in a daemon thread and is a
    context manager; its methods can be called from any thread. Stopped, it can be started again: it keeps its port,
    tokens, files and requests.

    What is sent to it stays: an uploaded file is listed, attached, downloaded and deleted, and one made with an
    `X-Client-ID` is given to that client only. Embeddings are unit vectors, near each other where texts have parts of
    words in common. A batch needs no waiting: it is `created`, and each `GET` that shows it takes it one step on, so
    the first says `in_progress` and the second `completed`. `ai/check` takes a sentence to be by a machine if
    "нейросеть", "языковая модель" or "сгенерирован" is in it (an ending may differ); `filter/check` minds a few words
    such as "дурак" and "damn". Bodies over 1 MiB are kept in a temporary file, which goes with the emulator.

    Args:
        https: Serve over TLS, with a certificate authority made for this emulator; see `ca_bundle_file`.
        port: The port to listen on; 0 takes a free one.
        http2: Offer HTTP/2 over TLS.
        limits: Keep the documented size limits: 413 answers a document over 40 MB, an image over 15 MB, an audio
            file over 35 MB, and any body over 80 MB (an MB is 1024 * 1024 bytes). False takes whatever comes.
        plan: What the account may do: `"prepaid"` (batches and `ai/check` are refused with 403), `"pay_as_you_go"`
            (`balance` is). None lets it do everything.
        credentials: The authorization key that is taken; by default a made-up one.
        scope: The scope that the key belongs to.
        user: User name for `POST /v1/token`.
        password: Password for `POST /v1/token`.
        token_lifetime: Seconds that a token lives, by `clock`.
        oauth_delay: Seconds that the token endpoint takes to issue a token.
        concurrency: How many chat requests and runs of threads may be in flight; one more is refused with 429, and
            with 0 all of them. None for any number.
        clock: Gives the Unix time in seconds, for tokens, `created` and `received_at`.
        client_ca: File with the CA certificates (PEM) of clients. With it a client certificate is required, and a
            call may come without a token.
        faults: What goes wrong on purpose: a `FaultProfile`, some `Fault`s, or the path of a profile in TOML.

    Raises:
        ValueError: `client_ca` without `https`, a `plan` or a port that there is not, a `concurrency` below 0, or
            faults that make no sense.
        TypeError: `port` or `concurrency` is no whole number.
        OSError: The profile can't be read.

    Example:
        >>> import httpx
        >>> with Emulator() as emulator:
        ...     headers = {"Authorization": f"Bearer {emulator.issue_token()}"}
        ...     httpx.get(f"{emulator.base_url}/models/GigaChat", headers=headers).json()["type"]
        'chat'
    """

    def __init__(
        self,
        *,
        https: bool = False,
        port: int = 0,
        http2: bool = True,
        limits: bool = True,
        plan: Plan | None = None,
        credentials: str | None = None,
        scope: str = "GIGACHAT_API_PERS",
        user: str = "user",
        password: str = "password",  # noqa: S107 - of a made-up account
        token_lifetime: float = 1800.0,
        oauth_delay: float = 0.0,
        concurrency: int | None = None,
        clock: Callable[[], float] = time.time,
        client_ca: str | Path | None = None,
        faults: FaultProfile | Iterable[Fault] | str | Path | None = None,
    ) -> None:
        if client_ca is not None and not https:
            raise ValueError("client_ca needs https=True: client certificates are a part of TLS")
        if plan not in (None, *get_args(Plan)):
            raise ValueError(f"plan must be one of {', '.join(map(repr, get_args(Plan)))} or None, got {plan!r}")
        _check_number("port", port, 65535)
        if concurrency is not None:
            _check_number("concurrency", concurrency)
        self._https = https
        self._port = port
        self._http2 = http2
        self._client_ca = None if client_ca is None else str(client_ca)
        self._certificates: Certificates | None = None
        self._ca_file: Path | None = None
        self._server: Server | None = None
        self._state = State(
            Settings(
                credentials=_CREDENTIALS if credentials is None else credentials,
                scope=scope,
                user=user,
                password=password,
                token_lifetime=token_lifetime,
                oauth_delay=oauth_delay,
                concurrency=concurrency,
                limits=limits,
                plan=plan,
                mutual_tls=client_ca is not None,
                clock=clock,
            )
        )
        self._faults = self._state.part(Faults)
        self._faults.use(_profile(faults))

    # ---- running ----

    def start(self) -> None:
        """Start serving; returns when the port is open.

        Raises:
            RuntimeError: It runs already.
            OSError: The port is taken, or `client_ca` can't be read.
        """
        if self._server is not None:
            raise RuntimeError("the emulator is running already")
        context = None
        if self._https:
            self._certificates = self._certificates or Certificates()
            context = self._certificates.server_context(http2=self._http2, client_ca=self._client_ca)
            self._ca_file = self._certificates.write_ca()
        try:
            self._server = Server(App(self._state), port=self._port, context=context, faults=self._faults)
        except BaseException:
            self.stop()
            raise
        self._port = self._server.port

    def stop(self) -> None:
        """Close the port and every connection at once; returns when the thread has ended. Does nothing twice."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
        file, self._ca_file = self._ca_file, None
        if file is not None:
            file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Emulator {self._origin if self._port else 'not started'}>"

    # ---- where it is, and who may call ----

    @property
    def _origin(self) -> str:
        if not self._port:
            raise RuntimeError("the emulator has no address before its start")
        return f"{'https' if self._https else 'http'}://{HOST}:{self._port}"

    @property
    def base_url(self) -> str:
        """The address for a client's `base_url`; stays after `stop`.

        Raises:
            RuntimeError: It was never started.
        """
        return f"{self._origin}/v1"

    @property
    def auth_url(self) -> str:
        """The address for a client's `auth_url`; stays after `stop`.

        Raises:
            RuntimeError: It was never started.
        """
        return f"{self._origin}{OAUTH_PATH}"

    @property
    def ca_bundle_file(self) -> str | None:
        """Path to the CA certificate (PEM) that clients must trust; None over plain HTTP and while not running."""
        return None if self._ca_file is None else str(self._ca_file)

    @property
    def credentials(self) -> str:
        """The authorization key that is taken."""
        return self._state.settings.credentials

    @property
    def scope(self) -> str:
        """The scope that the key belongs to."""
        return self._state.settings.scope

    # ---- what it got ----

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests received so far, oldest first; a list of the caller's own."""
        return self._state.requests()

    def requests_to(self, path: str) -> list[RecordedRequest]:
        """Give the requests received for one path, oldest first.

        Args:
            path: A path such as `"/v1/models"`; it stands for `"/api/v1/models"` too.
        """
        return self._state.requests(path)

    @property
    def oauth_requests(self) -> int:
        """How many requests came to the token endpoint, refused ones included."""
        return len(self._state.requests(OAUTH_PATH))

    @property
    def in_flight(self) -> int:
        """How many chat requests are being answered, the last piece of the answer not sent yet."""
        return self._state.in_flight

    @property
    def max_in_flight(self) -> int:
        """The most chat requests that were there at one time, those refused for it included."""
        return self._state.max_in_flight

    # ---- what it says ----

    def reply(self, path: str, *replies: Reply, method: str = "POST", times: int = 1) -> None:
        """Queue replies to the next requests for a path; after them the normal behaviour returns.

        An API call is authorized first, and takes its place among the requests in flight. At the token endpoint the
        reply goes out where a token would be issued.

        Args:
            path: A path such as `"/v1/chat/completions"` or `"/api/v2/oauth"`; it need not be one that is served.
            replies: What to answer, in this order.
            method: HTTP method.
            times: How often the whole sequence is given.

        Raises:
            ValueError: The path is not a whole one, or there are no replies; such a test would check nothing.
            TypeError: Something else than a `Reply` is given, or its `json` is no JSON.

        Example:
            >>> emulator = Emulator()
            >>> emulator.reply("/v1/chat/completions", Reply.error(500, "Internal Server Error"), times=2)
        """
        check_path(path)
        if not replies:
            raise ValueError("no replies are given")
        for reply in replies:
            if not isinstance(reply, Reply):
                raise TypeError(f"expected a Reply, got {type(reply).__name__}; Reply(json=...) makes one")
            check_json(reply)
        self._state.script(method, path, replies * times)

    def on(self, path: str, handler: Handler | None, *, method: str = "POST") -> None:
        """Let a function answer the requests for a path that find no queued reply.

        Args:
            path: As for `reply`.
            handler: Gets the request; returns a reply, or None for the normal behaviour. It runs on the server's
                thread and must not block. None takes the handler away.
            method: HTTP method.

        Raises:
            ValueError: The path is not a whole one.
            TypeError: The handler is no plain function.
        """
        check_path(path)
        if handler is not None:
            check_function("handler", handler)
        self._state.handle(method, path, handler)

    def answer(self, source: AnswerSource | None) -> None:
        """Say what chat of both versions and runs of threads answer from now on.

        The frame stays the usual one: usage, streaming, `max_tokens`, threads. Functions and built-in tools do not run.

        Args:
            source: A text; an assistant message as a dict; or a function that gets the request's JSON and returns one
                of these. None returns to the answer derived from the request. A message is one of v1, with
                `content`, `function_call` and `reasoning_content`, or one of v2, with a list of parts as its
                `content`; each version turns the other's into its own. With `finish_reason` in it, such as
                `"blacklist"`, it ends so. Where the server remembers a dialogue, `messages` of the request's JSON are
                the whole of it, in the shape of the version that is asked.

        Raises:
            ValueError: A message says nothing: it has none of the members above.
            TypeError: It is something else, or a member of it is.

        Example:
            >>> emulator = Emulator()
            >>> emulator.answer("Привет!")
            >>> emulator.answer({"function_call": {"name": "weather", "arguments": {"place": "Тула"}}})
            >>> emulator.answer({"content": [{"text": "Смотрите:"}, {"files": [{"id": "1", "mime": "image/jpeg"}]}]})
            >>> emulator.answer(lambda request: request["messages"][-1]["content"].upper())
        """
        if callable(source):
            check_function("source", source)
        elif source is not None:
            check_answer(source)
        self._state.answer = source

    # ---- what goes wrong ----

    def inject(self, *faults: Fault) -> None:
        """Let something go wrong from now on; these faults come before those that are there already.

        A fault that refuses connections has closed the port when this returns, and connections that are idle then end.

        Args:
            faults: What goes wrong, and when; their numbers count from now on.

        Raises:
            ValueError: There are none.
            TypeError: Something else than a `Fault` is given.

        Example:
            >>> emulator = Emulator()
            >>> emulator.inject(Fault("status", status=503, path="/v1/models", times=2), Fault("latency", seconds=0.01))
            >>> emulator.clear_faults()
        """
        if not faults:
            raise ValueError("no faults are given")
        self._faults.inject(FaultProfile(faults).faults)
        if self._server is not None:
            self._server.follow(cleared=False)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more; `faults_done` stays, and so does what is being done to a request."""
        self._faults.clear()
        if self._server is not None:
            self._server.follow(cleared=True)

    @property
    def faults_done(self) -> list[FaultRecord]:
        """The faults that were done so far, oldest first; a list of the caller's own."""
        return self._faults.records()

    # ---- tokens ----

    def issue_token(self) -> str:
        """Make a valid access token without a request."""
        return self._state.issue_token().value

    def revoke_tokens(self) -> None:
        """End all tokens issued so far: calls with them get a 401."""
        self._state.revoke_tokens()

    # ---- clients ----

    def client(self, **options: Unpack[ClientOptions]) -> Client:
        """Make a `gigachat_sdk.Client` for this emulator. Close it before the emulator stops.

        Args:
            options: Keywords of the client; they win over the emulator's address, key and certificate.
        """
        arguments = self._client_arguments({**options})
        return Client._without_environment(arguments)  # pyright: ignore[reportPrivateUsage]  # both are this package's

    def async_client(self, **options: Unpack[AsyncClientOptions]) -> AsyncClient:
        """Make a `gigachat_sdk.AsyncClient` for this emulator; see `client`.

        Args:
            options: Keywords of the client; they win over the emulator's address, key and certificate.
        """
        arguments = self._client_arguments({**options})
        return AsyncClient._without_environment(arguments)  # pyright: ignore[reportPrivateUsage]  # as above

    def _client_arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {"base_url": self.base_url, "auth_url": self.auth_url}
        if not given.keys() & {"token_manager", "user"}:
            arguments |= {"credentials": self.credentials, "scope": self.scope}
        if self._https and not given.keys() & {"http_client", "ssl_context"}:
            arguments["ca_bundle_file"] = self.ca_bundle_file
        return arguments | given


def _check_number(name: str, value: object, most: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {type(value).__name__}")
    if value < 0 or (most is not None and value > most):
        raise ValueError(f"{name} must be 0 or more{'' if most is None else f', and {most} at most'}")


def _profile(faults: FaultProfile | Iterable[Fault] | str | Path | None) -> FaultProfile:
    if isinstance(faults, str | Path):
        return FaultProfile.from_toml(faults)
    return faults if isinstance(faults, FaultProfile) else FaultProfile(faults or ())
