import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .conftest import Clock

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
Ask = Callable[..., httpx.Response]
SUM = {
    "name": "sum",
    "parameters": {
        "type": "object",
        "properties": {"left": {"type": "integer"}, "right": {"type": "integer"}},
        "required": ["left", "right"],
    },
}


def shape(value: Any) -> Any:
    """The names and types of a JSON value, names in their order."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value)


def stream_events(response: httpx.Response) -> list[dict[str, Any]]:
    *events, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    assert all(event.startswith("data: ") and "\n" not in event for event in events)
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_an_answer_has_the_recorded_shape(ask: Ask, clock: Clock) -> None:
    response = ask("Привет")
    recorded = json.loads((WIRE / "chat_simple.json").read_text())
    assert json.dumps(shape(response.json()), default=str) == json.dumps(shape(recorded), default=str)
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert response.json()["created"] == int(clock.now)
    assert response.json()["model"] == "GigaChat:2.0.28.2"
    assert response.json()["object"] == "chat.completion"


def test_the_text_follows_from_the_last_user_message(ask: Ask) -> None:
    messages = [{"role": "user", "content": "раз"}, {"role": "assistant", "content": "a"}]
    choice = ask([*messages, {"role": "user", "content": "два"}]).json()["choices"][0]
    assert choice == {
        "message": {"content": "Вы написали: два", "role": "assistant"},
        "index": 0,
        "finish_reason": "stop",
    }
    for empty in ("", "  "):
        assert ask(empty).json()["choices"][0]["message"]["content"] == "Вы ничего не написали."
    only_system = [{"role": "system", "content": "Молчи."}]
    assert ask(only_system).json()["choices"][0]["message"]["content"] == "Вы ничего не написали."


def test_the_same_question_has_the_same_answer(ask: Ask) -> None:
    assert ask("Привет").content == ask("Привет").content


def test_usage_adds_up_and_grows_with_the_question(ask: Ask) -> None:
    short, long = ask("Привет").json()["usage"], ask("Привет, " * 10).json()["usage"]
    for usage in (short, long):
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        assert usage["precached_prompt_tokens"] == 0
        assert min(usage["prompt_tokens"], usage["completion_tokens"]) > 0
    assert long["prompt_tokens"] > short["prompt_tokens"]


def test_max_tokens_cuts_the_answer(ask: Ask) -> None:
    whole = ask("раз два три").json()
    size = whole["usage"]["completion_tokens"]
    assert ask("раз два три", max_tokens=size).json()["choices"] == whole["choices"]
    cut = ask("раз два три", max_tokens=size - 1).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == size - 1
    assert whole["choices"][0]["message"]["content"].startswith(cut["choices"][0]["message"]["content"])


def test_a_generation_three_model_has_its_own_version(ask: Ask) -> None:
    assert ask(model="GigaChat-3-Ultra").json()["model"] == "GigaChat-3-Ultra:32.3.7.3"


def test_a_schema_gets_pretty_printed_json_that_satisfies_it(ask: Ask) -> None:
    case = next(
        one
        for one in json.loads((WIRE / "index.json").read_text())["cases"]
        if one["file"] == "chat_parse_json_schema.json"
    )
    message = ask(case["request_body"]["messages"], response_format=case["request_body"]["response_format"]).json()
    assert message["choices"][0]["message"]["content"] == '{\n    "answer": "текст",\n    "n": 1\n}'


def test_a_forced_function_is_called(ask: Ask) -> None:
    choice = ask("Сложи", functions=[SUM], function_call={"name": "sum"}).json()["choices"][0]
    state_id = choice["message"].pop("functions_state_id")
    assert choice == {
        "message": {
            "content": "",
            "role": "assistant",
            "function_call": {"name": "sum", "arguments": {"left": 1, "right": 1}},
        },
        "index": 0,
        "finish_reason": "function_call",
    }
    again = ask("Сложи", functions=[SUM], function_call={"name": "sum"}).json()["choices"][0]["message"]
    assert again["functions_state_id"] == state_id


def test_partial_arguments_are_taken_over(ask: Ask) -> None:
    choice = {"name": "sum", "partial_arguments": {"left": 5}}
    message = ask("Сложи", functions=[SUM], function_call=choice).json()["choices"][0]["message"]
    assert message["function_call"]["arguments"] == {"left": 5, "right": 1}


def test_a_function_that_is_not_forced_is_not_called(ask: Ask) -> None:
    answer = ask("Сложи", functions=[SUM], function_call="auto").json()
    assert answer["choices"][0]["message"] == {"content": "Вы написали: Сложи", "role": "assistant"}


def test_a_stream_has_the_recorded_framing(ask: Ask) -> None:
    response = ask("раз два", stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    assert "content-length" not in response.headers
    recorded = [
        json.loads(line.removeprefix("data: "))
        for line in (WIRE / "stream_simple.sse").read_text().split("\n\n")
        if line.startswith("data: {")
    ]
    events = stream_events(response)
    for mine, theirs in ((events[0], recorded[0]), (events[1], recorded[1]), (events[-1], recorded[-1])):
        assert json.dumps(shape(mine), default=str) == json.dumps(shape(theirs), default=str)
    assert len(events) == 5


@pytest.mark.parametrize("text", ["раз два три", "  раз\n\nдва\t ", "", "слово", "строка\u2028ещё\u0085и\r\nещё"])
@pytest.mark.parametrize("limit", [None, 1, 4])
def test_a_stream_says_what_the_whole_answer_says(ask: Ask, emulator: Emulator, text: str, limit: int | None) -> None:
    emulator.answer(text)
    whole = ask("?", max_tokens=limit).json()
    events = stream_events(ask("?", max_tokens=limit, stream=True))
    deltas = [event["choices"][0]["delta"] for event in events]
    assert "".join(delta["content"] for delta in deltas) == whole["choices"][0]["message"]["content"]
    assert [delta.get("role") for delta in deltas] == ["assistant", *[None] * (len(deltas) - 1)]
    assert events[-1]["usage"] == whole["usage"]
    assert events[-1]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert all("usage" not in event for event in events[:-1])


def test_a_function_call_is_streamed_whole(ask: Ask) -> None:
    options = {"functions": [SUM], "function_call": {"name": "sum"}}
    message = ask("Сложи", **options).json()["choices"][0]["message"]
    first, last = stream_events(ask("Сложи", **options, stream=True))
    assert first["choices"] == [{"delta": message, "index": 0}]
    assert last["choices"] == [{"delta": {"content": ""}, "index": 0, "finish_reason": "function_call"}]


def test_the_answer_can_be_set(ask: Ask, emulator: Emulator) -> None:
    emulator.answer("Здравствуйте!")
    assert ask("Привет").json()["choices"][0]["message"] == {"content": "Здравствуйте!", "role": "assistant"}
    emulator.answer({"content": None, "function_call": {"name": "sum", "arguments": {}}})
    choice = ask("Привет").json()["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["content"] == ""
    assert choice["message"].keys() == {"content", "role", "function_call", "functions_state_id"}
    emulator.answer({"content": "5", "reasoning_content": "2 + 3"})
    assert ask("Привет").json()["choices"][0]["message"]["reasoning_content"] == "2 + 3"
    emulator.answer(None)
    assert ask("Привет").json()["choices"][0]["message"]["content"] == "Вы написали: Привет"


def test_the_answer_can_be_computed_from_the_request(ask: Ask, emulator: Emulator) -> None:
    def speak(request: dict[str, Any]) -> str | dict[str, Any]:
        assert request.keys() == {"model", "messages"}
        text = request["messages"][-1]["content"]
        return text.upper() if text != "?" else {"content": "!"}

    emulator.answer(speak)
    assert ask("Привет").json()["choices"][0]["message"]["content"] == "ПРИВЕТ"
    assert ask("?").json()["choices"][0]["message"]["content"] == "!"


def test_half_of_a_surrogate_pair_does_not_stop_the_answer(http: httpx.Client) -> None:
    body = b'{"model":"GigaChat","messages":[{"role":"user","content":"\\ud800"}]}'
    for stream in (b"", b',"stream":true'):
        content = body[:-1] + stream + b"}"
        response = http.post("/chat/completions", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 200
        assert "?" in response.text
