"""The models of the emulated account: `GET /v1/models` as recorded, and which names chat accepts."""

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, Refusal
from gigachat_sdk.testing._replies import Reply

_LISTED = {
    "chat": (
        "GigaChat",
        "GigaChat-2",
        "GigaChat-2-Max",
        "GigaChat-2-Max-preview",
        "GigaChat-2-Pro",
        "GigaChat-2-Pro-preview",
        "GigaChat-2-preview",
        "GigaChat-Max",
        "GigaChat-Max-preview",
        "GigaChat-Plus",
        "GigaChat-Pro",
        "GigaChat-Pro-preview",
        "GigaChat-preview",
    ),
    "filter": ("GigaFilter",),
    "aicheck": ("GigaCheckClassification", "GigaCheckDetection"),
    "embedder": ("Embeddings", "Embeddings-2", "EmbeddingsGigaR", "GigaEmbeddings-3B-2025-09"),
}
_UNLISTED_CHAT = ("GigaChat-3-Ultra", "GigaChat-3-Pro", "GigaChat-3-Lightning", "GigaChat-2-Reasoning")


def _model(name: str, kind: str) -> dict[str, str]:
    return {"id": name, "object": "model", "owned_by": "salutedevices", "type": kind}


_LIST = [_model(name, kind) for kind, names in _LISTED.items() for name in names]
_BY_NAME = {model["id"]: model for model in [*_LIST, *(_model(name, "chat") for name in _UNLISTED_CHAT)]}


def require_model(name: str, *kinds: str) -> str:
    """Check that a model of one of the kinds exists.

    Args:
        name: The name asked for; a chat model's may end in `-preview`.
        kinds: Any of `"chat"`, `"embedder"`, `"aicheck"` and `"filter"`.

    Returns:
        The name with the version that answers carry.

    Raises:
        Refusal: 404, no such model.
    """
    model = _BY_NAME.get(name) or _BY_NAME.get(name.removesuffix("-preview"))
    if model is None or model["type"] not in kinds:
        raise Refusal(404, "No such model")
    version = "32.3.7.3" if name.startswith("GigaChat-3") else "2.0.28.2"
    return f"{name}:{version}"


def _list_models(_: Call) -> Reply:
    return Reply(json={"object": "list", "data": _LIST})


def _retrieve_model(call: Call) -> Reply:
    model = _BY_NAME.get(call.path_params["model"])
    if model is None:
        raise Refusal(404, "No such model")
    return Reply(json=model)


ROUTES = [
    Route("/v1/models", _list_models, methods=["GET"]),
    Route("/v1/models/{model}", _retrieve_model, methods=["GET"]),
]
