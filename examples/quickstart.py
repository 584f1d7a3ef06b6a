"""A question and its answer. Needs GIGACHAT_CREDENTIALS in the environment."""

from gigachat_sdk import Client

with Client() as client:
    completion = client.chat.completions.create(messages=[{"role": "user", "content": "Назови три озера России."}])
    print(completion.choices[0].message.content)
    print(completion.usage, completion.request_id)
