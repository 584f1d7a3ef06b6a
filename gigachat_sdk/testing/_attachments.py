"""Files that a message comes with: whether they are there, whether they are too many, and what is in them."""

from collections.abc import Sequence

from gigachat_sdk.testing._calls import Refusal, invalid
from gigachat_sdk.testing._files import FileStore, StoredFile
from gigachat_sdk.testing._state import State
from gigachat_sdk.testing._text import tokens

CONTEXT = 131_072  # tokens that a model takes
_MOST_IMAGES = 10
_MOST_MEDIA = 80 * 1024 * 1024  # bytes of images and audio together
_LONGEST_TOKEN = 8  # characters, a generous guess


def attached(state: State, messages: Sequence[Sequence[str]], client_id: str | None) -> list[StoredFile]:
    """Find the files of a request.

    Args:
        state: The emulator's memory.
        messages: The ids of the files of each message.
        client_id: The `X-Client-ID` of the request.

    Raises:
        Refusal: 404 for a file that is not there; 413 or 422 for too many or too large ones.
    """
    store = state.part(FileStore)
    found = [[_require(store, file_id, client_id) for file_id in ids] for ids in messages]
    files = [file for some in found for file in some]
    if state.settings.limits:
        if any(sum(map(_is_image, some)) > 1 for some in found):
            raise invalid("a message can have one image only")
        if sum(map(_is_image, files)) > _MOST_IMAGES:
            raise invalid(f"a request can have {_MOST_IMAGES} images at most")
        if sum(file.size for file in files if file.modalities) >= _MOST_MEDIA:
            raise Refusal(413, "Payload too large")
        document = document_of(files)
        if document is not None and len(tokens(text_of(document))) > CONTEXT:
            raise invalid("the document is longer than the context of the model")
    return files


def document_of(files: Sequence[StoredFile]) -> StoredFile | None:
    """Give the document that is read: the first one; the service does not look at others."""
    return next((file for file in files if not file.modalities), None)


def text_of(file: StoredFile) -> str:
    """Give the beginning of a text, somewhat more than a model takes; nothing for a file that is no plain text."""
    if not file.mime.startswith("text/"):
        return ""
    return file.read()[: CONTEXT * _LONGEST_TOKEN].decode("utf-8", "replace")


def _require(store: FileStore, file_id: str, client_id: str | None) -> StoredFile:
    file = store.find(file_id, client_id)
    if file is None:
        raise Refusal(404, "No such file")
    return file


def _is_image(file: StoredFile) -> bool:
    return "image" in (file.modalities or ())
