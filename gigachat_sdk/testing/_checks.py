"""`POST /v1/ai/check` and `POST /v1/filter/check`: verdicts that a test can bring about by what it writes.

A sentence is by a machine if it has one of a few markers in it, such as "нейросеть" or "языковая модель"; a text of
such sentences only is `ai`, one without them `human`, any other `mixed` to GigaCheckDetection and whatever most of it
is to GigaCheckClassification. A message is profane if a word of it begins with one of a few, such as "дурак".
"""

import re
from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, as_list, as_object, invalid, json_body, malformed
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._text import tokens

_LEAST_WORDS = 20
_SENTENCE = re.compile(r"[^\s.!?…][^.!?…]*[.!?…]*")
_BY_A_MACHINE = re.compile("нейросет|языков(ая|ой) модел|сгенерирован|вы написали", re.IGNORECASE)
_PROFANE = re.compile(r"\b(дурак|дурац|идиот|сволоч|дрянь|damn|idiot)", re.IGNORECASE)


def _check_ai(call: Call) -> Reply:
    call.require_plan("pay_as_you_go")
    payload = json_body(call.request)
    model, text = payload.get("model"), payload.get("input")
    if not isinstance(model, str) or not isinstance(text, str):
        raise malformed()
    require_model(model, "aicheck")
    if len(text.split()) < _LEAST_WORDS:
        raise invalid(f"input must have at least {_LEAST_WORDS} words")
    category, intervals = _verdict(model, text)
    verdict = {"category": category, "characters": len(text), "tokens": len(tokens(text)), "ai_intervals": intervals}
    return Reply(json=verdict)


def _verdict(model: str, text: str) -> tuple[str, Sequence[tuple[int, int]]]:
    sentences = [(found.span(), bool(_BY_A_MACHINE.search(found[0]))) for found in _SENTENCE.finditer(text)]
    if model == "GigaCheckDetection" and len({by_a_machine for _, by_a_machine in sentences}) > 1:
        return "mixed", [span for span, by_a_machine in sentences if by_a_machine]
    balance = sum((end - start) * (1 if by_a_machine else -1) for (start, end), by_a_machine in sentences)
    return "ai" if balance > 0 else "human", []


def _check_filter(call: Call) -> Reply:
    payload = json_body(call.request)
    model = payload.get("model", "GigaFilter")
    messages = as_list(payload.get("messages"))
    if not isinstance(model, str) or messages is None:
        raise malformed()
    require_model(model, "filter")
    texts = [_text_of(message) for message in messages]
    usage = {"filter_tokens": sum(len(tokens(text)) for text in texts)}
    return Reply(json={"is_profane": any(map(_PROFANE.search, texts)), "usage": usage})


def _text_of(value: Any) -> str:
    message = as_object(value)
    if message is None or not isinstance(message.get("role"), str):
        raise malformed()
    text = message.get("content") or ""
    if not isinstance(text, str):
        raise malformed()
    return text


ROUTES = [
    Route("/v1/ai/check", _check_ai, methods=["POST"]),
    Route("/v1/filter/check", _check_filter, methods=["POST"]),
]
