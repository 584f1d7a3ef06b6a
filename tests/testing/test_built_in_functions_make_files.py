import hashlib
import re
import struct
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator
from gigachat_sdk.testing import _attachments as attachments
from gigachat_sdk.testing._chat import answer_to
from gigachat_sdk.testing._images import SIDE, fbx, jpeg

from .wire import Ask, events_in, recorded, shape

IMAGE = re.compile(r'<img src="([^"]+)" fuse="true"/>')
MODEL = re.compile(r'<div data-model-id="([^"]+)"/>')
OWN = {"name": "sum", "parameters": {"type": "object", "properties": {}}}
DRAW, SCULPT = {"name": "text2image"}, {"name": "text2model3d"}


def message_of(response: httpx.Response) -> dict[str, Any]:
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


def upload(http: httpx.Client, name: str, content: bytes, mime: str, **headers: str) -> str:
    answer = http.post("/files", files={"file": (name, content, mime)}, headers=headers)
    assert answer.status_code == 200
    file_id: str = answer.json()["id"]
    return file_id


@pytest.mark.parametrize(
    ("text", "members", "is_drawn"),
    [
        ("Нарисуй розового кота", {"function_call": "auto"}, True),
        ("Изобрази море", {"function_call": "auto"}, True),
        ("Создай для меня картинку", {"function_call": "auto"}, True),
        ("Draw a cat", {"function_call": "auto"}, True),
        ("Make me a logo", {"function_call": "auto"}, True),
        ("Что изображено на рисунке?", {"function_call": "auto"}, False),
        ("Привет", {"function_call": "auto"}, False),
        ("Нарисуй кота", {}, False),
        ("Нарисуй кота", {"function_call": "none"}, False),
        ("Нарисуй кота", {"function_call": "auto", "functions": [OWN]}, False),
        ("Нарисуй кота", {"function_call": "auto", "functions": [OWN, DRAW]}, True),
        ("Нарисуй кота", {"function_call": "auto", "functions": [SCULPT]}, True),
        ("Привет", {"function_call": {"name": "text2image"}, "functions": [DRAW]}, True),
        ("Привет", {"function_call": {"name": "text2image"}}, True),
    ],
)
def test_an_image_is_drawn_where_it_may_be(ask: Ask, text: str, members: dict[str, Any], is_drawn: bool) -> None:
    response = ask(text, **members)
    message = message_of(response)
    assert bool(IMAGE.search(message["content"])) == is_drawn
    assert ("functions_state_id" in message) == is_drawn
    assert response.json()["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("text", "members", "is_made"),
    [
        ("Сделай 3D-модель слона", {"function_call": "auto", "functions": [SCULPT]}, True),
        ("Трёхмерный слон", {"function_call": "auto", "functions": [SCULPT, OWN]}, True),
        ("Слон", {"function_call": "auto", "functions": [SCULPT]}, False),
        ("Сделай 3D-модель слона", {"function_call": "auto"}, False),
        ("Слон", {"function_call": {"name": "text2model3d"}, "functions": [SCULPT]}, True),
    ],
)
def test_a_model_in_three_dimensions_is_made_only_when_it_is_named(
    ask: Ask, http: httpx.Client, text: str, members: dict[str, Any], is_made: bool
) -> None:
    found = MODEL.search(message_of(ask(text, **members))["content"])
    assert bool(found) == is_made
    if found:
        content = http.get(f"/files/{found[1]}/content")
        assert content.headers["content-type"] == "application/octet-stream"
        assert content.content.startswith(b"Kaydara FBX Binary  \x00\x1a\x00")


def test_a_function_of_ones_own_can_have_the_name_of_a_built_in_one(ask: Ask) -> None:
    own = {**OWN, "name": "text2image"}
    message = message_of(ask("Нарисуй", functions=[own], function_call={"name": "text2image"}))
    assert message["function_call"] == {"name": "text2image", "arguments": {}}


def test_an_image_belongs_to_the_client_who_asked_for_it(ask: Ask, http: httpx.Client) -> None:
    http.headers["X-Client-ID"] = "Аня".encode().hex()
    file_id = IMAGE.findall(message_of(ask("Нарисуй кота", function_call="auto"))["content"])[0]
    assert http.get(f"/files/{file_id}/content").status_code == 200
    http.headers["X-Client-ID"] = "другой".encode().hex()
    assert http.get(f"/files/{file_id}/content").status_code == 404


def test_an_image_is_a_jpeg_that_follows_from_the_question(ask: Ask, http: httpx.Client) -> None:
    def draw(text: str) -> bytes:
        file_id = IMAGE.findall(message_of(ask(text, function_call="auto"))["content"])[0]
        return http.get(f"/files/{file_id}/content").content

    assert draw("Нарисуй кота") == draw("Нарисуй кота") != draw("Нарисуй пса")


@pytest.mark.parametrize("text", [f"{number}" for number in range(0, 600, 7)])
def test_the_segments_of_an_image_are_well_formed(text: str) -> None:
    content = jpeg(text)
    assert content[:2] == b"\xff\xd8"
    at, markers = 2, list[int]()
    while markers[-1:] != [0xDA]:
        start, marker, length = struct.unpack(">BBH", content[at : at + 4])
        assert start == 0xFF
        markers.append(marker)
        if marker == 0xC0:
            assert struct.unpack(">BHHB", content[at + 4 : at + 10]) == (8, SIDE, SIDE, 1)
        at += 2 + length
    assert markers == [0xE0, 0xFE, 0xDB, 0xC0, 0xC4, 0xC4, 0xDA]
    assert content.endswith(b"\xff\xd9")
    assert b"\xff" not in content[at:-2].replace(b"\xff\x00", b"")
    coded = content[at:-2].replace(b"\xff\x00", b"\xff")
    bits = "".join(f"{byte:08b}" for byte in coded)
    size = int(bits[:4], 2)
    amount = int(bits[4 : 4 + size] or "0", 2)
    difference = amount if bits[4 : 4 + size].startswith("1") else amount - 2**size + 1
    assert bits[4 + size :] == "00" + "1" * (-(6 + size) % 8)
    shade = hashlib.blake2b(text.encode(), digest_size=1).digest()[0]
    assert 128 + difference / 8 == shade


def test_a_model_is_a_document_of_one_node() -> None:
    content = fbx("Слон")
    end, properties, size, name = struct.unpack("<IIIB", content[27:40])
    assert (content[:27], content[40 : 40 + name]) == (
        b"Kaydara FBX Binary  \x00\x1a\x00" + b"\xe8\x1c\x00\x00",
        b"Comment",
    )
    assert (properties, content[end - size : end]) == (1, b"S\x08\x00\x00\x00" + "Слон".encode())
    assert content[end:] == bytes(13)


def test_how_a_built_in_function_gets_on_is_streamed(ask: Ask) -> None:
    response = ask("Нарисуй кота", function_call="auto", stream=True)
    deltas = [event["choices"][0]["delta"] for _, event in events_in(response.text)]
    progress = [delta for delta in deltas if delta.get("role") == "function_in_progress"]
    assert progress == deltas[: len(progress)]
    assert [delta["content"] for delta in progress] == ["2", "1"]
    assert all(delta["name"] == "text2image" and isinstance(delta["created"], int) for delta in progress)
    said = deltas[len(progress) :]
    assert said[0]["role"] == "assistant"
    assert said[0]["functions_state_id"]
    assert len([delta for delta in said if IMAGE.fullmatch(delta["content"])]) == 1
    text = "".join(delta["content"] for delta in said)
    assert IMAGE.sub("*", text) == "Готово: * Вы написали: Нарисуй кота"


def test_thoughts_are_told_and_streamed_first(ask: Ask) -> None:
    response = ask("Привет", reasoning_effort="low")
    message = response.json()["choices"][0]["message"]
    fixture = recorded("fixture_v1_chat_reasoning_content.json")["choices"][0]
    assert message.keys() == fixture["message"].keys()
    deltas = [
        event["choices"][0]["delta"] for _, event in events_in(ask("Привет", reasoning_effort="low", stream=True).text)
    ]
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == message["reasoning_content"]
    assert "".join(delta["content"] for delta in deltas) == message["content"]
    thinking = ["reasoning_content" in delta for delta in deltas]
    assert thinking == sorted(thinking, reverse=True)
    short = message_of(ask("Привет", reasoning_effort="low", reasoning_max_tokens=1))["reasoning_content"]
    assert 0 < len(short) < len(message["reasoning_content"])
    refused = ask("Привет", reasoning_effort="extreme")
    assert (refused.status_code, "reasoning_effort must be one of low, medium, high" in refused.text) == (422, True)


def test_a_call_has_the_recorded_shape(ask: Ask) -> None:
    location = {"type": "object", "properties": {"location": {"type": "string"}, "num_days": {"type": "integer"}}}
    forced = {"functions": [{"name": "fc", "parameters": location}], "function_call": {"name": "fc"}}
    choice = ask("Погода?", **forced).json()["choices"][0]
    del choice["message"]["functions_state_id"]  # documented, and not in the fixture of 2024
    assert shape(choice) == shape(recorded("fixture_v1_chat_function_call.json")["choices"][0])


def test_the_first_document_is_read(ask: Ask, http: httpx.Client) -> None:
    first = upload(http, "а.txt", "Жил кот.".encode(), "text/plain")
    second = upload(http, "б.txt", "Жил пёс.".encode(), "text/plain")
    picture = upload(http, "в.png", b"PNG", "image/png")
    messages = [{"role": "user", "content": "О ком?", "attachments": [first, second, picture]}]
    read = ask(messages)
    assert message_of(read)["content"] == "Вы написали: О ком? В файле а.txt: «Жил кот.». Приложен файл в.png."
    unread = ask(messages, function_call="none")
    assert message_of(unread)["content"] == "Вы написали: О ком? Приложен файл а.txt. Приложен файл в.png."
    assert read.json()["usage"]["prompt_tokens"] > unread.json()["usage"]["prompt_tokens"]
    scanned = upload(http, "г.pdf", b"%PDF-1.7", "application/pdf")
    forced = {"function_call": {"name": "get_file_content"}}
    answer = ask([{"role": "user", "content": "О ком?", "attachments": [scanned]}], **forced)
    assert message_of(answer)["content"] == "Вы написали: О ком? Приложен файл г.pdf."


def test_a_file_that_is_not_there_or_is_anothers_is_not_found(ask: Ask, http: httpx.Client) -> None:
    theirs = upload(http, "а.txt", b"a", "text/plain", **{"X-Client-ID": "1"})
    for file_id in (theirs, "нет"):
        response = ask([{"role": "user", "content": "?", "attachments": [file_id]}])
        assert (response.status_code, response.json()["message"]) == (404, "No such file")


def test_files_can_be_too_many_or_too_large(http: httpx.Client, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = upload(http, "а.png", b"PNG" * 10, "image/png")

    def refusal(*messages: list[str]) -> tuple[int, str]:
        response = ask([{"role": "user", "content": "?", "attachments": ids} for ids in messages])
        return response.status_code, response.json().get("message", "")

    assert refusal([picture, picture]) == (422, "Invalid params: a message can have one image only")
    assert refusal(*[[picture]] * 11) == (422, "Invalid params: a request can have 10 images at most")
    assert refusal(*[[picture]] * 10) == (200, "")
    monkeypatch.setattr(attachments, "_MOST_MEDIA", 60)
    assert refusal([picture]) == (200, "")
    assert refusal([picture], [picture]) == (413, "Payload too large")
    monkeypatch.setattr(attachments, "CONTEXT", 3)
    short = upload(http, "а.txt", b"one two three", "text/plain")
    long = upload(http, "б.txt", b"one two three four", "text/plain")
    assert refusal([short]) == (200, "")
    assert refusal([long]) == (422, "Invalid params: the document is longer than the context of the model")


def test_without_limits_files_can_be_many() -> None:
    with Emulator(limits=False) as emulator, emulator.client() as client, httpx.Client() as plain:
        headers = {"Authorization": f"Bearer {emulator.issue_token()}"}
        url = f"{emulator.base_url}/files"
        picture = plain.post(url, files={"file": ("а.png", b"PNG", "image/png")}, headers=headers).json()["id"]
        messages: Any = [{"role": "user", "content": "?", "attachments": [picture, picture]}]
        assert client.chat.completions.create(messages=messages).choices[0].finish_reason == "stop"


def test_a_thread_remembers_where_the_storage_says_so(ask: Ask) -> None:
    assert "thread_id" not in ask("раз", storage={"is_stateful": False, "thread_id": "1"}).json()
    first = ask("раз", storage={"is_stateful": True, "metadata": {"a": 1}}).json()
    assert first.keys() == {"choices", "created", "model", "object", "thread_id", "message_id", "usage"}
    storage = {"is_stateful": True, "thread_id": first["thread_id"]}
    second = ask("два", model=None, storage=storage)
    assert message_of(second)["content"] == "Вы написали: два (раньше: раз)"
    assert second.json()["model"].startswith("GigaChat:")
    assert message_of(ask("три", storage={**storage, "limit": 1}))["content"] == "Вы написали: три"
    events = events_in(ask("четыре", storage=storage, stream=True).text)
    assert {event["thread_id"] for _, event in events} == {first["thread_id"]}
    assert len({event["message_id"] for _, event in events}) == 1
    unknown = ask("раз", storage={"is_stateful": True, "thread_id": "нет"})
    assert (unknown.status_code, unknown.json()["message"]) == (404, "No such thread")


def test_an_assistant_brings_its_model_and_its_instructions(ask: Ask, http: httpx.Client) -> None:
    about = {"model": "GigaChat-2-Pro", "name": "Поэт", "instructions": "Стихами.", "functions": [OWN]}
    assistant_id = http.post("/assistants", json=about).json()["assistant_id"]
    alone = ask("раз", model=None, assistant_id=assistant_id, function_call={"name": "sum"}, functions=[OWN]).json()
    assert alone["model"].startswith("GigaChat-2-Pro:")
    assert "thread_id" not in alone
    kept = ask("раз", model=None, storage={"is_stateful": True, "assistant_id": assistant_id}).json()
    assert kept["usage"]["prompt_tokens"] > ask("раз").json()["usage"]["prompt_tokens"]
    later = {"is_stateful": True, "thread_id": kept["thread_id"]}
    assert message_of(ask("два", model=None, storage=later))["content"] == "Вы написали: два (раньше: раз)"
    own = [{"role": "system", "content": "Прозой."}, {"role": "user", "content": "раз"}]
    assert ask(own, model=None, assistant_id=assistant_id).status_code == 200


@pytest.mark.parametrize(
    ("members", "status", "message"),
    [
        ({"reasoning_max_tokens": 0}, 422, "reasoning_max_tokens must be in range (0, +inf)"),
        ({"storage": {}}, 400, "invalid JSON"),
        ({"storage": {"is_stateful": "да"}}, 400, "invalid JSON"),
        ({"storage": {"is_stateful": True, "limit": 0}}, 422, "limit must be in range (0, +inf)"),
        ({"storage": {"is_stateful": True, "metadata": {str(n): n for n in range(17)}}}, 422, "at most 16 pairs"),
        ({"assistant_id": "1"}, 422, "model can't be given with assistant_id"),
        ({"assistant_id": "1", "model": None}, 404, "No such assistant"),
        (
            {"model": None, "storage": {"is_stateful": True, "assistant_id": "1", "thread_id": "2"}},
            422,
            "assistant_id can't be given with thread_id",
        ),
        ({"model": None, "storage": {"is_stateful": True}}, 404, "No such model"),
    ],
)
def test_what_does_not_fit_is_refused(ask: Ask, members: dict[str, Any], status: int, message: str) -> None:
    response = ask("раз", **members)
    assert response.status_code == status
    assert message in response.json()["message"]


def test_what_a_session_has_sent_before_is_cached(ask: Ask, http: httpx.Client) -> None:
    def cached(*texts: str) -> int:
        hits: int = ask([{"role": "user", "content": text} for text in texts]).json()["usage"][
            "precached_prompt_tokens"
        ]
        return hits

    assert [cached("раз"), cached("раз")] == [0, 0]
    http.headers["X-Session-ID"] = "1"
    assert cached("раз") == 0
    assert cached("раз", "два") == ask("раз").json()["usage"]["prompt_tokens"]


def test_the_answer_can_be_a_message_of_the_second_version(ask: Ask, emulator: Emulator) -> None:
    call = {"name": "sum", "arguments": {}}
    emulator.answer(
        {"role": "assistant", "tool_state_id": "1", "content": [{"text": "а"}, {"text": "б"}, {"files": []}]}
    )
    assert message_of(ask()) == {"content": "аб", "role": "assistant"}
    emulator.answer({"content": [{"function_call": call}], "finish_reason": "error"})
    choice = ask().json()["choices"][0]
    assert (choice["message"]["function_call"], choice["finish_reason"]) == (call, "error")


def test_an_answer_can_be_had_without_a_request() -> None:
    emulator = Emulator()
    request = {"model": "GigaChat", "messages": [{"role": "user", "content": "Привет"}], "stream": True}
    seen: list[Any] = []
    emulator.answer(lambda body: seen.append(body) or "Да")
    answer = answer_to(emulator._state, request, "1")
    assert answer["choices"][0]["message"]["content"] == "Да"
    assert answer["usage"]["completion_tokens"] == 1
    assert seen == [request]
