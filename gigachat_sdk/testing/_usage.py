"""Tokens: `POST /v1/tokens/count` counts them, `GET /v1/balance` says how many are left."""

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, as_list, json_body, malformed
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._text import tokens

_LEFT = {"embeddings": 9_999_967, "GigaChat-Pro": 991_490, "GigaChat-Max": 50_000, "GigaChat": 900_000}


def _count(call: Call) -> Reply:
    payload = json_body(call.request)
    model, texts = payload.get("model"), as_list(payload.get("input"))
    if not isinstance(model, str) or texts is None or not all(isinstance(text, str) for text in texts):
        raise malformed()
    require_model(model, "chat", "embedder")
    return Reply(json=[{"object": "tokens", "tokens": len(tokens(text)), "characters": len(text)} for text in texts])


def _balance(call: Call) -> Reply:
    call.require_plan("prepaid")
    return Reply(json={"balance": [{"usage": usage, "value": value} for usage, value in _LEFT.items()]})


ROUTES = [
    Route("/v1/tokens/count", _count, methods=["POST"]),
    Route("/v1/balance", _balance, methods=["GET"]),
]
