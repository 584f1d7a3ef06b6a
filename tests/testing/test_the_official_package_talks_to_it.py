"""The official `gigachat` package as a second opinion on what the emulator says."""

import ssl
import warnings
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from gigachat_sdk.testing import Emulator

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # older pydantic dislikes names of fields there
    import gigachat
    from gigachat.exceptions import AuthenticationError, NotFoundError


@pytest.fixture(params=[False, True], ids=["http", "https"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    with Emulator(https=request.param) as running:
        yield running


def settings(emulator: Emulator, **more: Any) -> dict[str, Any]:
    return {
        "base_url": emulator.base_url,
        "auth_url": emulator.auth_url,
        "credentials": emulator.credentials,
        "model": "GigaChat",
        "ssl_context": ssl.create_default_context(cafile=emulator.ca_bundle_file),
        **more,
    }


def test_chat(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator)) as client:
        completion = client.chat("Привет")
        assert completion.choices[0].message.content == "Вы написали: Привет"
        assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
        client.chat("ещё раз")
    assert emulator.oauth_requests == 1


def test_stream(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator)) as client:
        chunks = list(client.stream("Привет"))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Вы написали: Привет"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_async_chat_and_stream(emulator: Emulator) -> None:
    async def main() -> None:
        async with gigachat.GigaChat(**settings(emulator)) as client:
            completion = await client.achat("Привет")
            assert completion.choices[0].message.content == "Вы написали: Привет"
            texts = [chunk.choices[0].delta.content async for chunk in client.astream("Привет")]
            assert "".join(text or "" for text in texts) == "Вы написали: Привет"

    anyio.run(main)


def test_models(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator)) as client:
        assert "GigaChat-2-Max" in [model.id_ for model in client.get_models().data]
        assert client.get_model("GigaChat").id_ == "GigaChat"
        with pytest.raises(NotFoundError, match="No such model"):
            client.get_model("None")


def test_functions(emulator: Emulator) -> None:
    weather = {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}
    messages: list[Any] = [{"role": "user", "content": "Погода?"}]
    with gigachat.GigaChat(**settings(emulator)) as client:
        forced = client.chat({"messages": messages, "functions": [weather], "function_call": {"name": "weather"}})
        message = forced.choices[0].message
        assert message.function_call is not None
        assert message.function_call.arguments == {"place": "текст"}
        messages += [message, {"role": "function", "name": "weather", "content": "{}"}]
        again = client.chat({"messages": messages, "functions": [weather]})
        assert again.choices[0].finish_reason == "stop"
    assert emulator.requests[-1].json()["messages"][1]["functions_state_id"] == message.functions_state_id


def test_an_expired_token_is_renewed(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator)) as client:
        client.chat("Привет")
        emulator.revoke_tokens()
        client.chat("Привет")
    assert emulator.oauth_requests == 2
    assert [one.status for one in emulator.requests_to("/v1/chat/completions")] == [200, 401, 200]


def test_user_and_password(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator, credentials=None, user="user", password="password")) as client:
        assert client.chat("Привет").choices[0].finish_reason == "stop"


def test_a_wrong_key(emulator: Emulator) -> None:
    with gigachat.GigaChat(**settings(emulator, credentials="YTpi")) as client, pytest.raises(AuthenticationError):
        client.chat("Привет")


def test_it_and_our_own_client_get_the_same(emulator: Emulator) -> None:
    question = "Расскажи о Байкале в двух предложениях."
    messages: Any = [{"role": "user", "content": question}]

    def text_of(chunks: Any) -> str:
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

    async def asked_officially() -> tuple[str, str]:
        async with gigachat.GigaChatAsyncClient(**settings(emulator)) as client:
            whole = (await client.achat(question)).choices[0].message.content
            return whole, text_of([chunk async for chunk in client.astream(question)])

    async def asked_by_us() -> tuple[str | None, str]:
        async with emulator.async_client() as client:
            whole = (await client.chat.completions.create(messages=messages)).choices[0].message.content
            stream = await client.chat.completions.create(messages=messages, stream=True)
            return whole, text_of([chunk async for chunk in stream])

    with gigachat.GigaChat(**settings(emulator)) as official, emulator.client() as ours:
        whole = official.chat(question).choices[0].message.content
        assert whole == ours.chat.completions.create(messages=messages).choices[0].message.content
        streamed = text_of(official.stream(question))
        assert whole == streamed == text_of(ours.chat.completions.create(messages=messages, stream=True))
        assert [model.id_ for model in official.get_models().data] == [model.id for model in ours.models.list()]
    assert anyio.run(asked_officially) == anyio.run(asked_by_us) == (whole, streamed)
