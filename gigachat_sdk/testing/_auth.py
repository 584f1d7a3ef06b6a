"""Who may call: the token endpoints, and the check of the token that every other call carries."""

import base64
import binascii
import uuid
from urllib.parse import parse_qs

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, Refusal
from gigachat_sdk.testing._replies import JSON_TYPE, Reply, to_json
from gigachat_sdk.testing._state import OAUTH_PATH, RecordedRequest, State, plain_path

TOKEN_PATH = "/v1/token"  # noqa: S105 - a path
SCOPES = frozenset({"GIGACHAT_API_PERS", "GIGACHAT_API_B2B", "GIGACHAT_API_CORP"})


class OAuthRefusal(Refusal):
    """An error of the token endpoint; its body has `code` where the API has `status`."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(status, message)
        body = to_json({"code": code, "message": message})
        self.reply = Reply(status, body=body, headers={"Content-Type": JSON_TYPE})


def authorize(state: State, request: RecordedRequest) -> None:
    """Check what a request says about its sender, by the rules of its path.

    Raises:
        Refusal: The answer to a sender who may not call.
    """
    path = plain_path(request.path)
    if path == OAUTH_PATH:
        _check_oauth(state, request)
    elif path == TOKEN_PATH:
        _check_password(state, request)
    elif path.startswith(("/v1/", "/v2/")):
        _check_token(state, request)


def credentials_of(request: RecordedRequest, scheme: str) -> str | None:
    """Give what stands in the `Authorization` of a request after a scheme (lower case); None for another scheme."""
    found, _, value = request.headers.get("authorization", "").partition(" ")
    return value if found.lower() == scheme else None


def _decode_basic(value: str | None) -> str | None:
    try:
        text = base64.b64decode(value or "", validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return text if ":" in text else None


def _is_uuid4(value: str) -> bool:
    try:
        parsed = uuid.UUID(value)
    except ValueError:
        return False
    return parsed.version == 4 and str(parsed) == value.lower()


def _check_oauth(state: State, request: RecordedRequest) -> None:
    key = credentials_of(request, "basic")
    if _decode_basic(key) is None:
        raise OAuthRefusal(401, 4, "Can't decode 'Authorization' header")
    if not _is_uuid4(request.headers.get("rquid", "")):
        raise OAuthRefusal(400, 2, "RqUID is missing or is not a UUID of version 4")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise OAuthRefusal(400, 3, "Content-Type must be application/x-www-form-urlencoded")
    if key != state.settings.credentials:
        raise OAuthRefusal(401, 6, "credentials doesn't match db data")
    scope = parse_qs(request.body.decode("utf-8", "replace")).get("scope", [""])[-1]
    if not scope:
        raise OAuthRefusal(400, 5, "scope is empty")
    if scope not in SCOPES | {state.settings.scope}:
        raise OAuthRefusal(400, 1, "scope data format invalid")
    if scope != state.settings.scope:
        raise OAuthRefusal(400, 7, "scope from db not fully includes consumed scope")


def _check_password(state: State, request: RecordedRequest) -> None:
    expected = f"{state.settings.user}:{state.settings.password}"
    if _decode_basic(credentials_of(request, "basic")) != expected:
        raise Refusal(401, "Unauthorized")


def _check_token(state: State, request: RecordedRequest) -> None:
    if not request.headers.get("user-agent"):
        raise Refusal(401, "Unauthorized")
    if state.settings.mutual_tls and "authorization" not in request.headers:
        return
    verdict = state.judge_token(credentials_of(request, "bearer") or "")
    if verdict != "valid":
        raise Refusal(401, "Token has expired" if verdict == "expired" else "Unauthorized")


def _issue_by_credentials(call: Call) -> Reply:
    token = call.state.issue_token()
    body = {"access_token": token.value, "expires_at": token.expires_at_ms}
    return Reply(json=body, headers={"Content-Type": "application/json"}, delay=call.state.settings.oauth_delay)


def _issue_by_password(call: Call) -> Reply:
    token = call.state.issue_token()
    return Reply(json={"tok": token.value, "exp": token.expires_at_ms})


ROUTES = [
    Route(OAUTH_PATH, _issue_by_credentials, methods=["POST"]),
    Route(TOKEN_PATH, _issue_by_password, methods=["POST"]),
]
