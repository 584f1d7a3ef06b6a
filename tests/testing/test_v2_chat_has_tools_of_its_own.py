import re
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator

from .wire import Ask, parts, said, shape, user, v2_asker

# Of the official package's recordings of 2026-06, test_primary_chat_builtin_tools.yaml
SEARCHED = {
    "model": "",
    "created_at": 0,
    "messages": [
        {
            "role": "assistant",
            "tool_state_id": "",
            "content": [{"text": "", "inline_data": {"images": [], "sources": {"1": {"url": "", "title": ""}}}}],
        }
    ],
    "finish_reason": "",
    "usage": {
        "input_tokens": 0,
        "input_tokens_details": {"prompt_tokens": 0, "cached_tokens": 0},
        "output_tokens": 0,
        "total_tokens": 0,
    },
}
DRAWN = {
    **SEARCHED,
    "messages": [
        {
            "role": "assistant",
            "tool_state_id": "",
            "content": [{"files": [{"id": "", "mime": "", "target": ""}]}, {"text": ""}],
        }
    ],
}


@pytest.fixture
def ask(http: httpx.Client, emulator: Emulator) -> Ask:
    return v2_asker(http, emulator)


@pytest.mark.parametrize(
    ("text", "members", "is_drawn"),
    [
        ("Нарисуй розового слона.", {}, True),
        ("Create a simple square icon", {"tool_config": {"mode": "auto"}}, True),
        ("Привет", {}, False),
        ("Привет", {"tool_config": {"mode": "forced", "tool_name": "image_generate"}}, True),
        ("Нарисуй слона", {"tool_config": {"mode": "none"}}, False),
        ("Нарисуй слона", {"tools": [{"web_search": {}}]}, False),
    ],
)
def test_an_image_is_drawn_where_one_is_asked_for(ask: Ask, text: str, members: dict[str, Any], is_drawn: bool) -> None:
    assert (
        any("files" in part for part in parts(ask(text, **{"tools": [{"image_generate": {}}], **members}))) == is_drawn
    )


def test_an_image_stands_before_the_text_and_can_be_downloaded(ask: Ask, http: httpx.Client) -> None:
    mine = {"X-Client-ID": "1"}
    response = ask("Нарисуй кота", mine, tools=[{"image_generate": {}}])
    assert shape(response.json()) == shape(DRAWN)
    file = parts(response)[0]["files"][0]
    assert (file["mime"], file["target"], said(response)) == (
        "image/jpeg",
        "image",
        "Готово. Вы написали: Нарисуй кота",
    )
    image = http.get(f"/files/{file['id']}/content", headers=mine)
    assert (image.status_code, image.headers["content-type"]) == (200, "image/jpeg")
    assert image.content.startswith(b"\xff\xd8\xff")
    assert http.get(f"/files/{file['id']}/content").status_code == 404
    assert http.get(f"/files/{file['id']}", headers=mine).json()["modalities"] == ["image"]


def test_a_model_in_three_dimensions_is_a_file_too(ask: Ask, http: httpx.Client) -> None:
    for text in ("Сделай 3D-модель кота", "Кот"):
        forced = {"tool_config": {"mode": "forced", "tool_name": "model_3d_generate"}} if text == "Кот" else {}
        file = parts(ask(text, tools=[{"model_3d_generate": {}}], **forced))[0]["files"][0]
        assert file["target"] == "3dmodel"
        assert http.get(f"/files/{file['id']}/content").content.startswith(b"Kaydara FBX Binary")
    assert said(ask("Кот", tools=[{"model_3d_generate": {}}])) == "Вы написали: Кот"


@pytest.mark.parametrize("kind", [{}, {"type": "safe_search", "indexes": ["a"], "flags": []}])
def test_a_search_names_its_sources(ask: Ask, kind: dict[str, Any]) -> None:
    response = ask("Что нового?", tools=[{"web_search": kind}])
    assert shape(response.json()) == shape(SEARCHED)
    (part,) = parts(response)
    assert re.findall(r"\[sources=\[(\d+)]]", part["text"]) == list(part["inline_data"]["sources"])


@pytest.mark.parametrize("tool", ["code_interpreter", "url_content_extraction", "memory"])
def test_other_tools_leave_a_state_and_plain_text(ask: Ask, tool: str) -> None:
    response = ask("Прочти https://example.com/", tools=[{tool: {}}])
    assert response.json()["messages"][0].keys() == {"role", "tool_state_id", "content"}
    assert said(response) == "Вы написали: Прочти https://example.com/"


@pytest.mark.parametrize(
    ("info", "time"),
    [
        ({}, "2027-01-15T08:00:00+00:00"),
        ({"user_info": {"timezone": "UTC"}}, "2027-01-15T08:00:00+00:00"),
        ({"user_info": {"timezone": "Нет/Такого"}}, "2027-01-15T08:00:00+00:00"),
        ({"user_info": {"timezone": "Europe/Moscow"}}, "2027-01-15T11:00:00+03:00"),
    ],
)
def test_the_time_is_told_where_the_user_is(ask: Ask, info: dict[str, Any], time: str) -> None:
    assert (
        said(ask("Который час?", tools=[{"get_datetime": {}}], **info)) == f"Вы написали: Который час? Сейчас {time}."
    )


def test_files_are_read_when_they_are_there(ask: Ask, http: httpx.Client) -> None:
    def upload(name: str, content: bytes, mime: str) -> dict[str, Any]:
        answer: dict[str, Any] = http.post("/files", files={"file": (name, content, mime)}).json()
        return {"id": answer["id"]}

    text, picture = upload("a.txt", b"Hello", "text/plain"), upload("b.png", b"PNG", "image/png")
    response = ask([user("Что там?", files=[text, picture])])
    assert said(response) == "Вы написали: Что там? В файле a.txt: «Hello». Приложен файл b.png."
    assert response.json()["usage"]["input_tokens"] == ask("Что там?").json()["usage"]["input_tokens"] + 1
    unknown = ask([user("Что там?", files=[{"id": "нет"}])])
    assert (unknown.status_code, unknown.json()["message"]) == (404, "No such file")
