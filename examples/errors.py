"""What can go wrong, from the particular to the general. Needs GIGACHAT_CREDENTIALS in the environment."""

from gigachat_sdk import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    Client,
    InvalidRequestError,
    NotFoundError,
    RateLimitError,
)

with Client() as client:
    try:
        client.chat.completions.create(model="GigaChat-0", messages=[{"role": "user", "content": "Привет!"}])
    except NotFoundError as error:
        print(f"Такой модели нет; для поддержки: {error.request_id}")
    except AuthenticationError:
        print("Ключ не подошёл.")
    except RateLimitError as error:
        print(f"Слишком много запросов сразу; сервис просит подождать: {error.retry_after}")
    except APIConnectionError:
        print("До сервиса не достучаться.")
    except APIError as error:
        print(f"Не получилось: {error}")

    try:
        client.chat.completions.create(messages=[], temperature=0.5)  # refused before anything is sent
    except InvalidRequestError as error:
        print(f"Так нельзя: {error}")
