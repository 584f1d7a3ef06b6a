"""Calls of every method, with every field that its operation takes; the data of `test_every_operation.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from gigachat_sdk.testing import Emulator

Call = Callable[..., Awaitable[Any]]
"""Takes an operation's id and the arguments of its method, sends it, checks the wire, and gives what came of it."""

FUNCTION = {
    "name": "weather",
    "description": "Погода в городе",
    "parameters": {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]},
    "few_shot_examples": [{"request": "Что с погодой в Туле?", "params": {"place": "Тула"}}],
    "return_parameters": {"type": "object", "properties": {"degrees": {"type": "number"}}},
}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
QUESTION = [{"role": "user", "content": "Привет!"}]
LOGPROB = {"token": "а", "token_id": 1, "logprob": -0.5}
DIALOGUE = [  # with all that a message of an answer may have, since answers are sent back as they came
    {"role": "system", "content": "Кратко."},
    {"role": "user", "content": "Что с погодой в Туле?", "attachments": []},
    {
        "role": "assistant",
        "content": "",
        "reasoning_content": "Спрошу.",
        "function_call": {"id": "1", "name": "weather", "arguments": {"place": "Тула"}},
        "functions_state_id": "77d3fb14-457a-46ba-937e-8d856156d003",
        "created": 1_800_000_000,
        "inline_data": {},
        "logprobs": [{"chosen": LOGPROB, "top": [LOGPROB]}],
        "data_for_context": [{}],
        "id": "m-1",
    },
    {"role": "function", "name": "weather", "content": {"degrees": 7}},
]
SAMPLING = {"temperature": 0.7, "top_p": 0.5, "max_tokens": 100, "repetition_penalty": 1.1, "profanity_check": True}
CHOICES: list[Any] = ["auto", "none", {"name": "weather", "partial_arguments": {"place": "Тула"}}]
TEXT = " ".join(["Спутник летит над Землёй и передаёт сигналы."] * 5)
OPENAPI = """
openapi: 3.0.0
info: {title: Погода, version: "1"}
paths:
  /weather:
    get:
      operationId: weather
      description: Погода в городе
      parameters: [{name: place, in: query, required: true, schema: {type: string}}]
      responses: {"200": {description: Погода}}
"""


class Scenario(NamedTuple):
    """Some calls in a row."""

    name: str
    run: Callable[[Call, Emulator], Awaitable[None]]

    def __str__(self) -> str:
        return self.name


SCENARIOS: list[Scenario] = []


def scenario(function: Callable[[Call, Emulator], Awaitable[None]]) -> Callable[[Call, Emulator], Awaitable[None]]:
    SCENARIOS.append(Scenario(function.__name__, function))
    return function


@scenario
async def tokens_are_issued(call: Call, emulator: Emulator) -> None:
    await call("createAccessToken", emulator.credentials, auth_url=emulator.auth_url)
    await call("createTokenByPassword", "user", "password", base_url=emulator.base_url)


@scenario
async def models_are_listed(call: Call, emulator: Emulator) -> None:
    models = await call("listModels")
    await call("getModel", models.data[0].id)


@scenario
async def a_dialogue_in_v1(call: Call, emulator: Emulator) -> None:
    file = await call("uploadFile", file=("note.txt", b"text"))
    for stream in (False, True):
        for choice in CHOICES:
            await call(
                "createChatCompletion",
                messages=DIALOGUE,
                model="GigaChat-2-Max",
                functions=[FUNCTION],
                function_call=choice,
                stream=stream,
                update_interval=0,
                **SAMPLING,
            )
    await call(
        "createChatCompletion",
        messages=[{**QUESTION[0], "attachments": [file.id]}],
        response_format={"type": "json_schema", "schema": SCHEMA, "strict": True},
        reasoning_effort="low",
        reasoning_max_tokens=100,
        n=1,
        flags=["flag"],
        function_ranker={"enabled": True, "top_n": 3},
        additional_data={"features": {"embedder_model": "Embeddings"}},
    )
    for response_format in ({"type": "text"}, {"type": "regex", "regex": "[0-9]{3}"}):
        await call("createChatCompletion", messages=QUESTION, response_format=response_format)
    assistant = (await call("createAssistant", model="GigaChat", name="Лектор")).assistant_id
    await call("createChatCompletion", messages=QUESTION, assistant_id=assistant)
    thread = (await call("addThreadMessages", messages=QUESTION, assistant_id=assistant)).thread_id
    storage = {"is_stateful": True, "limit": 5, "metadata": {"team": "a"}}
    for place in ({"assistant_id": assistant}, {"thread_id": thread}):
        await call("createChatCompletion", messages=QUESTION, storage={**storage, **place})


@scenario
async def embeddings(call: Call, emulator: Emulator) -> None:
    await call("createEmbeddings", input="Байкал", model="Embeddings")
    await call("createEmbeddings", input=["Байкал", "Ладога"], model="EmbeddingsGigaR")


@scenario
async def usage(call: Call, emulator: Emulator) -> None:
    await call("countTokens", input=["Байкал", ""], model="GigaChat")
    await call("getBalance")


@scenario
async def checks(call: Call, emulator: Emulator) -> None:
    for model in ("GigaCheckClassification", "GigaCheckDetection"):
        await call("aiCheck", input=TEXT, model=model)
    settings = {"neuro": True, "blacklist": False, "whitelist": False, "unnormalized_history": False}
    await call("filterCheck", messages=DIALOGUE, model="GigaFilter", settings=settings, functions=[FUNCTION])


@scenario
async def functions(call: Call, emulator: Emulator) -> None:
    converted = await call("convertFunctions", openapi=OPENAPI)
    for function in (FUNCTION, converted.functions[0]):
        await call("validateFunction", function=function)


@scenario
async def files(call: Call, emulator: Emulator) -> None:
    file = await call("uploadFile", file=("Байкал.txt", b"\xd0\x91\r\n--x"), purpose="assistant")
    await call("listFiles")
    await call("getFile", file.id)
    assert await call("getFileContent", file.id) == b"\xd0\x91\r\n--x"
    await call("deleteFile", file.id)


@scenario
async def assistants(call: Call, emulator: Emulator) -> None:
    file = await call("uploadFile", file=("note.txt", b"text"), purpose="assistant")
    fields = {
        "name": "Лектор",
        "description": "Читает лекции",
        "instructions": "Отвечай как лектор.",
        "file_ids": [file.id],
        "functions": [FUNCTION],
        "metadata": {"team": "a"},
    }
    made = await call("createAssistant", model="GigaChat", **fields)
    await call("createAssistant", name="Второй")
    await call("modifyAssistant", made.assistant_id, **fields)
    await call("listAssistants")
    await call("listAssistants", assistant_id=made.assistant_id)
    await call("deleteAssistantFile", file.id, assistant_id=made.assistant_id)
    await call("deleteAssistant", made.assistant_id)


@scenario
async def threads(call: Call, emulator: Emulator) -> None:
    assistant = (await call("createAssistant", model="GigaChat", name="Лектор")).assistant_id
    thread = (await call("createThread")).thread_id
    await call("addThreadMessages", messages=QUESTION, thread_id=thread)
    await call("addThreadMessages", messages=QUESTION, model="GigaChat")
    of_assistant = (await call("addThreadMessages", messages=QUESTION, assistant_id=assistant)).thread_id
    await call("listThreads")
    await call("listThreads", assistants_ids=[assistant, assistant], limit=5, before=2_000_000_000)
    await call("retrieveThreads", [thread, of_assistant])
    await call("listThreadMessages", thread)
    await call("listThreadMessages", thread, limit=5, before=2_000_000_000)
    await call("deleteThread", thread)


@scenario
async def threads_are_run(call: Call, emulator: Emulator) -> None:
    assistant = (await call("createAssistant", model="GigaChat", name="Лектор")).assistant_id
    options = {**SAMPLING, "limit": 5, "flags": ["flag"], "functions": [FUNCTION]}
    for stream in (False, True):
        for choice in CHOICES:
            more = {**options, "function_call": choice, "stream": stream}
            thread = (await call("addThreadMessages", messages=QUESTION, assistant_id=assistant)).thread_id
            await call("runThread", thread, assistant_id=assistant, **more)
            await call("getThreadRun", thread)
            thread = (await call("addThreadMessages", messages=DIALOGUE, assistant_id=assistant)).thread_id
            await call("runThreadMessages", messages=QUESTION, thread_id=thread, update_interval=0, **more)
            await call("rerunThreadMessages", thread, update_interval=0, **more)
    await call("runThreadMessages", messages=DIALOGUE, model="GigaChat")
    await call("runThreadMessages", messages=QUESTION, assistant_id=assistant)


@scenario
async def batches(call: Call, emulator: Emulator) -> None:
    made = await call("createBatch", requests=[{"messages": DIALOGUE, "model": "GigaChat"}, {"messages": QUESTION}])
    await call("createBatch", requests=[{"input": ["Байкал"], "model": "Embeddings"}], method="embedder")
    await call("listBatches")
    done = await call("listBatches batches.retrieve", made.id)
    content = await call("getFileContent", done.output_file_id)
    assert len(content.splitlines()) == 2


V2_DIALOGUE: list[Any] = [
    {"role": "system", "content": "Кратко."},
    {"role": "user", "content": [{"text": "Что с погодой в Туле?"}]},
    {"role": "reasoning", "content": [{"text": "Спрошу.", "logprobs": [{"chosen": LOGPROB, "top": [LOGPROB]}]}]},
    {
        "role": "assistant",
        "content": [
            {
                "text": "Смотрю.",
                "inline_data": {
                    "sources": {"1": {"url": "https://example.com", "title": "Пример"}},
                    "images": [{}],
                    "widgets": [{}],
                },
            },
            {"tool_execution": {"name": "web_search", "status": "success", "seconds_left": 0, "censored": False}},
            {"function_call": {"id": "1", "name": "weather", "arguments": {"place": "Тула"}}},
        ],
        "tools_state_id": "77d3fb14-457a-46ba-937e-8d856156d003",
    },
    {
        "role": "tool",
        "content": [{"function_result": {"id": "1", "name": "weather", "result": {"degrees": 7}}}],
        "tools_state_id": "77d3fb14-457a-46ba-937e-8d856156d003",
    },
    {"role": "user", "content": "А завтра?"},
]
V2_TOOLS: list[Any] = [
    {"functions": {"specifications": [FUNCTION]}},
    {"web_search": {"type": "web_search", "indexes": ["index"], "flags": ["flag"]}},
    {"image_generate": {}},
    {"model_3d_generate": {}},
    {"url_content_extraction": {}},
    {"get_datetime": {}},
    {"memory": {}},
]
V2_CONFIGS: list[Any] = [
    {"mode": "auto"},
    {"mode": "none"},
    {"mode": "forced", "tool_name": "web_search"},
    {"mode": "forced", "function_name": "weather"},
    {"mode": "any", "functions_names_any": ["weather"]},
]


@scenario
async def a_dialogue_in_v2(call: Call, emulator: Emulator) -> None:
    for stream in (False, True):
        for config in V2_CONFIGS:
            await call(
                "createChatCompletionV2",
                messages=V2_DIALOGUE,
                model="GigaChat-2-Max",
                model_options={
                    "temperature": 0.7,
                    "top_p": 0.5,
                    "max_tokens": 100,
                    "repetition_penalty": 1.1,
                    "update_interval": 0,
                    "unnormalized_history": True,
                    "top_logprobs": 2,
                    "parallel_tool_calls": True,
                    "preset": "preset",
                    "reasoning": {"effort": "low", "max_tokens": 10},
                },
                tools=V2_TOOLS,
                tool_config=config,
                stream=stream,
                disable_filter=False,
                filter_config={
                    "request_content": {"neuro": True, "blacklist": False, "whitelist": False},
                    "response_content": {"blacklist": False},
                },
                flags=["flag"],
                ranker_options={"enabled": True, "top_n": 3, "embeddings_model": "Embeddings"},
                user_info={"timezone": "Europe/Moscow"},
                tools_state_id="77d3fb14-457a-46ba-937e-8d856156d003",
                memory_id="memory",
            )


@scenario
async def tools_and_threads_of_v2(call: Call, emulator: Emulator) -> None:
    file = await call("uploadFile", file=("note.txt", b"text"))
    content = [{"text": "Что здесь?"}, {"files": [{"id": file.id, "target": "document", "mime": "text/plain"}]}]
    await call(
        "createChatCompletionV2",
        messages=[{"role": "user", "content": content}],
        model="GigaChat-3-Ultra",
        tools=[{"code_interpreter": {}}],
    )
    for response_format in (
        {"type": "text"},
        {"type": "json_schema", "schema": SCHEMA, "strict": True},
        {"type": "regex", "regex": "[0-9]{3}"},
    ):
        await call("createChatCompletionV2", messages=QUESTION, model_options={"response_format": response_format})
    for stream in (False, True):
        begun = await call("createChatCompletionV2", messages=QUESTION, storage=True)
        storage = {"thread_id": begun.thread_id, "limit": 5, "metadata": {"team": "a"}}
        await call("createChatCompletionV2", messages=QUESTION, storage=storage, stream=stream)
    assistant = (await call("createAssistant", model="GigaChat", name="Лектор")).assistant_id
    await call("createChatCompletionV2", messages=QUESTION, assistant_id=assistant)
