"""`POST /v1/embeddings`: unit vectors that follow from the text alone.

Each three letters in a row of the text's words add to a place of the vector, so that texts with words or parts of words
in common point in similar directions, and others do not. A little noise, which also follows from the text, leaves no
place empty.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, as_list, json_body, malformed
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._text import tokens

_LENGTHS = {"EmbeddingsGigaR": 2560, "GigaEmbeddings-3B-2025-09": 2048}
_LENGTH = 1024
_NOISE = 0.1  # its length, where that of the rest is 1
_PER_TEXT = 5  # tokens that a text costs beside its own
_WORD = re.compile(r"\w+")
_LETTERS = 3
_DIGITS = 8


def embeddings_of(payload: dict[str, Any]) -> dict[str, Any]:
    """Make the whole answer to a request's JSON.

    Raises:
        Refusal: The service's answer to a request it does not take.
    """
    model, given = payload.get("model"), payload.get("input")
    texts = [given] if isinstance(given, str) else as_list(given)
    if not isinstance(model, str) or texts is None or not all(isinstance(text, str) for text in texts):
        raise malformed()
    require_model(model, "embedder")
    items = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _vector(model, text),
            "usage": {"prompt_tokens": len(tokens(text)) + _PER_TEXT},
        }
        for index, text in enumerate(texts)
    ]
    return {"object": "list", "model": model, "data": items}


def _vector(model: str, text: str) -> list[float]:
    length = _LENGTHS.get(model, _LENGTH)
    noise = hashlib.shake_256(f"{model} {text}".encode("utf-8", "replace")).digest(length)
    vector = _of_length([byte - 127.5 for byte in noise], _NOISE)
    features = Counter(_features(text))
    total = math.sqrt(sum(features.values()))
    for feature, count in features.items():
        digest = hashlib.blake2b(f"{model} {feature}".encode("utf-8", "replace"), digest_size=8).digest()
        place, sign = divmod(int.from_bytes(digest, "big"), 2)
        vector[place % length] += (2 * sign - 1) * math.sqrt(count) / total
    return [round(value, _DIGITS) for value in _of_length(vector, 1.0)]


def _features(text: str) -> Iterator[str]:
    for word in _WORD.findall(text.casefold()):
        framed = f"<{word}>"
        for start in range(len(framed) - _LETTERS + 1):
            yield framed[start : start + _LETTERS]


def _of_length(vector: list[float], length: float) -> list[float]:
    factor = length / math.sqrt(sum(value * value for value in vector))
    return [value * factor for value in vector]


def _create(call: Call) -> Reply:
    return Reply(json=embeddings_of(json_body(call.request)))


ROUTES = [Route("/v1/embeddings", _create, methods=["POST"])]
