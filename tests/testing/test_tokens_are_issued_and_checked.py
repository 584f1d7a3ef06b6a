import base64
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .conftest import Clock, open_client
from .test_limits_are_kept import wait_until

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"


def oauth(emulator: Emulator, *, scope: str | None = "GIGACHAT_API_PERS", **headers: str | None) -> httpx.Response:
    sent: dict[str, str | None] = {
        "Authorization": f"Basic {emulator.credentials}",
        "RqUID": str(uuid.uuid4()),
        "Content-Type": "application/x-www-form-urlencoded",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    body = "" if scope is None else f"scope={scope}"
    given = {name: value for name, value in sent.items() if value is not None}
    return httpx.post(emulator.auth_url, headers=given, content=body, trust_env=False)


def test_the_key_buys_a_token_as_recorded(emulator: Emulator, clock: Clock) -> None:
    response = oauth(emulator)
    recorded = json.loads((WIRE / "oauth_token.json").read_text())
    assert response.status_code == 200
    assert response.json().keys() == recorded.keys()
    assert response.json()["expires_at"] == int((clock.now + 1800) * 1000)
    assert 1200 <= len(response.json()["access_token"]) <= 1260
    assert response.headers["content-type"] == "application/json"
    assert not {"x-request-id", "x-session-id"} & response.headers.keys()
    assert emulator.oauth_requests == 1


def test_every_token_is_another_one(emulator: Emulator) -> None:
    assert oauth(emulator).json()["access_token"] != oauth(emulator).json()["access_token"]


@pytest.mark.parametrize(
    ("change", "status", "body"),
    [
        ({"Authorization": None}, 401, {"code": 4, "message": "Can't decode 'Authorization' header"}),
        ({"Authorization": "Basic not base64!"}, 401, {"code": 4, "message": "Can't decode 'Authorization' header"}),
        ({"Authorization": "Bearer YTpi"}, 401, {"code": 4, "message": "Can't decode 'Authorization' header"}),
        ({"Authorization": "Basic YTpi"}, 401, {"code": 6, "message": "credentials doesn't match db data"}),
        ({"scope": None}, 400, {"code": 5, "message": "scope is empty"}),
        ({"scope": ""}, 400, {"code": 5, "message": "scope is empty"}),
        ({"scope": "GIGACHAT_API"}, 400, {"code": 1, "message": "scope data format invalid"}),
        (
            {"scope": "GIGACHAT_API_CORP"},
            400,
            {"code": 7, "message": "scope from db not fully includes consumed scope"},
        ),
        ({"RqUID": None}, 400, {"code": 2, "message": "RqUID is missing or is not a UUID of version 4"}),
        ({"RqUID": "17"}, 400, {"code": 2, "message": "RqUID is missing or is not a UUID of version 4"}),
        (
            {"RqUID": str(uuid.uuid1())},
            400,
            {"code": 2, "message": "RqUID is missing or is not a UUID of version 4"},
        ),
        (
            {"RqUID": uuid.uuid4().hex},
            400,
            {"code": 2, "message": "RqUID is missing or is not a UUID of version 4"},
        ),
        (
            {"Content_Type": "application/json"},
            400,
            {"code": 3, "message": "Content-Type must be application/x-www-form-urlencoded"},
        ),
    ],
)
def test_the_token_endpoint_refuses(
    emulator: Emulator, change: dict[str, Any], status: int, body: dict[str, object]
) -> None:
    if "Content_Type" in change:
        change = {"Content-Type": change["Content_Type"]}
    response = oauth(emulator, **change)
    assert (response.status_code, response.json()) == (status, body)
    assert emulator.oauth_requests == 1


def test_a_key_that_was_encoded_twice_is_not_decoded(emulator: Emulator) -> None:
    twice = base64.b64encode(emulator.credentials.encode()).decode()
    response = oauth(emulator, Authorization=f"Basic {twice}")
    assert (response.status_code, response.json()["code"]) == (401, 4)


def test_key_and_scope_can_be_chosen() -> None:
    key = base64.b64encode(b"id:secret").decode()
    with Emulator(credentials=key, scope="OWN_SCOPE") as emulator:
        assert (emulator.credentials, emulator.scope) == (key, "OWN_SCOPE")
        assert oauth(emulator, scope="OWN_SCOPE").status_code == 200
        assert oauth(emulator, scope="GIGACHAT_API_B2B").json()["code"] == 7


def test_user_and_password_buy_a_token_too(clock: Clock) -> None:
    with Emulator(user="Иван", password="пароль:1", clock=clock) as emulator:
        secret = base64.b64encode("Иван:пароль:1".encode()).decode()
        response = httpx.post(f"{emulator.base_url}/token", headers={"Authorization": f"Basic {secret}"})
        assert response.json()["exp"] == int((clock.now + 1800) * 1000)
        with open_client(emulator, headers={"Authorization": f"Bearer {response.json()['tok']}"}) as http:
            assert http.get("/models").status_code == 200


def test_a_wrong_password_is_refused(emulator: Emulator) -> None:
    response = httpx.post(f"{emulator.base_url}/token", auth=("user", "wrong"))
    assert (response.status_code, response.json()) == (401, {"status": 401, "message": "Unauthorized"})
    assert httpx.post(f"{emulator.base_url}/token", auth=("user", "password")).status_code == 200


def test_a_token_ends_by_the_clock(emulator: Emulator, http: httpx.Client, clock: Clock) -> None:
    clock.now += 1799.9
    assert http.get("/models").status_code == 200
    clock.now += 0.1
    response = http.get("/models")
    assert response.status_code == 401
    assert response.text == '{"status":401,"message":"Token has expired"}\n'
    assert response.headers["x-request-id"]


def test_revoked_tokens_have_expired(emulator: Emulator, http: httpx.Client) -> None:
    emulator.revoke_tokens()
    assert http.get("/models").json()["message"] == "Token has expired"
    with open_client(emulator) as other:
        assert other.get("/models").status_code == 200


@pytest.mark.parametrize("authorization", [None, "Bearer unknown", "Basic dXNlcjpwYXNzd29yZA=="])
def test_a_call_needs_a_known_token(emulator: Emulator, authorization: str | None) -> None:
    with open_client(emulator, headers={"Authorization": authorization} if authorization else {}) as http:
        response = http.get("/models")
        assert (response.status_code, response.json()["message"]) == (401, "Unauthorized")


def test_a_token_of_another_emulator_is_unknown(emulator: Emulator) -> None:
    token = Emulator().issue_token()
    with open_client(emulator, headers={"Authorization": f"Bearer {token}"}) as http:
        assert http.get("/models").json()["message"] == "Unauthorized"


def test_a_call_without_a_user_agent_is_refused(emulator: Emulator) -> None:
    with open_client(emulator) as http:
        del http.headers["user-agent"]
        assert http.get("/models").status_code == 401


def test_a_slow_token_endpoint_keeps_its_client_waiting() -> None:
    with Emulator(oauth_delay=60.0) as emulator:
        with pytest.raises(httpx.ReadTimeout), httpx.Client(timeout=0.5, trust_env=False) as http:
            http.post(
                emulator.auth_url,
                headers={"Authorization": f"Basic {emulator.credentials}", "RqUID": str(uuid.uuid4())},
                data={"scope": emulator.scope},
            )
        wait_until(lambda: bool(emulator.requests))
        assert emulator.requests[0].status is None
