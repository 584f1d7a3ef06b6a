"""A function of yours that the model may call. Needs GIGACHAT_CREDENTIALS in the environment."""

from gigachat_sdk import ChatCompletionMessage, Client, FunctionParam, MessageParam

WEATHER: FunctionParam = {
    "name": "weather",
    "description": "Погода в городе сейчас",
    "parameters": {
        "type": "object",
        "properties": {"place": {"type": "string", "description": "Город"}},
        "required": ["place"],
    },
}


def weather(place: str) -> dict[str, object]:
    """Stand in for something that knows the weather."""
    return {"place": place, "temperature": 21, "sky": "ясно"}


history: list[MessageParam | ChatCompletionMessage] = [{"role": "user", "content": "Какая погода в Туле?"}]

with Client() as client:
    message = client.chat.completions.create(messages=history, functions=[WEATHER]).choices[0].message
    for _ in range(3):  # the model may ask more than once, but not for ever
        if message.function_call is None:
            break
        print("Модель просит:", message.function_call.name, message.function_call.arguments)
        result = weather(**message.function_call.arguments)
        history.append(message)
        history.append({"role": "function", "name": "weather", "content": result})
        message = client.chat.completions.create(messages=history, functions=[WEATHER]).choices[0].message
    print(message.content)
