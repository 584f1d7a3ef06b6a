"""Testing an application of yours without a key and without a network: pip install 'gigachat-sdk[emulator]'."""

from gigachat_sdk import Client, RateLimitError
from gigachat_sdk.testing import Emulator, Reply
from gigachat_sdk.types import MessageParam


def summary(client: Client, text: str) -> str:
    """Stand in for the application under test."""
    messages: list[MessageParam] = [
        {"role": "system", "content": "Перескажи одной фразой."},
        {"role": "user", "content": text},
    ]
    try:
        return client.chat.completions.create(messages=messages).choices[0].message.content or ""
    except RateLimitError:
        return "Сервис занят, попробуйте позже."


with Emulator() as emulator, emulator.client(max_retries=0) as client:
    emulator.answer("Колобок ушёл от всех, кроме лисы.")
    print(summary(client, "Жили-были старик со старухой..."))
    print("Сервису сказано:", emulator.requests_to("/v1/chat/completions")[0].json()["messages"][0])

    emulator.reply("/v1/chat/completions", Reply.error(429, "Too many requests"))
    print(summary(client, "Жили-были старик со старухой..."))
