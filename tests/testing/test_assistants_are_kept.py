from typing import Any

import httpx
import pytest

from .conftest import Clock
from .wire import recorded, shape

BAD_JSON = "Your request contains invalid JSON syntax."
FUNCTION = {"name": "sum", "parameters": {"type": "object", "properties": {}}}


def upload(http: httpx.Client) -> str:
    file_id: str = http.post("/files", files={"file": ("a.txt", b"a", "text/plain")}).json()["id"]
    return file_id


def create(http: httpx.Client, **more: Any) -> str:
    response = http.post("/assistants", json={"model": "GigaChat-Pro", "name": "lonely", **more})
    assert response.status_code == 200
    assert shape(response.json()) == shape(recorded("fixture_assistants_create.json"))
    assistant_id: str = response.json()["assistant_id"]
    return assistant_id


def test_they_have_the_recorded_shapes(http: httpx.Client, clock: Clock) -> None:
    about = {"instructions": "Assistant", "metadata": {"test": 234}, "file_ids": [upload(http)]}
    first = create(http, **about)
    clock.now += 60
    second = create(http, **about)
    listed = http.get("/assistants").json()
    assert shape(listed) == shape(recorded("fixture_assistants_list.json"))
    assert [one["assistant_id"] for one in listed["data"]] == [first, second]
    clock.now += 60
    changed = http.post("/assistants/modify", json={"assistant_id": first, "name": "changed"}).json()
    assert shape(changed) == shape(recorded("fixture_assistants_modify.json"))
    assert (changed["name"], changed["instructions"]) == ("changed", "Assistant")
    assert changed["updated_at"] - changed["created_at"] == 120
    assert http.get("/assistants", params={"assistant_id": first}).json() == {"data": [changed]}
    file = {"assistant_id": second, "file_id": about["file_ids"][0]}
    detached = http.post("/assistants/files/delete", json=file)
    assert shape(detached.json()) == shape(recorded("fixture_assistants_files_delete.json"))
    assert http.get("/assistants", params={"assistant_id": second}).json()["data"][0]["file_ids"] == []
    assert http.post("/assistants/files/delete", json=file).json()["message"] == "No such file"
    deleted = http.post("/assistants/delete", json={"assistant_id": second})
    assert shape(deleted.json()) == shape(recorded("fixture_assistants_delete.json"))
    assert [one["assistant_id"] for one in http.get("/assistants").json()["data"]] == [first]


def test_everything_that_is_said_of_one_is_kept(http: httpx.Client) -> None:
    about = {"description": "Поэт", "functions": [FUNCTION], "metadata": {str(number): None for number in range(16)}}
    assistant_id = create(http, **about)
    model = {"assistant_id": assistant_id, "model": "GigaChat-2", "metadata": None, "functions": []}
    http.post("/assistants/modify", json=model)
    (kept,) = http.get("/assistants").json()["data"]
    assert {name: kept[name] for name in ("description", "functions", "metadata", "model")} == {
        **about,
        "functions": [],
        "model": "GigaChat-2",
    }
    assert create(http) != assistant_id


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("", {"name": "a"}, 400, BAD_JSON),
        ("", {"model": "GigaChat"}, 400, BAD_JSON),
        ("", {"model": "GigaChat", "name": 5}, 400, BAD_JSON),
        ("", {"model": "GigaChat", "name": "a", "metadata": []}, 400, BAD_JSON),
        ("", {"model": "GigaChat", "name": "a", "file_ids": "1"}, 400, BAD_JSON),
        ("", {"model": "None", "name": "a"}, 404, "No such model"),
        ("", {"model": "GigaChat", "name": "a", "file_ids": ["нет"]}, 404, "No such file"),
        ("", {"model": "GigaChat", "name": "a", "functions": [{"name": "sum"}]}, 422, "Field 'parameters' is missing"),
        (
            "",
            {"model": "GigaChat", "name": "a", "metadata": {str(number): 0 for number in range(17)}},
            422,
            "Invalid params: metadata can have at most 16 pairs",
        ),
        ("/modify", {"name": "a"}, 400, BAD_JSON),
        ("/modify", {"assistant_id": "нет"}, 404, "No such assistant"),
        ("/modify", {"assistant_id": "нет", "model": "None"}, 404, "No such model"),
        ("/delete", {}, 400, BAD_JSON),
        ("/delete", {"assistant_id": "нет"}, 404, "No such assistant"),
        ("/files/delete", {"assistant_id": "нет"}, 400, BAD_JSON),
        ("/files/delete", {"assistant_id": "нет", "file_id": "нет"}, 404, "No such assistant"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, path: str, body: dict[str, Any], status: int, message: str
) -> None:
    response = http.post(f"/assistants{path}", json=body)
    assert (response.status_code, response.json()) == (status, {"status": status, "message": message})


def test_an_unknown_one_is_not_found(http: httpx.Client) -> None:
    assert http.get("/assistants", params={"assistant_id": "нет"}).json()["message"] == "No such assistant"
