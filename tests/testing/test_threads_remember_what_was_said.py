from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Reply

from .conftest import Clock, open_client
from .wire import WIRE, events_in, recorded, shape

BAD_JSON = "Your request contains invalid JSON syntax."
SUM = {"name": "sum", "parameters": {"type": "object", "properties": {"left": {"type": "integer"}}}}


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def add(http: httpx.Client, *texts: str, **more: Any) -> str:
    response = http.post("/threads/messages", json={"messages": [user(text) for text in texts], **more})
    assert response.status_code == 200, response.text
    thread_id: str = response.json()["thread_id"]
    return thread_id


def run(http: httpx.Client, *texts: str, path: str = "messages/run", **more: Any) -> httpx.Response:
    return http.post(f"/threads/{path}", json={"messages": [user(text) for text in texts], **more})


def texts(http: httpx.Client, thread_id: str, **more: Any) -> list[str]:
    listed = http.get("/threads/messages", params={"thread_id": thread_id, **more}).json()
    return [message["content"] for message in listed["messages"]]


def test_a_list_of_threads_has_the_recorded_shape(http: httpx.Client, clock: Clock) -> None:
    made: list[str] = []
    for _ in range(3):
        clock.now += 60
        made.append(http.post("/threads", json={}).json()["id"])
    listed = http.get("/threads").json()
    assert shape(listed) == shape(recorded("fixture_threads_list.json"))
    assert [thread["id"] for thread in listed["threads"]] == made[::-1]
    assert {thread["status"] for thread in listed["threads"]} == {"ready"}
    newest = http.get("/threads", params={"limit": 1}).json()["threads"]
    assert [thread["id"] for thread in newest] == made[2:]
    before = http.get("/threads", params={"before": int(clock.now) - 60}).json()["threads"]
    assert [thread["id"] for thread in before] == made[:1]


def test_a_thread_is_made_with_an_empty_object_or_nothing(http: httpx.Client) -> None:
    for sent in ({"json": {}}, {}):
        thread = http.post("/threads", **sent).json()
        assert shape(thread) == shape(recorded("fixture_threads_list.json")["threads"][0])
    assert http.post("/threads", json=[]).status_code == 400


def test_threads_of_assistants_are_found(http: httpx.Client) -> None:
    assistants = [
        http.post("/assistants", json={"model": model, "name": "a"}).json()["assistant_id"]
        for model in ("GigaChat-Pro", "GigaChat-Max", "GigaChat")
    ]
    made = [add(http, "раз", assistant_id=one) for one in assistants]
    params = [("assistants_ids", one) for one in assistants[:2]]
    found = http.get("/threads", params=params).json()["threads"]
    assert [(thread["id"], thread["model"]) for thread in found] == [
        (made[1], "GigaChat-Max"),
        (made[0], "GigaChat-Pro"),
    ]
    retrieved = http.post("/threads/retrieve", json={"threads_ids": [made[2]]}).json()
    assert shape(retrieved) == shape(recorded("fixture_threads_retrieve.json"))
    assert retrieved["threads"][0]["assistant_id"] == assistants[2]


def test_a_deleted_thread_is_gone(http: httpx.Client) -> None:
    thread_id = add(http, "раз")
    deleted = http.post("/threads/delete", json={"thread_id": thread_id})
    assert (deleted.status_code, deleted.content) == (200, b"")
    assert http.get("/threads").json() == {"threads": []}
    assert http.post("/threads/delete", json={"thread_id": thread_id}).status_code == 404


def test_messages_are_added_and_listed(http: httpx.Client, clock: Clock) -> None:
    file_id = http.post("/files", files={"file": ("кот.jpeg", b"JPEG", "image/jpeg")}).json()["id"]
    question = {**user("Какой окрас кота?"), "attachments": [file_id]}
    added = http.post("/threads/messages", json={"model": "GigaChat-Pro", "messages": [question]})
    assert shape(added.json()) == shape(recorded("fixture_threads_messages_add.json"))
    thread_id = added.json()["thread_id"]
    clock.now += 60
    run(http, path="run", thread_id=thread_id)
    listed = http.get("/threads/messages", params={"thread_id": thread_id}).json()
    assert shape(listed) == shape(recorded("fixture_threads_messages_list.json"))
    assert listed["messages"][0]["attachments"] == [{"file_id": file_id, "name": "кот.jpeg"}]
    assert listed["messages"][0]["message_id"] == added.json()["messages"][0]["message_id"]
    assert texts(http, thread_id, limit=1) == [listed["messages"][1]["content"]]
    assert texts(http, thread_id, before=int(clock.now)) == ["Какой окрас кота?"]


def test_a_run_is_started_and_its_result_fetched(http: httpx.Client) -> None:
    thread_id = add(http, "раз", "два")
    assert http.get("/threads/run", params={"thread_id": thread_id}).json()["messages"] == []
    started = run(http, path="run", thread_id=thread_id).json()
    assert shape(started) == shape(recorded("fixture_threads_run_start.json"))
    assert started["status"] == "in_progress"
    result = http.get("/threads/run", params={"thread_id": thread_id}).json()
    fixture = recorded("fixture_threads_run_get.json")
    assert result.keys() == fixture.keys()
    assert result["messages"][-1].keys() == fixture["messages"][-1].keys()
    assert [message["content"] for message in result["messages"]] == ["раз", "два", "Вы написали: два (раньше: раз)"]
    add(http, "три", thread_id=thread_id)
    run(http, path="run", thread_id=thread_id)
    result = http.get("/threads/run", params={"thread_id": thread_id}).json()
    assert [message["content"] for message in result["messages"]] == ["три", "Вы написали: три (раньше: раз; два)"]


def test_a_run_of_messages_has_the_recorded_shape(http: httpx.Client) -> None:
    response = run(http, "Привет", model="GigaChat-Pro")
    assert shape(response.json()) == shape(recorded("fixture_threads_messages_run.json"))
    assert response.json()["model"].startswith("GigaChat-Pro:")
    usage = response.json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    result = http.get("/threads/run", params={"thread_id": response.json()["thread_id"]}).json()
    assert [message["content"] for message in result["messages"]] == ["Привет", "Вы написали: Привет"]
    assert result["messages"][1]["message_id"] == response.json()["message_id"]


@pytest.mark.parametrize("path", ["messages/run", "messages/rerun", "run"])
def test_a_stream_counts_in_every_event(http: httpx.Client, path: str) -> None:
    thread_id = run(http, "раз два три").json()["thread_id"]
    if path == "run":
        add(http, "четыре", thread_id=thread_id)
    response = run(http, *(["четыре"] if path == "messages/run" else []), path=path, thread_id=thread_id, stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.text.endswith("data: [DONE]\n\n")
    events = [event for _, event in events_in(response.text)]
    fixture = [event for _, event in events_in((WIRE / "fixture_threads_messages_run.sse").read_text())]
    assert shape(events[0]) == shape(fixture[0])
    assert shape(events[-1]) == shape(fixture[-1])
    said = texts(http, thread_id)[-1]
    assert "".join(event["choices"][0]["delta"]["content"] for event in events) == said
    assert [event["usage"]["prompt_tokens"] > 0 for event in events] == [True] + [False] * (len(events) - 1)
    for event in events:
        usage = event["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    plain = run(http, path="messages/rerun", thread_id=thread_id).json()["usage"]
    for name in ("prompt_tokens", "completion_tokens"):
        assert sum(event["usage"][name] for event in events) == plain[name]


def test_a_thread_remembers_and_shows_it(http: httpx.Client) -> None:
    thread_id = run(http, "Меня зовут Аня").json()["thread_id"]
    second = run(http, "Как меня зовут?", thread_id=thread_id).json()
    assert second["message"]["content"] == "Вы написали: Как меня зовут? (раньше: Меня зовут Аня)"
    limited = run(http, "А так?", thread_id=thread_id, limit=1).json()
    assert limited["message"]["content"] == "Вы написали: А так?"
    whole = run(http, "А так?", thread_id=thread_id).json()
    assert limited["usage"]["prompt_tokens"] < whole["usage"]["prompt_tokens"]


def test_a_rerun_replaces_the_answer(http: httpx.Client, emulator: Emulator) -> None:
    emulator.answer("первый")
    first = run(http, "раз").json()
    emulator.answer("второй")
    again = run(http, path="messages/rerun", thread_id=first["thread_id"])
    assert shape(again.json()) == shape(recorded("fixture_threads_messages_run.json"))
    assert again.json()["message_id"] != first["message_id"]
    assert texts(http, first["thread_id"]) == ["раз", "второй"]
    refused = run(http, path="messages/rerun", thread_id=first["thread_id"], temperature=0)
    assert refused.status_code == 422
    assert texts(http, first["thread_id"]) == ["раз", "второй"]


def test_an_assistant_answers_with_its_model_and_instructions(http: httpx.Client) -> None:
    about = {"model": "GigaChat-Max", "name": "a", "instructions": "Говори стихами."}
    assistant_id = http.post("/assistants", json=about).json()["assistant_id"]
    plain = run(http, "раз").json()
    begun = run(http, "раз", assistant_id=assistant_id).json()
    assert begun["model"].startswith("GigaChat-Max:")
    assert begun["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"]
    joined = run(http, "два", assistant_id=assistant_id, thread_id=plain["thread_id"]).json()
    assert joined["model"].startswith("GigaChat-Max:")
    thread_id = add(http, "раз")
    run(http, path="run", thread_id=thread_id, assistant_id=assistant_id)
    assert http.get("/threads/run", params={"thread_id": thread_id}).json()["model"] == "GigaChat-Max"
    http.post("/assistants/delete", json={"assistant_id": assistant_id})
    assert run(http, "три", thread_id=thread_id).json()["message"] == "No such assistant"


def test_functions_are_called_and_answered_in_a_thread(http: httpx.Client) -> None:
    options = {"functions": [SUM], "function_call": {"name": "sum"}}
    called = run(http, "Сложи", **options).json()
    assert called["finish_reason"] == "function_call"
    thread_id = called["thread_id"]
    assert "function_call" in http.get("/threads/run", params={"thread_id": thread_id}).json()["messages"][1]
    assert run(http, "Ну?", thread_id=thread_id).status_code == 422
    result = {"role": "function", "name": "sum", "content": "5"}
    told = http.post("/threads/messages/run", json={"thread_id": thread_id, "messages": [result]}).json()
    assert told["message"]["content"] == "Вы написали: Сложи"
    streamed = events_in(run(http, "Ещё", thread_id=thread_id, stream=True, **options).text)
    assert streamed[0][1]["choices"][0]["delta"]["function_call"]["name"] == "sum"
    assert streamed[0][1]["usage"]["completion_tokens"] > 0


def test_how_a_built_in_function_gets_on_costs_nothing(http: httpx.Client) -> None:
    response = run(http, "Нарисуй кота", function_call="auto", stream=True)
    first = events_in(response.text)[0][1]
    assert first["choices"][0]["delta"]["role"] == "function_in_progress"
    assert first["usage"]["completion_tokens"] == 0


def test_the_answer_can_be_computed_from_what_the_model_sees(http: httpx.Client, emulator: Emulator) -> None:
    emulator.answer(lambda request: " ".join(one["content"] for one in request["messages"]))
    thread_id = run(http, "раз").json()["thread_id"]
    said = run(http, "два", thread_id=thread_id).json()["message"]["content"]
    assert said == "раз раз два"


def test_a_run_can_be_scripted_to_take_long(http: httpx.Client, emulator: Emulator) -> None:
    thread_id = add(http, "раз")
    emulator.reply("/v1/threads/run", Reply(json={"status": "in_progress", "thread_id": thread_id}), method="GET")
    run(http, path="run", thread_id=thread_id)
    states = [http.get("/threads/run", params={"thread_id": thread_id}).json()["status"] for _ in range(2)]
    assert states == ["in_progress", "ready"]


@pytest.mark.parametrize("path", ["run", "messages/run", "messages/rerun"])
def test_runs_count_among_the_requests_in_flight_and_looking_at_them_does_not(path: str) -> None:
    with Emulator(concurrency=0) as emulator, open_client(emulator) as http:
        assert run(http, path=path).status_code == 429
        assert http.get("/threads/run", params={"thread_id": "нет"}).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "message"),
    [
        ("GET", "?limit=x", None, 400, BAD_JSON),
        ("GET", "?before=-1", None, 400, BAD_JSON),
        ("GET", "/messages", None, 400, BAD_JSON),
        ("GET", "/messages?thread_id=x", None, 404, "No such thread"),
        ("GET", "/run", None, 400, BAD_JSON),
        ("GET", "/run?thread_id=x", None, 404, "No such thread"),
        ("POST", "/retrieve", {}, 400, BAD_JSON),
        ("POST", "/retrieve", {"threads_ids": "x"}, 400, BAD_JSON),
        ("POST", "/retrieve", {"threads_ids": ["x"]}, 404, "No such thread"),
        ("POST", "/delete", {}, 400, BAD_JSON),
        ("POST", "/messages", {}, 400, BAD_JSON),
        ("POST", "/messages", {"messages": []}, 422, "Invalid params: messages must not be empty"),
        ("POST", "/messages", {"messages": [{"role": "user", "content": []}]}, 400, BAD_JSON),
        ("POST", "/messages", {"messages": [{"role": "tool"}]}, 422, "Invalid params: unknown role tool"),
        ("POST", "/messages", {"messages": [{"role": "user"}], "model": "None"}, 404, "No such model"),
        ("POST", "/messages", {"messages": [{"role": "user"}], "thread_id": "x"}, 404, "No such thread"),
        ("POST", "/messages", {"messages": [{"role": "user"}], "assistant_id": "x"}, 404, "No such assistant"),
        ("POST", "/messages", {"messages": [{"role": "user", "attachments": ["x"]}]}, 404, "No such file"),
        (
            "POST",
            "/messages",
            {"messages": [{"role": "user"}], "thread_id": "x", "model": "GigaChat"},
            422,
            "Invalid params: model can be given without thread_id and assistant_id only",
        ),
        ("POST", "/run", {}, 400, BAD_JSON),
        ("POST", "/run", {"thread_id": "x"}, 404, "No such thread"),
        ("POST", "/messages/run", {}, 400, BAD_JSON),
        ("POST", "/messages/run", {"messages": []}, 422, "Invalid params: messages must not be empty"),
        ("POST", "/messages/run", {"messages": [{"role": "user"}], "limit": "1"}, 400, BAD_JSON),
        (
            "POST",
            "/messages/run",
            {"messages": [{"role": "user"}], "limit": 0},
            422,
            "Invalid params: limit must be in range (0, +inf)",
        ),
        ("POST", "/messages/run", {"messages": [{"role": "user"}], "stream": 1}, 400, BAD_JSON),
        ("POST", "/messages/rerun", {"thread_id": "x"}, 404, "No such thread"),
    ],
)
def test_what_does_not_fit_is_refused(
    http: httpx.Client, method: str, path: str, sent: Any, status: int, message: str
) -> None:
    response = http.request(method, f"/threads{path}", json=sent)
    assert (response.status_code, response.json()) == (status, {"status": status, "message": message})


def test_a_refused_run_leaves_no_thread(http: httpx.Client) -> None:
    assert run(http, "раз", temperature=0).status_code == 422
    assert http.get("/threads").json() == {"threads": []}
    empty = http.post("/threads", json={}).json()["id"]
    assert run(http, path="run", thread_id=empty).status_code == 422
    assert run(http, path="messages/rerun", thread_id=empty).status_code == 422
