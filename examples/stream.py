"""An answer printed as it arrives. Needs GIGACHAT_CREDENTIALS in the environment."""

from gigachat_sdk import Client, StreamInterruptedError
from gigachat_sdk.types import MessageParam

messages: list[MessageParam] = [{"role": "user", "content": "Расскажи о Байкале в двух предложениях."}]

with Client() as client:
    try:
        with client.chat.completions.create(messages=messages, stream=True) as stream:
            for chunk in stream:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
    except StreamInterruptedError:  # its .text and .partial hold what had arrived
        print(" [оборвалось]", end="")
    print()
