"""`/v1/assistants`: a model with a name, instructions and functions, kept by the server."""

from collections.abc import Sequence
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._calls import Call, Refusal, json_body, made_id
from gigachat_sdk.testing._chat_checks import checked_functions
from gigachat_sdk.testing._files import FileStore
from gigachat_sdk.testing._models import require_model
from gigachat_sdk.testing._replies import Reply
from gigachat_sdk.testing._shapes import Check, check_metadata, is_object, is_text, list_of, shaped

_ASSISTANT: dict[str, Check] = {
    "assistant_id": is_text,
    "file_id": is_text,
    "name": is_text,
    "description": is_text,
    "instructions": is_text,
    "model": is_text,
    "metadata": is_object,
    "file_ids": list_of(is_text),
    "functions": list_of(is_object),
}
_ORDER = (
    "assistant_id",
    "created_at",
    "name",
    "description",
    "instructions",
    "model",
    "updated_at",
    "metadata",
    "file_ids",
    "functions",
)


class AssistantStore:
    """The assistants of one emulator: `state.part(AssistantStore)`."""

    def __init__(self) -> None:
        self._assistants: dict[str, dict[str, Any]] = {}
        self._made = 0

    def add(self, described: dict[str, Any], now: float) -> dict[str, Any]:
        """Keep a new assistant."""
        self._made += 1
        ids = {"assistant_id": made_id("assistant", self._made), "created_at": int(now)}
        return self._keep({**described, **ids}, now)

    def change(self, assistant_id: str, changes: dict[str, Any], now: float) -> dict[str, Any]:
        """Change an assistant.

        Raises:
            Refusal: 404, there is no such assistant.
        """
        return self._keep({**self.find(assistant_id), **changes}, now)

    def find(self, assistant_id: str) -> dict[str, Any]:
        """Give an assistant as the wire has it.

        Raises:
            Refusal: 404, there is no such assistant.
        """
        assistant = self._assistants.get(assistant_id)
        if assistant is None:
            raise Refusal(404, "No such assistant")
        return assistant

    def list(self) -> Sequence[dict[str, Any]]:
        """Give all assistants, oldest first."""
        return [*self._assistants.values()]

    def delete(self, assistant_id: str) -> None:
        """Forget an assistant.

        Raises:
            Refusal: 404, there is no such assistant.
        """
        self.find(assistant_id)
        del self._assistants[assistant_id]

    def _keep(self, described: dict[str, Any], now: float) -> dict[str, Any]:
        described["updated_at"] = int(now)
        assistant = {name: described[name] for name in _ORDER if name in described}
        self._assistants[assistant["assistant_id"]] = assistant
        return assistant


def instructions_of(assistant: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the system message that an assistant begins every dialogue with, in a list of one or of none."""
    text = assistant.get("instructions")
    return [{"role": "system", "content": text}] if text else []


def _list(call: Call) -> Reply:
    store, wanted = call.state.part(AssistantStore), call.request.params.get("assistant_id")
    return Reply(json={"data": store.list() if wanted is None else [store.find(wanted)]})


def _create(call: Call) -> Reply:
    given = _checked(call, "model", "name")
    require_model(given["model"], "chat")
    assistant = call.state.part(AssistantStore).add(given, call.state.settings.clock())
    return Reply(json={name: assistant[name] for name in ("assistant_id", "created_at")})


def _modify(call: Call) -> Reply:
    given = _checked(call, "assistant_id")
    if "model" in given:
        require_model(given["model"], "chat")
    store = call.state.part(AssistantStore)
    return Reply(json=store.change(given["assistant_id"], given, call.state.settings.clock()))


def _delete(call: Call) -> Reply:
    given = _checked(call, "assistant_id")
    call.state.part(AssistantStore).delete(given["assistant_id"])
    return Reply(json={"assistant_id": given["assistant_id"], "deleted": True})


def _detach(call: Call) -> Reply:
    given = _checked(call, "assistant_id", "file_id")
    store = call.state.part(AssistantStore)
    attached = store.find(given["assistant_id"]).get("file_ids", [])
    if given["file_id"] not in attached:
        raise Refusal(404, "No such file")
    left = [file_id for file_id in attached if file_id != given["file_id"]]
    store.change(given["assistant_id"], {"file_ids": left}, call.state.settings.clock())
    return Reply(json={"file_id": given["file_id"], "deleted": True})


def _checked(call: Call, *required: str) -> dict[str, Any]:
    given = shaped(json_body(call.request), _ASSISTANT, required)
    if "functions" in given:
        given["functions"] = checked_functions(given["functions"])
    check_metadata(given.get("metadata", {}))
    files, client_id = call.state.part(FileStore), call.request.headers.get("x-client-id")
    if not all(files.find(file_id, client_id) for file_id in given.get("file_ids", [])):
        raise Refusal(404, "No such file")
    return given


ROUTES = [
    Route("/v1/assistants", _list, methods=["GET"]),
    Route("/v1/assistants", _create, methods=["POST"]),
    Route("/v1/assistants/modify", _modify, methods=["POST"]),
    Route("/v1/assistants/delete", _delete, methods=["POST"]),
    Route("/v1/assistants/files/delete", _detach, methods=["POST"]),
]
