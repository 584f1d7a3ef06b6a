"""`types/files.py` and `types/generated.py`: what the service says of its files, and files named in answers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from gigachat_sdk import ChatCompletion, File, FileDeleted, FileList, GeneratedFile
from gigachat_sdk.types import ResponseInfo
from gigachat_sdk.types._base import attach
from gigachat_sdk.types.generated import generated_files
from gigachat_sdk.types.http import Headers


def completion(*contents: str | None, client_id: str | None = None) -> ChatCompletion:
    document = {"choices": [{"message": {"content": content}} for content in contents]}
    return attach(ChatCompletion.model_validate(document), ResponseInfo(200, Headers(), sent_client_id=client_id))


def test_a_file_keeps_what_it_does_not_know() -> None:
    document = {"id": "1", "modalities": ["image"], "access_policy": "public", "expires_at": 5}
    file = File.model_validate(document)
    assert (file.id, file.modalities, file.access_policy) == ("1", ["image"], "public")
    assert file.to_dict() == document
    assert (file.bytes, file.filename, file.purpose, file.object) == (0, "", "", "file")


def test_what_the_service_may_leave_out_has_a_default() -> None:
    assert File.model_validate({"id": "1", "modalities": None}).modalities is None
    deleted = FileDeleted.model_validate({"id": "1", "deleted": True})
    assert (deleted.deleted, deleted.object, deleted.access_policy) == (True, None, None)
    assert FileDeleted(id="1").deleted is False


def test_a_list_of_files_is_a_page() -> None:
    page = FileList.model_validate({"data": [{"id": "1"}, {"id": "2"}]})
    assert [file.id for file in page] == ["1", "2"]
    assert (len(page), page[1].id) == (2, "2")


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("no tags", []),
        ("1 < 2 and 2 > 1", []),
        ('Вот: <img src="a-1" fuse="true"/> и вот.', [("a-1", "image")]),
        ('<IMG\n  SRC = "b_2" >', [("b_2", "image")]),
        ("<img fuse='true' src='c'>", [("c", "image")]),
        ('<img src="a"/><img src="b"/><img src="a"/>', [("a", "image"), ("b", "image")]),
        ('<div data-model-id="m1"/>', [("m1", "model3d")]),
        ('<div class="x" data-model-id="m1">\n</div> <img src="a"/>', [("m1", "model3d"), ("a", "image")]),
        ('<img alt="x > y" src="a">', [("a", "image")]),
        ('<img alt="it\'s" src="a">', [("a", "image")]),
        ('<img src="&#97;b">', [("ab", "image")]),
        ('<![abc[ <!-- <script> <img src="a">', [("a", "image")]),
        ('<img src="a"', []),
        ('<imgsrc="a">', []),
        ("<img src>", []),
        ('<img src="">', []),
        ('<img alt="a">', []),
        ('<img src="https://example.com/a.png">', []),
        ('<img src="a.png">', []),
        ('<img src="../a">', []),
        ('<img src="кот">', []),
        ('<div src="a">', []),
        ('<img data-model-id="a">', []),
        ("<img " * 100 + 'src="a">', [("a", "image")]),
    ],
)
def test_files_are_found_in_the_tags_of_a_text(text: str, files: list[tuple[str, str]]) -> None:
    assert generated_files(text, "me") == [GeneratedFile(name, "me", None, target) for name, target in files]


def test_a_text_that_is_made_to_be_slow_is_not() -> None:
    for piece in ('<img "', "<img '\"", "<img " + "a" * 50, "<div data-model-id='"):
        assert generated_files(piece * 20_000, None) == []


def test_a_completion_knows_its_files() -> None:
    answer = completion('<img src="a"/> <div data-model-id="m"/>', None, '<img src="b"/>', client_id="me")
    assert answer.files() == [
        GeneratedFile("a", "me", target="image"),
        GeneratedFile("m", "me", target="model3d"),
        GeneratedFile("b", "me", target="image"),
    ]
    assert answer.images() == [GeneratedFile("a", "me", target="image"), GeneratedFile("b", "me", target="image")]


def test_a_completion_without_files() -> None:
    assert completion("Привет!", None, "").files() == []
    assert ChatCompletion(choices=[]).images() == []


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda file: pickle.loads(pickle.dumps(file))])
def test_a_generated_file_is_a_plain_value(again: Any) -> None:
    file = GeneratedFile("a", "me", "image/jpeg", "image")
    assert again(file) == file
    assert {file: 1}[again(file)] == 1
    with pytest.raises(AttributeError):
        file.id = "b"  # type: ignore[misc]
