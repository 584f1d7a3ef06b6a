import json
import re
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator, Reply

from .conftest import Clock, open_client
from .wire import V2, Ask, parts, recorded, recorded_request, said, shape, user, v2_asker

WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string", "enum": ["Тула"]}, "days": {"type": "integer", "minimum": 3}},
        "required": ["place", "days"],
    },
}
TIME = {"name": "time", "parameters": {"type": "object", "properties": {}}}
FUNCTIONS = [{"functions": {"specifications": [WEATHER, TIME]}}]
FORCED = {"tools": FUNCTIONS, "tool_config": {"mode": "forced", "function_name": "weather"}}


@pytest.fixture
def ask(http: httpx.Client, emulator: Emulator) -> Ask:
    return v2_asker(http, emulator)


@pytest.mark.parametrize(
    "file",
    [
        "primary_chat_create_simple.json",
        "primary_chat_parse_json_schema.json",
        "primary_chat_function_tool_roundtrip_1.json",
        "primary_chat_function_tool_roundtrip_2.json",
    ],
)
def test_an_answer_has_the_recorded_shape(ask: Ask, clock: Clock, file: str) -> None:
    response = ask(**recorded_request(file))
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert shape(response.json()) == shape(recorded(file))
    assert response.json()["finish_reason"] == recorded(file)["finish_reason"]
    assert response.json()["created_at"] == int(clock.now)
    assert response.json()["model"].startswith("GigaChat-3-Ultra:")


def test_both_hosts_have_their_path(http: httpx.Client, emulator: Emulator) -> None:
    origin = emulator.base_url.removesuffix("/v1")
    body = {"model": "GigaChat", "messages": [user("Привет")]}
    assert http.post(f"{origin}/api{V2}", json=body).status_code == 200
    assert http.post(origin + V2, json=body, headers={"Authorization": "Bearer x"}).status_code == 401
    assert len(emulator.requests_to(V2)) == 2
    emulator.reply(V2, Reply.error(503, "Service Unavailable"))
    assert http.post(f"{origin}/api{V2}", json=body).status_code == 503


def test_nothing_else_is_open_under_the_second_version(http: httpx.Client, emulator: Emulator) -> None:
    response = http.get(emulator.base_url.removesuffix("/v1") + "/v2/files")
    assert (response.status_code, response.headers["content-type"]) == (403, "text/html")
    assert "403 Forbidden" in response.text


def test_its_requests_count_among_those_in_flight() -> None:
    with Emulator(concurrency=0) as emulator, open_client(emulator) as http:
        response = http.post(emulator.base_url.removesuffix("/v1") + V2, json={})
        assert (response.status_code, emulator.max_in_flight) == (429, 1)


def test_the_text_follows_from_the_last_user_message(ask: Ask) -> None:
    assert said(ask([user("раз"), {"role": "assistant", "content": [{"text": "a"}]}, user("два")])) == (
        "Вы написали: два"
    )
    assert said(ask([{"role": "user", "content": []}])) == "Вы ничего не написали."
    assert said(ask([{"role": "reasoning", "content": [{"text": "раз"}]}])) == "Вы ничего не написали."


def test_neighbours_of_one_role_are_one_message_unless_that_is_forbidden(ask: Ask) -> None:
    messages = [{"role": "system", "content": [{"text": "Отвечай."}]}, user("раз"), user("два")]
    assert said(ask(messages)) == "Вы написали: раз\nдва"
    assert said(ask(messages, model_options={"unnormalized_history": True})) == "Вы написали: два"
    alone = [{"role": "system", "content": [{"text": "Отвечай."}]}]
    assert said(ask(alone)) == "Вы написали: Отвечай."
    assert said(ask(alone, model_options={"unnormalized_history": True})) == "Вы ничего не написали."


def test_usage_adds_up_and_grows_with_the_question(ask: Ask) -> None:
    short, long = ask("Привет").json()["usage"], ask("Привет, " * 10, **FORCED).json()["usage"]
    for usage in (short, long):
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        assert usage["input_tokens_details"] == {"prompt_tokens": usage["input_tokens"], "cached_tokens": 0}
    assert long["input_tokens"] > short["input_tokens"] + 10


def test_what_a_session_has_sent_before_is_cached(ask: Ask) -> None:
    def cached(messages: list[Any], session: str | None) -> int:
        headers = {"X-Session-ID": session} if session else None
        hits: int = ask(messages, headers).json()["usage"]["input_tokens_details"]["cached_tokens"]
        return hits

    history = [user("раз, два, три"), {"role": "assistant", "content": [{"text": "четыре"}]}]
    assert cached(history, "моя".encode().hex()) == 0
    hits = cached([*history, user("пять")], "моя".encode().hex())
    assert hits > 0
    assert cached([*history, user("пять")], "чужая".encode().hex()) == 0
    assert cached([*history, user("пять")], None) == 0
    assert cached([user("иначе"), *history], "моя".encode().hex()) == 0


def test_max_tokens_cuts_the_answer(ask: Ask) -> None:
    whole = ask("раз два три").json()
    size = whole["usage"]["output_tokens"]
    kept = ask("раз два три", model_options={"max_tokens": size}).json()
    assert (kept["messages"], kept["finish_reason"]) == (whole["messages"], "stop")
    cut = ask("раз два три", model_options={"max_tokens": size - 1})
    assert cut.json()["finish_reason"] == "length"
    assert cut.json()["usage"]["output_tokens"] == size - 1
    assert said(ask("раз два три")).startswith(said(cut))


def test_a_schema_gets_pretty_printed_json_that_satisfies_it(ask: Ask) -> None:
    options = recorded_request("primary_chat_parse_json_schema.json")["model_options"]
    assert said(ask(model_options=options)) == '{\n    "answer": "текст",\n    "n": 1\n}'


def test_a_pattern_gets_a_text_that_matches_it(ask: Ask) -> None:
    pattern = r"[A-Z]{3}-\d{4}"
    text = said(ask(model_options={"response_format": {"type": "regex", "regex": pattern}}))
    assert re.fullmatch(pattern, text)
    refused = ask(model_options={"response_format": {"type": "regex", "regex": "(?=a)b"}})
    assert (refused.status_code, refused.json()["message"]) == (
        422,
        "Invalid params: regex can't be satisfied: no text was found that matches (?=a)b",
    )


def test_a_schema_that_nothing_satisfies_is_refused(ask: Ask) -> None:
    endless = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    response = ask(model_options={"response_format": {"type": "json_schema", "schema": endless}})
    assert (response.status_code, "schema can't be satisfied" in response.text) == (422, True)
    function = {"name": "f", "parameters": {"properties": {"a": endless}, "required": ["a"], **endless}}
    tools = [{"functions": {"specifications": [function]}}]
    response = ask(tools=tools, tool_config={"mode": "forced", "function_name": "f"})
    assert (response.status_code, "schema can't be satisfied" in response.text) == (422, True)


def test_a_forced_function_is_called_with_fitting_arguments(ask: Ask) -> None:
    answer = ask("Погода?", **FORCED).json()
    message = answer["messages"][0]
    state_id = message.pop("tool_state_id")
    call = {"function_call": {"name": "weather", "arguments": {"place": "Тула", "days": 3}}}
    assert message == {"role": "assistant", "content": [call]}
    assert answer["finish_reason"] == "function_call"
    assert ask("Погода?", **FORCED).json()["messages"][0]["tool_state_id"] == state_id


def test_any_of_some_functions_is_called_or_all_of_them_in_parallel(ask: Ask) -> None:
    config = {"mode": "any", "functions_names_any": ["time", "weather"]}
    assert parts(ask(tools=FUNCTIONS, tool_config=config)) == [{"function_call": {"name": "time", "arguments": {}}}]
    both = parts(ask(tools=FUNCTIONS, tool_config=config, model_options={"parallel_tool_calls": True}))
    assert [part["function_call"]["name"] for part in both] == ["time", "weather"]
    ids = [part["function_call"]["id"] for part in both]
    assert len(set(ids)) == 2
    named = zip(ids, ("time", "weather"), strict=True)
    results = [{"function_result": {"id": one, "name": name, "result": {}}} for one, name in named]
    history = [user("?"), {"role": "assistant", "content": both}, {"role": "tool", "content": results[::-1]}]
    assert ask(history, tools=FUNCTIONS).json()["finish_reason"] == "stop"


@pytest.mark.parametrize(
    "config", [None, {"mode": "auto"}, {"mode": "auto", "function_name": "weather"}, {"mode": "none"}]
)
def test_a_function_that_is_not_forced_is_not_called(ask: Ask, config: Any) -> None:
    answer = ask("Погода?", tools=FUNCTIONS, tool_config=config)
    assert said(answer) == "Вы написали: Погода?"
    assert ("tool_state_id" in answer.json()["messages"][0]) == (config != {"mode": "none"})


def test_thoughts_are_a_message_of_their_own(ask: Ask) -> None:
    response = ask("Привет", model_options={"reasoning": {"effort": "high"}})
    thought, answer = response.json()["messages"]
    assert (thought["role"], answer["role"]) == ("reasoning", "assistant")
    assert "Привет" in thought["content"][0]["text"]
    plain = ask("Привет").json()
    assert response.json()["usage"]["output_tokens"] > plain["usage"]["output_tokens"]
    short = ask("Привет", model_options={"reasoning": {"max_tokens": 1}}).json()["messages"][0]
    assert thought["content"][0]["text"].startswith(short["content"][0]["text"])
    assert len(short["content"][0]["text"]) < len(thought["content"][0]["text"])
    for silent in ({"effort": "off"}, {}, None):
        assert ask("Привет", model_options={"reasoning": silent}).json()["messages"] == plain["messages"]


def test_likely_tokens_are_told(ask: Ask) -> None:
    (part,) = parts(ask("Привет", model_options={"top_logprobs": 3}))
    assert "".join(one["chosen"]["token"] for one in part["logprobs"]) == part["text"]
    for one in part["logprobs"]:
        assert one["chosen"].keys() == {"token", "token_id", "logprob"}
        assert one["chosen"] == max(one["top"], key=lambda token: token["logprob"])
        assert len({token["token"] for token in one["top"]}) == 3


def test_a_thread_remembers_what_was_said(ask: Ask) -> None:
    first = ask("Меня зовут Аня", storage={})
    assert said(first) == "Вы написали: Меня зовут Аня"
    storage = {"thread_id": first.json()["thread_id"]}
    second = ask("Как меня зовут?", model=None, storage=storage)
    assert said(second) == "Вы написали: Как меня зовут? (раньше: Меня зовут Аня)"
    assert second.json()["model"].startswith("GigaChat-3-Ultra:")
    assert second.json()["thread_id"] == storage["thread_id"]
    assert second.json()["messages"][0]["message_id"] != first.json()["messages"][0]["message_id"]
    assert second.json()["usage"]["input_tokens"] > first.json()["usage"]["input_tokens"]
    short = ask("А так?", storage={**storage, "limit": 1})
    assert said(short) == "Вы написали: А так?"
    unknown = ask(storage={"thread_id": "нет"})
    assert (unknown.status_code, unknown.json()["message"]) == (404, "No such thread")


def test_what_was_refused_is_not_remembered(ask: Ask) -> None:
    storage = {"thread_id": ask("раз", storage=True).json()["thread_id"]}
    assert ask([user("два"), {"role": "system", "content": []}, user("три")], storage=storage).status_code == 422
    assert said(ask("четыре", storage=storage)) == "Вы написали: четыре (раньше: раз)"
    assert "thread_id" not in ask("раз", storage=False).json()


def test_a_call_in_a_thread_is_answered_by_its_result_alone(ask: Ask) -> None:
    storage = {"thread_id": ask("Погода?", storage={"metadata": {"a": 1}}, **FORCED).json()["thread_id"]}
    assert ask("Ну?", storage=storage, tools=FUNCTIONS).status_code == 422
    result = {"role": "tool", "content": [{"function_result": {"name": "weather", "result": '{"degrees": 5}'}}]}
    assert said(ask([result], storage=storage, tools=FUNCTIONS)) == "Вы написали: Погода?"
    # beyond the limit of one message stands the call; its result is not shown to the model either
    assert said(ask("Ещё?", storage={**storage, "limit": 2})) == "Вы написали: Ещё?"


def test_an_assistant_brings_its_model_instructions_and_functions(ask: Ask, http: httpx.Client) -> None:
    about = {"model": "GigaChat-2-Pro", "name": "Синоптик", "instructions": "Будь краток.", "functions": [WEATHER]}
    assistant = {"assistant_id": http.post("/assistants", json=about).json()["assistant_id"], "model": None}
    answer = ask("Погода?", **assistant, tool_config={"mode": "forced", "function_name": "weather"}).json()
    assert answer["model"].startswith("GigaChat-2-Pro:")
    assert answer["finish_reason"] == "function_call"
    assert "thread_id" not in answer
    kept = ask("раз", **assistant, storage={}).json()
    plain = ask("раз").json()["usage"]["input_tokens"]
    assert kept["usage"]["input_tokens"] > plain
    assert said(ask("два", storage={"thread_id": kept["thread_id"]}, model=None)) == "Вы написали: два (раньше: раз)"
    own = ask([{"role": "system", "content": [{"text": "Иначе."}]}, user("раз")], **assistant, tools=[])
    assert own.status_code == 200
    assert ask(assistant_id="нет", model=None).json()["message"] == "No such assistant"


def test_the_answer_can_be_set(ask: Ask, emulator: Emulator) -> None:
    emulator.answer("Здравствуйте!")
    assert ask().json()["messages"] == [{"role": "assistant", "content": [{"text": "Здравствуйте!"}]}]
    message: dict[str, Any] = {"role": "assistant", "content": [{"text": "а"}, {"files": [{"id": "1"}]}, {"text": "б"}]}
    emulator.answer({**message, "tool_state_id": "1", "inline_data": {}})
    assert ask().json()["messages"] == [{"tool_state_id": "1", "inline_data": {}, **message}]
    cut = ask(model_options={"max_tokens": 1})
    assert (parts(cut)[2], cut.json()["finish_reason"]) == ({"text": ""}, "length")
    emulator.answer({"content": [{"function_call": {"name": "time", "arguments": {}}}]})
    assert ask().json()["finish_reason"] == "function_call"
    emulator.answer({"content": "Нельзя.", "finish_reason": "blacklist"})
    assert ask().json()["finish_reason"] == "blacklist"
    emulator.answer(None)
    assert said(ask()) == "Вы написали: Привет"


def test_an_answer_in_the_shape_of_the_first_version_is_turned_into_the_second(ask: Ask, emulator: Emulator) -> None:
    call = {"name": "time", "arguments": {}}
    emulator.answer({"content": None, "function_call": call, "functions_state_id": "1", "reasoning_content": "Хм."})
    thought, message = ask().json()["messages"]
    assert thought == {"role": "reasoning", "content": [{"text": "Хм."}]}
    assert message == {"role": "assistant", "tool_state_id": "1", "content": [{"function_call": call}]}
    emulator.answer({"content": ""})
    assert parts(ask()) == [{"text": ""}]


def test_the_answer_can_be_computed_from_what_the_model_sees(ask: Ask, emulator: Emulator) -> None:
    emulator.answer(lambda request: json.dumps([one["content"][0]["text"] for one in request["messages"]]))
    first = ask("раз", storage={})
    assert json.loads(said(first)) == ["раз"]
    second = json.loads(said(ask("два", storage={"thread_id": first.json()["thread_id"]})))
    assert second == ["раз", said(first), "два"]


def test_half_of_a_surrogate_pair_does_not_stop_the_answer(http: httpx.Client, emulator: Emulator) -> None:
    body = b'{"model":"GigaChat","messages":[{"role":"user","content":[{"text":"\\ud800 3d"}]}],'
    body += b'"tools":[{"image_generate":{}},{"model_3d_generate":{}}],"model_options":{"top_logprobs":1},'
    body += b'"tool_config":{"mode":"forced","tool_name":"'
    for tool in (b"image_generate", b"model_3d_generate"):
        content = body + tool + b'"}}'
        url = emulator.base_url.removesuffix("/v1") + V2
        assert http.post(url, content=content, headers={"Content-Type": "application/json"}).status_code == 200
