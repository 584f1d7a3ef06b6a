"""Every public method of the official `gigachat` package 0.2.3, sync and async, against the emulator.

Where the package and the description of the API differ, or the package and our client:

- `POST /threads` may answer with `id` or `thread_id`; the package needs `id`, and the emulator sends that one.
- An assistant's files come as `file_ids`, as in the package's own test data; its model reads `files`, and has none.
- An answer's `tool_state_id` is called `tools_state_id` there; our client keeps the name that came.
- Keywords of a function's schema that the package does not know (`minimum`, `format`) never leave it in v1, so the
  arguments that come back satisfy less than with our client. In v2 the schema goes out as it was given.
- Deleting a file is sent with a needless form, converting functions without a content type: the emulator takes both.
- Batches, the check of the filter and the validation of functions are not in it.
"""

import base64
import inspect
import json
import ssl
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from gigachat_sdk.testing import Emulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # older pydantic dislikes names of fields there
    import gigachat
    from gigachat.assistants import AssistantsAsyncClient, AssistantsSyncClient
    from gigachat.exceptions import NotFoundError, UnprocessableEntityError
    from gigachat.models.threads import ThreadRunOptions
    from gigachat.resources.chat import AsyncChatNamespace, ChatNamespace
    from gigachat.threads import ThreadsAsyncClient, ThreadsSyncClient

JPEG_START, JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
WEATHER = {
    "name": "weather",
    "description": "Погода",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
}
SPECIFICATION = """
openapi: 3.0.0
info: {title: Погода, version: 1.0.0}
paths:
  /weather:
    get:
      operationId: weather
      description: Погода в городе
      parameters:
        - {name: place, in: query, required: true, schema: {type: string}}
      responses:
        '200': {description: OK}
"""


class Sum(BaseModel):
    text: str
    number: int


class Package:
    """One of the package's clients, called by the names of its sync methods; it notes which ones were called."""

    def __init__(self, client: Any, *, is_async: bool) -> None:
        self.client = client
        self.called: set[str] = set()
        self._prefix = {"assistants": "a_assistants", "threads": "a_threads"} if is_async else {}
        self._letter = "a" if is_async else ""

    async def __call__(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        self.called.add(name)
        group, _, method = name.rpartition(".")
        owner = getattr(self.client, self._prefix.get(group, self._letter + group)) if group else self.client
        found = getattr(owner, method if group or method == "token" else self._letter + method)
        result = found(*args, **kwargs) if callable(found) else found
        if inspect.isawaitable(result):
            return await result
        if hasattr(result, "__aiter__"):
            return [item async for item in result]
        return list(result) if inspect.isgenerator(result) else result


Scenario = Callable[[Package, Emulator], Awaitable[None]]
SCENARIOS: list[tuple[frozenset[str], Scenario]] = []


def calls(*names: str) -> Callable[[Scenario], Scenario]:
    """Say which methods a scenario calls."""

    def note(scenario: Scenario) -> Scenario:
        SCENARIOS.append((frozenset(names), scenario))
        return scenario

    return note


@calls("get_models", "get_model", "tokens_count", "embeddings", "get_balance", "check_ai", "openapi_function_convert")
async def what_is_asked_without_a_dialogue(call: Package, emulator: Emulator) -> None:
    assert "GigaChat-2-Max" in [model.id_ for model in (await call("get_models")).data]
    assert (await call("get_model", "GigaChat")).id_ == "GigaChat"
    first, second = await call("tokens_count", ["Привет", "Привет, мир!"])
    assert (first.object_, first.characters) == ("tokens", 6)
    assert 0 < first.tokens < second.tokens
    embeddings = await call("embeddings", ["раз", "два"])
    assert [len(one.embedding) for one in embeddings.data] == [1024, 1024]
    assert [one.index for one in embeddings.data] == [0, 1]
    assert embeddings.data[0].usage.prompt_tokens > 0
    assert "GigaChat" in [one.usage for one in (await call("get_balance")).balance]
    verdict = await call("check_ai", "слово " * 20, "GigaCheckDetection")
    assert (verdict.category, verdict.characters) == ("human", len("слово " * 20))
    converted = await call("openapi_function_convert", SPECIFICATION)
    assert [function.name for function in converted.functions] == ["weather"]
    assert converted.functions[0].parameters.required == ["place"]


@calls("upload_file", "get_file", "get_files", "delete_file", "get_image", "chat")
async def files(call: Package, emulator: Emulator) -> None:
    uploaded = await call("upload_file", ("рассказ.txt", "Жил да был кот.".encode(), "text/plain"))
    assert (uploaded.filename, uploaded.bytes_, uploaded.purpose) == ("рассказ.txt", 26, "general")
    assert (await call("get_file", uploaded.id_)).access_policy == "private"
    question = {"role": "user", "content": "О ком это?", "attachments": [uploaded.id_]}
    told = await call("chat", {"messages": [question]})
    assert told.choices[0].message.content == "Вы написали: О ком это? В файле рассказ.txt: «Жил да был кот.»."
    drawn = await call("chat", {"messages": [{"role": "user", "content": "Нарисуй кота"}], "function_call": "auto"})
    file_id = drawn.choices[0].message.content.partition('<img src="')[2].partition('"')[0]
    image = base64.b64decode((await call("get_image", file_id)).content)
    assert image.startswith(JPEG_START)
    assert image.endswith(JPEG_END)
    assert [file.id_ for file in (await call("get_files")).data] == [uploaded.id_, file_id]
    assert (await call("delete_file", uploaded.id_)).deleted
    with pytest.raises(NotFoundError):
        await call("get_file", uploaded.id_)


@calls("chat", "stream", "chat_parse")
async def chat(call: Package, emulator: Emulator) -> None:
    whole = await call("chat", "Привет")
    assert whole.choices[0].message.content == "Вы написали: Привет"
    chunks = await call("stream", "Привет")
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Вы написали: Привет"
    assert chunks[-1].usage == whole.usage
    _, parsed = await call("chat_parse", "Сложи", response_format=Sum)
    assert parsed == Sum(text="текст", number=1)
    message = {"role": "user", "content": "Подумай"}
    thought = await call("chat", {"messages": [message], "reasoning_effort": "high"})
    assert "Подумай" in thought.choices[0].message.reasoning_content
    kept = await call("chat", {"messages": [message], "storage": {"is_stateful": True}})
    storage = {"is_stateful": True, "thread_id": kept.thread_id}
    again = await call("chat", {"messages": [{"role": "user", "content": "Ещё"}], "storage": storage})
    assert again.choices[0].message.content == "Вы написали: Ещё (раньше: Подумай)"
    assert again.thread_id == kept.thread_id
    assert again.message_id != kept.message_id
    with pytest.raises(NotFoundError, match="No such model"):
        await call("chat", {"model": "None", "messages": [message]})


@calls("chat.create", "chat.stream", "chat.parse")
async def second_version(call: Package, emulator: Emulator) -> None:
    whole = await call("chat.create", "Привет")
    assert [(one.role, one.content[0].text) for one in whole.messages] == [("assistant", "Вы написали: Привет")]
    assert whole.usage.input_tokens_details.prompt_tokens == whole.usage.input_tokens
    events = await call("chat.stream", "Привет")
    assert {event.event for event in events[:-1]} == {"response.message.delta"}
    assert "".join(event.messages[0].content[0].text for event in events[:-1]) == "Вы написали: Привет"
    assert (events[-1].event, events[-1].usage) == ("response.message.done", whole.usage)
    _, parsed = await call("chat.parse", "Сложи", response_format=Sum)
    assert parsed == Sum(text="текст", number=1)
    kept = await call("chat.create", {"messages": [{"role": "user", "content": "раз"}], "storage": True})
    later = {"messages": [{"role": "user", "content": "два"}], "storage": {"thread_id": kept.thread_id}}
    assert (await call("chat.create", later)).messages[0].content[0].text == "Вы написали: два (раньше: раз)"
    with pytest.raises(UnprocessableEntityError, match="Tool code_interpreter is unavailable"):
        await call("chat.create", {"messages": [{"role": "user", "content": "1 + 1"}], "tools": ["code_interpreter"]})


@calls("chat.create", "chat.stream", "get_image")
async def tools_of_the_second_version(call: Package, emulator: Emulator) -> None:
    messages: list[Any] = [{"role": "user", "content": "Погода в Туле?"}]
    tools = [{"functions": {"specifications": [WEATHER]}}]
    forced = {"mode": "forced", "function_name": "weather"}
    asked = await call("chat.create", {"messages": messages, "tools": tools, "tool_config": forced})
    assert asked.finish_reason == "function_call"
    assert asked.messages[0].content[0].function_call.arguments == {"place": "текст"}
    result = {"function_result": {"name": "weather", "result": {"degrees": 5}}}
    messages += [asked.messages[0], {"role": "tool", "content": [result]}]
    told = await call("chat.create", {"messages": messages, "tools": tools})
    assert told.messages[0].content[0].text == "Вы написали: Погода в Туле?"
    sent = emulator.requests[-1].json()["messages"][1]
    assert sent["tools_state_id"] == asked.messages[0].tools_state_id
    drawing = {"messages": [{"role": "user", "content": "Нарисуй кота"}], "tools": ["image_generate"]}
    drawn = await call("chat.create", drawing)
    file = drawn.messages[0].content[0].files[0]
    assert (file.mime, file.target) == ("image/jpeg", "image")
    assert base64.b64decode((await call("get_image", file.id_)).content).startswith(JPEG_START)
    events = await call("chat.stream", {**drawing, "tools": ["web_search"]})
    assert [event.event for event in events[:2]] == ["response.tool.in_progress", "response.tool.completed"]
    assert events[1].messages[0].content[0].tool_execution.status == "success"
    assert events[-2].messages[0].content[0].inline_data.sources["1"].url == "https://example.com/"
    assert events[-1].messages[0].tools_state_id


@calls(*(f"assistants.{name}" for name in ("create", "get", "update", "delete_file", "delete")), "upload_file")
async def assistants(call: Package, emulator: Emulator) -> None:
    file_id = (await call("upload_file", ("a.txt", b"a", "text/plain"), "assistant")).id_
    about = {"instructions": "Говори стихами.", "file_ids": [file_id], "metadata": {"дом": 5}}
    created = await call("assistants.create", "GigaChat-2-Pro", "Поэт", **about)
    found = (await call("assistants.get", created.assistant_id)).data[0]
    assert (found.name, found.instructions, found.metadata) == ("Поэт", "Говори стихами.", {"дом": 5})
    assert (found.created_at, found.files) == (created.created_at, None)
    assert emulator.requests_to("/v1/assistants")[0].json()["file_ids"] == [file_id]
    changed = await call("assistants.update", created.assistant_id, name="Прозаик")
    assert (changed.name, changed.instructions) == ("Прозаик", "Говори стихами.")
    assert (await call("assistants.delete_file", created.assistant_id, file_id)).deleted
    assert (await call("assistants.delete", created.assistant_id)).deleted
    assert (await call("assistants.get")).data == []
    with pytest.raises(UnprocessableEntityError, match="16"):
        await call("assistants.create", "GigaChat", "Много", metadata={str(number): 0 for number in range(17)})


@calls("threads.create_thread", *(f"threads.{name}" for name in ("add_message", "add_messages", "get_messages")))
async def messages_of_threads(call: Package, emulator: Emulator) -> None:
    thread_id = await call("threads.create_thread")
    first = await call("threads.add_message", thread_id, "раз")
    second = await call("threads.add_messages", thread_id, ["два", {"role": "assistant", "content": "три"}])
    listed = await call("threads.get_messages", thread_id)
    assert [(one.role, one.content) for one in listed.messages] == [
        ("user", "раз"),
        ("user", "два"),
        ("assistant", "три"),
    ]
    assert [one.message_id for one in listed.messages] == [
        one.message_id for one in [*first.messages, *second.messages]
    ]
    last = await call("threads.get_messages", thread_id, limit=1)
    assert [one.content for one in last.messages] == ["три"]
    opened = await call("threads.add_messages", messages=["без треда"])
    assert opened.thread_id != thread_id


@calls(
    *(f"threads.{name}" for name in ("get_threads", "list", "retrieve", "delete", "run", "get_run", "run_stream")),
    *(f"threads.{name}" for name in ("run_messages", "rerun_messages", "run_messages_stream", "rerun_messages_stream")),
    "threads.add_message",
    "assistants.create",
)
async def runs_of_threads(call: Package, emulator: Emulator) -> None:
    assistant_id = (await call("assistants.create", "GigaChat-2-Pro", "Поэт", "Говори стихами.")).assistant_id
    begun = await call("threads.run_messages", ["раз"], assistant_id=assistant_id)
    assert (begun.message.content, begun.model.partition(":")[0]) == ("Вы написали: раз", "GigaChat-2-Pro")
    thread_id = begun.thread_id
    chunks = await call("threads.run_messages_stream", ["два"], thread_id=thread_id)
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Вы написали: два (раньше: раз)"
    assert {chunk.thread_id for chunk in chunks} == {thread_id}
    again = await call("threads.rerun_messages", thread_id, ThreadRunOptions(limit=1))
    assert again.message.content == "Вы написали: два"
    chunks = await call("threads.rerun_messages_stream", thread_id, update_interval=1)
    assert chunks[-1].choices[0].finish_reason == "stop"
    await call("threads.add_message", thread_id, "три")
    assert (await call("threads.run", thread_id)).status == "in_progress"
    run = await call("threads.get_run", thread_id)
    assert (run.status, [one.content for one in run.messages]) == (
        "ready",
        ["три", "Вы написали: три (раньше: раз; два)"],
    )
    await call("threads.add_message", thread_id, "четыре")
    chunks = await call("threads.run_stream", thread_id, thread_options=ThreadRunOptions(max_tokens=2))
    assert "".join(chunk.choices[0].delta.content for chunk in chunks) == "Вы написа"
    assert [one.id_ for one in (await call("threads.list", assistants_ids=[assistant_id])).threads] == [thread_id]
    assert (await call("threads.get_threads", assistants_ids=["нет"])).threads == []
    assert (await call("threads.retrieve", [thread_id])).threads[0].assistant_id == assistant_id
    assert await call("threads.delete", thread_id)
    with pytest.raises(NotFoundError):
        await call("threads.get_run", thread_id)


@calls("get_token", "token", "close")
async def tokens_of_the_client(call: Package, emulator: Emulator) -> None:
    token = await call("get_token")
    assert (await call("token")) == token.access_token
    assert emulator.oauth_requests == 1
    await call("close")


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def settings(emulator: Emulator) -> dict[str, Any]:
    return {
        "base_url": emulator.base_url,
        "auth_url": emulator.auth_url,
        "credentials": emulator.credentials,
        "model": "GigaChat",
        "ssl_context": ssl.create_default_context(),
    }


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("names", "scenario"), SCENARIOS, ids=[scenario.__name__ for _, scenario in SCENARIOS])
def test_it_gets_what_it_expects(names: frozenset[str], scenario: Scenario, is_async: bool, emulator: Emulator) -> None:
    async def main() -> None:
        if is_async:
            async with gigachat.GigaChatAsyncClient(**settings(emulator)) as client:
                call = Package(client, is_async=True)
                await scenario(call, emulator)
        else:
            with gigachat.GigaChatSyncClient(**settings(emulator)) as client:
                call = Package(client, is_async=False)
                await scenario(call, emulator)
        assert call.called == names

    anyio.run(main)


def test_it_and_our_own_client_are_told_the_same(emulator: Emulator) -> None:
    question = "Расскажи о Байкале."
    message: Any = {"role": "user", "content": [{"text": question}]}
    with gigachat.GigaChat(**settings(emulator)) as official, emulator.client() as ours:
        theirs = official.chat.create(question)
        answer = ours.v2.chat.completions.create(model="GigaChat", messages=[message])
        assert theirs.messages is not None
        assert theirs.messages[0].content is not None
        assert [part.text for part in theirs.messages[0].content] == [part.text for part in answer.messages[0].content]
        assert theirs.usage is not None
        assert theirs.usage.model_dump() == answer.usage.to_dict()
        streamed = ours.v2.chat.completions.create(model="GigaChat", messages=[message], stream=True)
        assert [event.event for event in official.chat.stream(question)] == [chunk.event for chunk in streamed]
        thread = official.threads.run_messages([question], model="GigaChat")
        listed = ours.threads.messages.list(thread_id=thread.thread_id)
        assert [one.content for one in listed] == [question, thread.message.content]
        file = official.upload_file(("а.txt", b"a", "text/plain"))
        assert [one.id for one in ours.files.list()] == [file.id_]
        assert ours.embeddings.create(input=[question], model="Embeddings").data[0].embedding == (
            official.embeddings([question]).data[0].embedding
        )


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_no_method_of_it_is_left_out() -> None:
    groups = {"assistants": AssistantsSyncClient, "threads": ThreadsSyncClient, "chat": ChatNamespace}
    methods = {name for kind in gigachat.GigaChatSyncClient.__mro__[:-1] for name in public(kind)}
    within = {f"{group}.{name}" for group, kind in groups.items() for name in public(kind)}
    covered = {name for names, _ in SCENARIOS for name in names}
    assert covered == methods - {"assistants", "threads"} | within

    twins = {"assistants": AssistantsAsyncClient, "threads": ThreadsAsyncClient, "chat": AsyncChatNamespace}
    assert all(public(kind) == public(groups[group]) for group, kind in twins.items())
    theirs = {name for kind in gigachat.GigaChatAsyncClient.__mro__[:-1] for name in public(kind)}
    plain = {"token", "a_assistants", "a_threads"}
    assert {name.removeprefix("a") for name in theirs - plain} == methods - {"token", "assistants", "threads"}


def test_a_schema_reaches_the_emulator_as_the_package_sends_it(emulator: Emulator) -> None:
    parameters = {"type": "object", "properties": {"days": {"type": "integer", "minimum": 3}}}
    function = {"name": "forecast", "parameters": parameters}
    messages: Any = [{"role": "user", "content": "Погода?"}]
    forced: Any = {"messages": messages, "functions": [function], "function_call": {"name": "forecast"}}
    with gigachat.GigaChat(**settings(emulator)) as official, emulator.client() as ours:
        theirs = official.chat(forced).choices[0].message.function_call
        assert json.loads(emulator.requests[-1].body)["functions"][0]["parameters"]["properties"]["days"] == {
            "type": "integer",
            "description": "",
        }
        assert theirs is not None
        assert theirs.arguments == {"days": 1}
        answer = ours.chat.completions.create(**forced).choices[0].message.function_call
        assert answer is not None
        assert answer.arguments == {"days": 3}
