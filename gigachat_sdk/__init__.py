"""Python SDK for GigaChat, Sber's language model.

from gigachat_sdk import Client

with Client() as client:  # GIGACHAT_CREDENTIALS from the environment
    completion = client.chat.completions.create(messages=[{"role": "user", "content": "Привет!"}])
    print(completion.choices[0].message.content)
"""

from typing import TYPE_CHECKING

from ._async.auth import (
    AsyncCallableTokenManager,
    AsyncOAuthTokenManager,
    AsyncPasswordTokenManager,
    AsyncStaticTokenManager,
    AsyncTokenManager,
)
from ._async.client import AsyncClient, AsyncClientOptions
from ._async.completion_stream import AsyncCompletionStream
from ._async.streaming import AsyncStream
from ._constants import DEFAULT_AUTH_URL, DEFAULT_BASE_URL, LEGACY_BASE_URL
from ._context import request_context
from ._sync.auth import (
    CallableTokenManager,
    OAuthTokenManager,
    PasswordTokenManager,
    StaticTokenManager,
    TokenManager,
)
from ._sync.client import Client, ClientOptions
from ._sync.completion_stream import CompletionStream
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
    BatchTimeoutError,
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
    SharedStateError,
    StreamError,
    StreamInterruptedError,
    UnprocessableEntityError,
)
from .limits import ConcurrencyLimiter, LocalLimiter, Slot
from .stores import MemoryTokenStore, TokenStore
from .types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessage,
    ChatCompletionRequest,
    FunctionParam,
    GeneratedFile,
    MessageParam,
    Model,
    ModelList,
)
from .types._late import late
from .types.tokens import AccessToken

if TYPE_CHECKING:
    from ._async.binary import AsyncBinaryResponse
    from ._file_store import FileTokenStore
    from ._redis_limiter import RedisLimiter
    from ._redis_store import RedisTokenStore
    from ._sync.binary import BinaryResponse
    from .types import (
        AICheckResult,
        Assistant,
        AssistantList,
        Balance,
        Batch,
        BatchList,
        BatchResult,
        BatchResults,
        ConvertedFunctions,
        Embedding,
        EmbeddingList,
        File,
        FileDeleted,
        FileList,
        FilterCheckResult,
        FunctionDefinition,
        FunctionValidation,
        Thread,
        ThreadCompletion,
        ThreadCompletionChunk,
        ThreadList,
        ThreadMessageList,
        ThreadRun,
        TokensCount,
        TokensCountList,
    )
else:
    __getattr__ = late(
        __name__,
        {
            "._async.binary": ("AsyncBinaryResponse",),
            "._file_store": ("FileTokenStore",),
            "._redis_limiter": ("RedisLimiter",),
            "._redis_store": ("RedisTokenStore",),
            "._sync.binary": ("BinaryResponse",),
            ".types": (
                "AICheckResult",
                "Assistant",
                "AssistantList",
                "Balance",
                "Batch",
                "BatchList",
                "BatchResult",
                "BatchResults",
                "ConvertedFunctions",
                "Embedding",
                "EmbeddingList",
                "File",
                "FileDeleted",
                "FileList",
                "FilterCheckResult",
                "FunctionDefinition",
                "FunctionValidation",
                "Thread",
                "ThreadCompletion",
                "ThreadCompletionChunk",
                "ThreadList",
                "ThreadMessageList",
                "ThreadRun",
                "TokensCount",
                "TokensCountList",
            ),
        },
    )

__all__ = [
    "DEFAULT_AUTH_URL",
    "DEFAULT_BASE_URL",
    "LEGACY_BASE_URL",
    "AICheckResult",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AccessToken",
    "Assistant",
    "AssistantList",
    "AsyncBinaryResponse",
    "AsyncCallableTokenManager",
    "AsyncClient",
    "AsyncClientOptions",
    "AsyncCompletionStream",
    "AsyncOAuthTokenManager",
    "AsyncPasswordTokenManager",
    "AsyncStaticTokenManager",
    "AsyncStream",
    "AsyncTokenManager",
    "AuthenticationError",
    "BadRequestError",
    "Balance",
    "Batch",
    "BatchList",
    "BatchResult",
    "BatchResults",
    "BatchTimeoutError",
    "BinaryResponse",
    "CallableTokenManager",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatCompletionMessage",
    "ChatCompletionRequest",
    "Client",
    "ClientOptions",
    "CompletionStream",
    "ConcurrencyLimiter",
    "ConfigurationError",
    "ContentFilterError",
    "ConvertedFunctions",
    "Embedding",
    "EmbeddingList",
    "File",
    "FileDeleted",
    "FileList",
    "FileTokenStore",
    "FilterCheckResult",
    "FunctionDefinition",
    "FunctionParam",
    "FunctionValidation",
    "GeneratedFile",
    "GigaChatError",
    "InternalServerError",
    "InvalidRequestError",
    "LengthFinishReasonError",
    "LimiterTimeoutError",
    "LocalLimiter",
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
    "RedisLimiter",
    "RedisTokenStore",
    "RequestTooLargeError",
    "SharedStateError",
    "Slot",
    "StaticTokenManager",
    "Stream",
    "StreamError",
    "StreamInterruptedError",
    "Thread",
    "ThreadCompletion",
    "ThreadCompletionChunk",
    "ThreadList",
    "ThreadMessageList",
    "ThreadRun",
    "TokenManager",
    "TokenStore",
    "TokensCount",
    "TokensCountList",
    "UnprocessableEntityError",
    "__version__",
    "request_context",
]
