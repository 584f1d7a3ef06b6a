"""The main job, for the eye: `make demo`.

Without GIGACHAT_CREDENTIALS it talks to an emulator inside this process, over HTTPS: no key, no network. With it, to
the real service. Whatever is shown is checked too: the exit status is not 0 where something is not as it should be.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import time
from contextlib import closing

from gigachat_sdk import AsyncClient, ChatCompletion, Client, GigaChatError, NotFoundError, OAuthTokenManager
from gigachat_sdk.testing import Emulator

QUESTION = "Почему небо синее? Ответь одним предложением."
CHAT = "/v1/chat/completions"


class DemoError(Exception):
    """Something is not as it should be."""


def must(is_so: bool, what: str) -> None:
    if not is_so:
        raise DemoError(what)


def title(text: str) -> None:
    print(f"\n— {text}")


def show(label: str, value: object) -> None:
    print(f"   {label}: {value}")


def answer_of(completion: ChatCompletion) -> str:
    text = completion.choices[0].message.content
    must(bool(text), "the answer is empty")
    must(completion.usage is not None and completion.usage.total_tokens > 0, "the answer has no usage")
    must(completion.request_id is not None, "the answer has no request id")
    return text or ""


def question(client: Client) -> None:
    title("Вопрос и ответ: client.chat.completions.create(messages=[...])")
    completion = client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}])
    show("вопрос", QUESTION)
    show("ответ", answer_of(completion))
    show("модель", completion.model)
    if completion.usage is not None:
        show("токенов", completion.usage.total_tokens)
    show("request id", completion.request_id)


def stream(client: Client) -> None:
    title("То же потоком, stream=True: | отделяет события")
    pieces: list[str] = []
    print("   ответ: ", end="")
    for chunk in client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], stream=True):
        piece = chunk.choices[0].delta.content
        if piece:
            print("|" if pieces else "", piece, sep="", end="", flush=True)
            pieces.append(piece)
    print()
    must(bool("".join(pieces)), "the stream brought no text")


async def async_both(client: AsyncClient) -> None:
    title("AsyncClient: то же с await и async for, на asyncio и на trio")
    async with client:
        completion = await client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}])
        show("ответ", answer_of(completion))
        count = 0
        answer = await client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}], stream=True)
        async for chunk in answer:
            count += bool(chunk.choices[0].delta.content)
        show("поток", f"{count} событий с текстом")
        must(count > 0, "the async stream brought no text")


def error(client: Client) -> None:
    title("Ошибка, какой её видит пользователь: модели GigaChat-0 нет")
    try:
        client.chat.completions.create(model="GigaChat-0", messages=[{"role": "user", "content": QUESTION}])
    except NotFoundError as refusal:
        show(type(refusal).__name__, refusal)
        must(refusal.request_id is not None, "the error has no request id")
        must(f"(request id {refusal.request_id})" in str(refusal), "the error does not show its request id")
    else:
        raise DemoError("an unknown model was accepted")


class Clock:
    """A clock that can be put forward."""

    offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


def refused(emulator: Emulator) -> int:
    return sum(request.status == 401 for request in emulator.requests_to(CHAT))


def tokens() -> None:
    title("Токен живёт 30 минут и обновляется сам; вместо ожидания переводят часы")
    clock = Clock()
    with Emulator(https=True, clock=clock) as emulator:
        manager = OAuthTokenManager(
            emulator.credentials, auth_url=emulator.auth_url, ca_bundle_file=emulator.ca_bundle_file, clock=clock
        )
        with closing(manager), emulator.client(token_manager=manager) as client:
            steps = (
                ("первый вопрос: токен получен", 1, 0),
                ("до конца токена полминуты: он обновлён заранее, отказа не было", 2, 0),
                ("ещё вопрос: токен прежний", 2, 0),
                ("сервис отозвал токен (401): взят новый, вопрос повторён", 3, 1),
            )
            for number, (what, bought, refusals) in enumerate(steps):
                if number == 1:
                    clock.offset = 1770.0
                if number == 3:
                    emulator.revoke_tokens()
                answer_of(client.chat.completions.create(messages=[{"role": "user", "content": QUESTION}]))
                print(f"   {what}\n      запросов OAuth: {emulator.oauth_requests}, отказов 401: {refused(emulator)}")
                must(emulator.oauth_requests == bought, f"{bought} token calls were due, not {emulator.oauth_requests}")
                must(refused(emulator) == refusals, f"{refusals} refusals were due, not {refused(emulator)}")


def with_emulator() -> None:
    for name in list(os.environ):  # settings of another account, and proxies, have no business here
        if name.startswith("GIGACHAT_") or name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            del os.environ[name]
    with Emulator(https=True) as emulator:
        print(f"GIGACHAT_CREDENTIALS не задана: отвечает эмулятор {emulator.base_url}, без ключа и без сети.")
        with emulator.client() as client:
            question(client)
            stream(client)
            asyncio.run(async_both(emulator.async_client()))
            title("Один токен на процесс, сколько бы ни было клиентов и вопросов")
            show("вопросов", len(emulator.requests_to(CHAT)))
            show("запросов OAuth", emulator.oauth_requests)
            must(emulator.oauth_requests == 1, "one token call was due")
            error(client)
        tokens()


def with_service() -> None:
    with Client() as client:
        print(f"GIGACHAT_CREDENTIALS задана: отвечает {client.base_url}.")
        question(client)
        stream(client)
        asyncio.run(async_both(AsyncClient()))
        error(client)
    title("Обновление токена показывает только эмулятор: настоящему сервису часы не переведёшь. Пропущено.")


def main() -> int:
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="backslashreplace")  # a terminal without Cyrillic is no reason to fail
    try:
        if os.environ.get("GIGACHAT_CREDENTIALS"):
            with_service()
        else:
            with_emulator()
    except (DemoError, GigaChatError) as trouble:
        print(f"\nНе получилось: {trouble}", file=sys.stderr)
        return 1
    print("\nВсё сошлось.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
