"""Every fixed address, default and header name, in one place."""

from typing import Final

# Addresses: the public hosts of today, and the former one, which still answers.
DEFAULT_BASE_URL: Final = "https://api.giga.chat/v1"
LEGACY_BASE_URL: Final = "https://gigachat.devices.sberbank.ru/api/v1"
DEFAULT_AUTH_URL: Final = "https://ngw.devices.sberbank.ru:9443/api/v2/oauth"

DEFAULT_SCOPE: Final = "GIGACHAT_API_PERS"
KNOWN_SCOPES: Final = ("GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP")
DEFAULT_MODEL: Final = "GigaChat"

# Time, in seconds.
DEFAULT_TIMEOUT: Final = 120.0
DEFAULT_CONNECT_TIMEOUT: Final = 10.0
LONGEST_TIME: Final = 1_000_000.0  # eleven days; the system counts in milliseconds, and not for ever
AUTH_READ_TIMEOUT: Final = 30.0  # a token call is short; a hanging one must not hold every caller for two minutes
EARLY_REFRESH: Final = 60.0  # before its expiry a token is renewed by one caller while the others go on with it
EARLY_REFRESH_TIMEOUT: Final = (
    10.0  # for the one who renews it early, who has a valid token; half of its deadline at most
)
EXPIRY_MARGIN: Final = 5.0  # a token that ends sooner than this is not sent: it may end on its way
REFRESH_PAUSE: Final = 10.0  # after a failed early refresh, before the next one is tried
FIRST_TOKEN_PAUSE: Final = 1.0  # after a token could not be bought, before anybody asks again; doubles each time
LONGEST_TOKEN_PAUSE: Final = 30.0
TOKEN_FAILURE_MEMORY: Final = 120.0  # after so long a failure does not make the next pause longer any more
CLOCK_ERROR: Final = 0.005  # a wait may end that much before its time
BODY_END_WAIT: Final = 0.25  # how long the end of a body may lag behind `[DONE]` before its connection is given up

# Retries.
DEFAULT_MAX_RETRIES: Final = 2
RETRY_STATUSES: Final = frozenset({408, 409, 429, *range(500, 600)})
RETRY_FIRST_DELAY: Final = 0.5
RETRY_MAX_DELAY: Final = 8.0
RETRY_AFTER_LIMIT: Final = 60.0  # a longer `Retry-After` is the caller's decision, not ours

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024

# Names of header fields whose values never reach a repr, a log, an error or a pickle.
SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "x-auth-token"}
)
# Keywords that name a request's origin, and the header fields they are sent in.
CONTEXT_HEADERS: Final = {
    "client_id": "X-Client-ID",
    "request_id": "X-Request-ID",
    "session_id": "X-Session-ID",
    "service_id": "X-Service-ID",
    "operation_id": "X-Operation-ID",
    "trace_id": "X-Trace-ID",
    "agent_id": "X-Agent-ID",
}
HIDDEN: Final = "[hidden]"

ENVIRONMENT_PREFIX: Final = "GIGACHAT_"
BUNDLED_CA_NAME: Final = "Russian Trusted Root CA"
