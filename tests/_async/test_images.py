from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gigachat_sdk import AsyncClient, ChatCompletion, GeneratedFile, NotFoundError
from gigachat_sdk.testing import Emulator, Reply

pytestmark = pytest.mark.anyio

CAT = [{"role": "user", "content": "Нарисуй кота"}]


async def draw(client: AsyncClient, client_id: str | None = None) -> ChatCompletion:
    return await client.chat.completions.create(messages=CAT, function_call="auto", client_id=client_id)


async def test_a_picture_is_found_in_the_answer_and_downloaded(client: AsyncClient, tmp_path: Path) -> None:
    completion = await draw(client)
    (picture,) = completion.images()
    assert picture == GeneratedFile(picture.id, target="image")
    assert f'<img src="{picture.id}"' in (completion.choices[0].message.content or "")
    content = await client.files.content(picture)
    assert content.content_type == "image/jpeg"
    await content.write_to_file(tmp_path / "cat.jpg")
    assert (tmp_path / "cat.jpg").read_bytes().startswith(b"\xff\xd8\xff")


async def test_the_client_id_of_the_request_goes_along(client: AsyncClient, emulator: Emulator) -> None:
    (picture,) = (await draw(client, "user-17")).images()
    assert picture.client_id == "user-17"
    assert (await (await client.files.content(picture)).read()).startswith(b"\xff\xd8\xff")
    assert emulator.requests[-1].headers["x-client-id"] == "user-17"
    with pytest.raises(NotFoundError):
        await client.files.content(picture.id)
    assert "x-client-id" not in emulator.requests[-1].headers


async def test_the_client_id_of_the_client_goes_along_too(emulator: Emulator) -> None:
    async with emulator.async_client(client_id="user-17") as client:
        (picture,) = (await draw(client)).images()
    async with emulator.async_client() as other:
        assert (await (await other.files.content(picture)).read()).startswith(b"\xff\xd8\xff")


async def test_an_answer_without_pictures(client: AsyncClient) -> None:
    completion = await client.chat.completions.create(messages=[{"role": "user", "content": "Привет!"}])
    assert (completion.images(), completion.files()) == ([], [])


async def test_a_model_is_a_file_and_no_picture(client: AsyncClient, emulator: Emulator) -> None:
    message = {"role": "assistant", "content": 'Вот <div data-model-id="m-1"></div> и <img src="p-1" fuse="true"/>'}
    emulator.reply("/v1/chat/completions", Reply(json={"choices": [{"message": message, "index": 0}]}))
    completion = await draw(client, "me")
    assert completion.files() == [
        GeneratedFile("m-1", "me", target="model3d"),
        GeneratedFile("p-1", "me", target="image"),
    ]
    assert completion.images() == completion.files()[1:]


async def test_files_of_the_second_contract_know_it_as_well(client: AsyncClient, emulator: Emulator) -> None:
    completion = await client.v2.chat.completions.create(
        messages=[{"role": "user", "content": "Сделай 3D-модель стула"}],
        tools=["model_3d_generate"],
        client_id="user-17",
    )
    for file in completion.files:
        assert file.client_id == "user-17"
        assert await (await client.files.content(file)).read()
        assert emulator.requests[-1].headers["x-client-id"] == "user-17"
    parts = [file for message in completion.messages for file in message.files]
    assert [(file.id, file.mime) for file in parts] == [(file.id, file.mime) for file in completion.files]
    assert await (await client.files.content(parts[0], client_id="user-17")).read()  # a part knows its id alone


async def test_the_seconds_that_are_left_are_no_text(client: AsyncClient) -> None:
    question: Any = {"messages": [{"role": "user", "content": "Нарисуй кота"}], "function_call": "auto"}
    whole = (await client.chat.completions.create(**question)).choices[0].message
    async with client.chat.completions.stream(**question) as stream:
        pieces = [piece async for piece in stream.text_stream]
        final = await stream.get_final_completion()
    message = final.choices[0].message
    assert "<img" in "".join(pieces)
    assert message.content == "".join(pieces)
    assert "".join(pieces).split("<img")[0] == (whole.content or "").split("<img")[0]
    assert (message.role, message.to_dict().keys() & {"name", "created"}) == ("assistant", set())
