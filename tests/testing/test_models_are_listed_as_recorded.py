from pathlib import Path

import httpx
import pytest

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"


def test_the_list_is_the_recorded_one(http: httpx.Client) -> None:
    assert http.get("/models").content == (WIRE / "get_models.json").read_bytes()


def test_one_model_is_the_recorded_one(http: httpx.Client) -> None:
    assert http.get("/models/GigaChat").content == (WIRE / "get_model.json").read_bytes()


def test_an_unknown_model_is_refused_as_recorded(http: httpx.Client) -> None:
    response = http.get("/models/None")
    assert (response.status_code, response.content) == (404, (WIRE / "get_model_not_found.json").read_bytes())


def test_an_unlisted_model_can_be_retrieved(http: httpx.Client) -> None:
    assert http.get("/models/GigaChat-3-Ultra").json()["type"] == "chat"


@pytest.mark.parametrize(
    ("path", "status"), [("/nothing", 404), ("/models/a/b", 404), ("/api/v1/models", 404), ("/tokens", 404)]
)
def test_an_unknown_path_is_404(http: httpx.Client, path: str, status: int) -> None:
    response = http.get(path)
    assert (response.status_code, response.json()) == (status, {"status": 404, "message": "Not Found"})


def test_an_unknown_path_outside_the_api_needs_no_token(http: httpx.Client) -> None:
    root = http.base_url.copy_with(path="/")
    assert httpx.get(root).status_code == 404


def test_a_wrong_method_is_405(http: httpx.Client) -> None:
    response = http.put("/chat/completions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert response.json() == {"status": 405, "message": "Method Not Allowed"}


def test_the_former_hosts_prefix_works_too(http: httpx.Client) -> None:
    former = http.base_url.copy_with(path="/api/v1/models/GigaChat")
    assert http.get(former).status_code == 200
    assert httpx.get(former).status_code == 401


def test_ids_are_made_or_echoed(http: httpx.Client) -> None:
    made = http.get("/models").headers
    assert len(made["x-request-id"]) == len(made["x-session-id"]) == 36
    assert "x-client-id" not in made
    sent = {"X-Request-ID": "r", "X-Session-ID": "s", "X-Client-ID": "c"}
    echoed = http.get("/models", headers=sent).headers
    assert {name: echoed[name] for name in sent} == sent


def test_names_of_headers_are_written_as_the_former_gateway_does(http: httpx.Client) -> None:
    names = [name for name, _ in http.get("/models").headers.raw]
    assert b"X-Request-Id" in names
    assert b"X-Session-Id" in names
