"""What the emulator says where a test does not: answers that follow from the request, the same in both versions."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gigachat_sdk.testing._attachments import document_of, text_of
from gigachat_sdk.testing._calls import as_object, invalid
from gigachat_sdk.testing._files import FileStore, StoredFile
from gigachat_sdk.testing._images import fbx, jpeg
from gigachat_sdk.testing._regex import NoExampleError, matching
from gigachat_sdk.testing._schema import UnsatisfiableError, example
from gigachat_sdk.testing._state import State, check_answer

_QUOTED = 100  # characters of a document that are quoted
_DRAWING = re.compile(
    r"рисуй|изобрази\b|(созда|сгенериру|сдела)\w*\s(\w+\s){0,3}(картин|изображени|иконк|логотип)|"
    r"\b(draw|paint)\b|\b(create|generate|make)\b.*\b(image|picture|icon|logo)",
    re.IGNORECASE,
)
_MODELLING = re.compile(r"3[dд]|тр[её]хмерн", re.IGNORECASE)


@dataclass(frozen=True)
class Heard:
    """What an answer is made of.

    Attributes:
        text: What the user said last.
        earlier: What a thread remembers that the user said before.
        files: Files that the request came with.
        reads: Whether a document among them may be read.
    """

    text: str
    earlier: Sequence[str] = ()
    files: Sequence[StoredFile] = ()
    reads: bool = True


def told(state: State, request: dict[str, Any]) -> dict[str, Any] | None:
    """Give what a test wants to be said, if it wants that: see `Emulator.answer`.

    Args:
        state: The emulator's memory.
        request: The request's JSON, as a function of the test gets it.

    Returns:
        A message of either version, without members that are null.
    """
    source = state.answer
    if callable(source):
        source = source(request)
    if source is None:
        return None
    check_answer(source)
    message = {"content": source} if isinstance(source, str) else source
    return {name: value for name, value in message.items() if value is not None}


def say(heard: Heard) -> str:
    """Say what was heard."""
    said = f"Вы написали: {heard.text}" if heard.text.strip() else "Вы ничего не написали."
    if heard.earlier:
        said += f" (раньше: {'; '.join(heard.earlier)})"
    document = document_of(heard.files)
    for file in heard.files:
        quoted = text_of(file)[:_QUOTED].strip() if file is document and heard.reads else ""
        if quoted:
            said += f" В файле {file.filename}: «{quoted}»."
        elif file is document or file.modalities:
            said += f" Приложен файл {file.filename}."
    return said


def think(heard: Heard) -> str:
    """Think about what was heard."""
    return f"Пользователь написал: {heard.text}. Надо ему ответить."


def structured(response_format: Mapping[str, Any]) -> str | None:
    """Make the text that a `response_format` asks for; None where any text will do.

    Raises:
        Refusal: 422, no text was found for its schema or pattern.
    """
    try:
        if response_format.get("type") == "json_schema":
            return json.dumps(example(response_format["schema"]), ensure_ascii=False, indent=4)
        if response_format.get("type") == "regex":
            return matching(response_format["regex"])
    except UnsatisfiableError as error:
        raise invalid(f"schema can't be satisfied: {error}") from None
    except NoExampleError as error:
        raise invalid(f"regex can't be satisfied: {error}") from None
    return None


def arguments_for(function: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make arguments that satisfy a function's parameters.

    Args:
        function: Its definition.
        given: Arguments that are settled already.

    Raises:
        Refusal: 422, there are none.
    """
    schema = {"type": "object", **(as_object(function.get("parameters")) or {})}
    try:
        return {**(as_object(example(schema)) or {}), **(given or {})}
    except UnsatisfiableError as error:
        raise invalid(f"schema can't be satisfied: {error}") from None


def asks_for_picture(heard: Heard) -> bool:
    """Say whether a picture is wanted."""
    return bool(_DRAWING.search(heard.text))


def asks_for_model(heard: Heard) -> bool:
    """Say whether a 3D model is wanted."""
    return bool(_MODELLING.search(heard.text))


def picture(state: State, text: str, client_id: str | None) -> StoredFile:
    """Draw a picture into the storage; who has another `X-Client-ID` won't get it."""
    return state.part(FileStore).add(
        jpeg(text),
        filename="image.jpg",
        mime="image/jpeg",
        client_id=client_id,
        now=state.settings.clock(),
    )


def model3d(state: State, text: str, client_id: str | None) -> StoredFile:
    """Put a 3D model into the storage."""
    return state.part(FileStore).add(
        fbx(text),
        filename="model.fbx",
        mime="application/octet-stream",
        client_id=client_id,
        modalities=("3dmodel",),
        now=state.settings.clock(),
    )
