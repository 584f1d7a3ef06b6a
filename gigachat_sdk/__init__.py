"""Python SDK for GigaChat, Sber's language model.

from gigachat_sdk import Client

with Client() as client:  # GIGACHAT_CREDENTIALS from the environment
    completion = client.chat.completions.create(messages=[{"role": "user", "content": "Привет!"}])
    print(completion.choices[0].message.content)
"""

from ._async.auth import (
    AsyncCallableTokenManager,
    AsyncOAuthTokenManager,
    AsyncPasswordTokenManager,
    AsyncStaticTokenManager,
    AsyncTokenManager,
)
from ._async.client import AsyncClient, AsyncClientOptions
from ._async.streaming import AsyncStream
from ._constants import DEFAULT_AUTH_URL, DEFAULT_BASE_URL, LEGACY_BASE_URL
from ._sync.auth import (
    CallableTokenManager,
    OAuthTokenManager,
    PasswordTokenManager,
    StaticTokenManager,
    TokenManager,
)
from ._sync.client import Client, ClientOptions
from ._sync.streaming import Stream
from ._version import __version__
from .errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ContentFilterError,
    GigaChatError,
    InternalServerError,
    InvalidRequestError,
    LengthFinishReasonError,
    LimiterTimeoutError,
    MissingCredentialsError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    StreamError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from .stores import MemoryTokenStore, TokenStore
from .types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionRequest,
    FunctionParam,
    MessageParam,
    Model,
    ModelList,
)
from .types.tokens import AccessToken

__all__ = [
    "DEFAULT_AUTH_URL",
    "DEFAULT_BASE_URL",
    "LEGACY_BASE_URL",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AccessToken",
    "AsyncCallableTokenManager",
    "AsyncClient",
    "AsyncClientOptions",
    "AsyncOAuthTokenManager",
    "AsyncPasswordTokenManager",
    "AsyncStaticTokenManager",
    "AsyncStream",
    "AsyncTokenManager",
    "AuthenticationError",
    "BadRequestError",
    "CallableTokenManager",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionRequest",
    "Client",
    "ClientOptions",
    "ConfigurationError",
    "ContentFilterError",
    "FunctionParam",
    "GigaChatError",
    "InternalServerError",
    "InvalidRequestError",
    "LengthFinishReasonError",
    "LimiterTimeoutError",
    "MemoryTokenStore",
    "MessageParam",
    "MissingCredentialsError",
    "Model",
    "ModelList",
    "NotFoundError",
    "OAuthTokenManager",
    "PasswordTokenManager",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "StaticTokenManager",
    "Stream",
    "StreamError",
    "StreamInterruptedError",
    "TokenManager",
    "TokenStore",
    "UnprocessableEntityError",
    "__version__",
]
