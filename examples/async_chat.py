"""Questions one after another from asyncio (trio is the same). Needs GIGACHAT_CREDENTIALS in the environment."""

import asyncio

from gigachat_sdk import AsyncClient
from gigachat_sdk.types import MessageParam


async def main() -> None:
    async with AsyncClient() as client:
        completion = await client.chat.completions.create(messages=[{"role": "user", "content": "Столица Татарстана?"}])
        print(completion.choices[0].message.content)

        messages: list[MessageParam] = [{"role": "user", "content": "А чем она известна?"}]
        async with await client.chat.completions.create(messages=messages, stream=True) as stream:
            async for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()


asyncio.run(main())
