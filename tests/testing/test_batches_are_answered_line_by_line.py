import json
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, _blobs

from .conftest import Clock

OCTETS = {"Content-Type": "application/octet-stream"}


def ask(identity: str, text: str, model: str = "GigaChat") -> dict[str, Any]:
    return {"id": identity, "request": {"model": model, "messages": [{"role": "user", "content": text}]}}


def post(http: httpx.Client, *lines: Any, method: str = "chat_completions", **headers: str) -> httpx.Response:
    content = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    return http.post(f"/batches?method={method}", content=content, headers={**OCTETS, **headers})


def show(http: httpx.Client, batch: dict[str, Any]) -> dict[str, Any]:
    answer = http.get("/batches", params={"batch_id": batch["id"]}).json()
    (shown,) = answer["batches"]
    assert shown["id"] == batch["id"]
    return dict(shown)


def complete(http: httpx.Client, batch: dict[str, Any]) -> dict[str, Any]:
    show(http, batch)
    return show(http, batch)


def output(http: httpx.Client, batch: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
    content = http.get(f"/files/{complete(http, batch)['output_file_id']}/content", headers=headers).text
    assert content.endswith("\n")
    return [json.loads(line) for line in content.splitlines()]


def test_a_batch_goes_one_step_on_each_time_it_is_shown(http: httpx.Client, clock: Clock) -> None:
    made = post(http, ask("a", "Привет"), ask("b", "Пока", model="Nothing")).json()
    start = int(clock.now)
    assert made == {
        "id": made["id"],
        "method": "chat_completions",
        "request_counts": {"total": 2},
        "status": "created",
        "created_at": start,
        "updated_at": start,
    }
    clock.now += 10
    running = show(http, made)
    counts = {"total": 2, "completed": 0, "failed": 0}
    assert running == {**made, "status": "in_progress", "request_counts": counts, "updated_at": start + 10}
    clock.now += 10
    done = show(http, made)
    assert done == {
        **made,
        "status": "completed",
        "request_counts": {"total": 2, "completed": 1, "failed": 1},
        "output_file_id": done["output_file_id"],
        "updated_at": start + 20,
    }
    clock.now += 10
    assert show(http, made) == done


def test_each_line_gets_what_chat_would_answer(http: httpx.Client) -> None:
    lines = [ask("раз", "Привет"), ask("два", "Пока", model="Nothing"), ask("три", "Как дела?")]
    first, second, third = output(http, post(http, *lines).json())
    for line, result in ((lines[0], first), (lines[2], third)):
        assert result == {"id": line["id"], "result": http.post("/chat/completions", json=line["request"]).json()}
    assert second == {"id": "два", "error": {"status": 404, "message": "No such model"}}


def test_embeddings_are_made_too(http: httpx.Client) -> None:
    requests = [{"model": "Embeddings", "input": ["раз", "два"]}, {"model": "GigaChat", "input": "три"}]
    lines = [{"id": str(number), "request": request} for number, request in enumerate(requests)]
    first, second = output(http, post(http, *lines, method="embedder").json())
    assert first == {"id": "0", "result": http.post("/embeddings", json=requests[0]).json()}
    assert second["error"]["status"] == 404


def test_what_the_test_lets_chat_say_counts_in_batches(http: httpx.Client, emulator: Emulator) -> None:
    def answer(request: dict[str, Any]) -> str:
        return str(request["messages"][-1]["content"].removeprefix("скажи ").replace("ничего", "") or 1 / 0)

    emulator.answer(answer)
    batch = post(http, ask("a", "скажи да"), ask("b", "скажи ничего")).json()
    said, failed = output(http, batch)
    assert said["result"]["choices"][0]["message"]["content"] == "да"
    assert failed == {"id": "b", "error": {"status": 500, "message": "Internal Server Error"}}
    assert show(http, batch)["request_counts"] == {"total": 2, "completed": 1, "failed": 1}


def test_the_output_is_a_file_of_the_same_client(http: httpx.Client) -> None:
    batch = post(http, ask("a", "Привет"), **{"X-Client-ID": "me"}).json()
    file_id = complete(http, batch)["output_file_id"]
    assert http.get(f"/files/{file_id}/content").status_code == 404
    file = http.get(f"/files/{file_id}", headers={"X-Client-ID": "me"}).json()
    assert (file["filename"], file["bytes"] > 0) == (f"{batch['id']}.jsonl", True)
    assert output(http, batch, **{"X-Client-ID": "me"})[0]["id"] == "a"


def test_batches_are_listed_oldest_first(http: httpx.Client) -> None:
    assert http.get("/batches").json() == {"batches": []}
    made = [post(http, ask(name, name)).json() for name in "ab"]
    for status in ("in_progress", "completed", "completed"):
        listed = http.get("/batches").json()["batches"]
        assert [one["id"] for one in listed] == [one["id"] for one in made]
        assert [one["status"] for one in listed] == [status] * 2


def test_an_unknown_batch_is_404(http: httpx.Client) -> None:
    answer = http.get("/batches?batch_id=x")
    assert (answer.status_code, answer.text) == (404, '{"status":404,"message":"Batch task not found"}\n')
    assert http.get("/batches/x").status_code == 404
    assert http.put("/batches").headers["allow"] == "GET, HEAD, POST"


LINE = b'{"id":"a","request":{}}'


@pytest.mark.parametrize(
    "content",
    [
        LINE,
        LINE + b"\n",
        LINE + b"\r\n",
        LINE + b"\n ",
        b"\n" + LINE + b"\n\n" + LINE.replace(b'"a"', b'"b"') + b"\n \n",
    ],
)
def test_line_ends_may_differ(http: httpx.Client, content: bytes) -> None:
    made = http.post("/batches?method=embedder", content=content, headers=OCTETS).json()
    assert made["request_counts"]["total"] == content.count(b"id")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{",
        LINE + LINE,
        LINE + b"\nx",
        LINE + b"\n" + LINE,
        b"[]",
        b'{"request":{}}',
        b'{"id":1,"request":{}}',
        b'{"id":"a"}',
        b'{"id":"a","request":"x"}',
        b"\xff",
    ],
)
def test_a_malformed_file_is_refused_whole(http: httpx.Client, content: bytes) -> None:
    answer = http.post("/batches?method=chat_completions", content=content, headers=OCTETS)
    assert (answer.status_code, answer.json()["message"]) == (400, "Your request contains invalid JSON syntax.")
    assert http.get("/batches").json() == {"batches": []}


@pytest.mark.parametrize("query", ["", "?method=", "?method=images", "?methods=embedder"])
def test_a_batch_needs_a_method(http: httpx.Client, query: str) -> None:
    assert http.post(f"/batches{query}", content=LINE, headers=OCTETS).status_code == 400


def test_a_batch_of_another_content_type_is_refused(http: httpx.Client) -> None:
    assert http.post("/batches?method=embedder", content=LINE).status_code == 400
    json_type = {"Content-Type": "application/json"}
    assert http.post("/batches?method=embedder", content=LINE, headers=json_type).status_code == 400


def test_a_large_batch_is_read_from_disk(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_blobs, "IN_MEMORY", 1000)
    monkeypatch.setattr(_blobs, "PIECE", 100)
    lines = [ask(str(number), "слово " * number) for number in range(60)]
    results = output(http, post(http, *lines).json())
    assert [result["id"] for result in results] == [line["id"] for line in lines]
    assert results[59]["result"]["choices"][0]["message"]["content"].count("слово") == 59
