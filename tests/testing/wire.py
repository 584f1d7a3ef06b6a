"""Recorded answers, and how the emulator's are compared with them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from gigachat_sdk.testing import Emulator

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
Ask = Callable[..., httpx.Response]
Events = list[tuple[str | None, dict[str, Any]]]


def shape(value: Any) -> str:
    """Write down the names and types of a JSON value, names in their order."""

    def described(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: described(item) for name, item in value.items()}
        if isinstance(value, list):
            return [described(item) for item in value]
        return type(value).__name__

    return json.dumps(described(value))


def recorded(file: str) -> Any:
    """Give a recorded body."""
    return json.loads((WIRE / file).read_text())


def recorded_request(file: str) -> dict[str, Any]:
    """Give the body of the request that a recorded body answers."""
    cases = json.loads((WIRE / "index.json").read_text())["cases"]
    body: dict[str, Any] = next(case for case in cases if case["file"] == file)["request_body"]
    return body


def events_in(text: str) -> Events:
    """Read the events of a stream, each with its name if it has one, as they must be framed."""
    *blocks, rest = text.split("\n\n")
    assert rest in ("", "\n", "data: [DONE]\n")  # the last two in files that were edited by hand
    events: Events = []
    for block in blocks:
        if block == "data: [DONE]":
            continue
        *names, data = block.split("\n")
        assert len(names) <= 1
        assert data.startswith("data: ")
        events.append((names[0].removeprefix("event: ") if names else None, json.loads(data.removeprefix("data: "))))
    return events


V2 = "/v2/chat/completions"


def user(text: str, **more: Any) -> dict[str, Any]:
    """Make a message of v2: a text, and another part beside it."""
    return {"role": "user", "content": [{"text": text}, *([more] if more else [])]}


def v2_asker(http: httpx.Client, emulator: Emulator) -> Ask:
    """Make a function that sends a v2 request: a text or messages, and other members of the body."""

    def send(messages: Any = "Привет", headers: Any = None, **members: Any) -> httpx.Response:
        if isinstance(messages, str):
            messages = [user(messages)]
        url = emulator.base_url.removesuffix("/v1") + V2
        return http.post(url, json={"model": "GigaChat-3-Ultra", "messages": messages, **members}, headers=headers)

    return send


def said(response: httpx.Response) -> str:
    """Give the text of a v2 answer."""
    message = response.json()["messages"][-1]
    assert message["role"] == "assistant"
    return "".join(part.get("text", "") for part in message["content"])


def parts(response: httpx.Response) -> list[dict[str, Any]]:
    """Give the content of a v2 answer."""
    content: list[dict[str, Any]] = response.json()["messages"][-1]["content"]
    return content
