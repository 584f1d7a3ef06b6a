"""`/v1/files`: a storage of uploaded and generated files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import Route

from gigachat_sdk.testing._blobs import Blob, Content, Pieces
from gigachat_sdk.testing._calls import Call, Refusal, made_id, malformed
from gigachat_sdk.testing._multipart import Part, multipart_body
from gigachat_sdk.testing._replies import Reply

_MIB = 1024 * 1024
_MODALITIES = {"image": 15 * _MIB, "audio": 35 * _MIB}  # the largest file of a kind, in bytes
_MAX_DOCUMENT = 40 * _MIB
_GIVEN_AS_THEY_ARE = frozenset({"image/jpeg"})
_PURPOSES = frozenset({"general", "assistant"})


@dataclass(frozen=True)
class StoredFile:
    """One file of the storage.

    Attributes:
        id: Its id.
        content: Its bytes; `read()` gives them in memory.
        filename: Its name.
        mime: Its media type, without parameters, in lower case.
        purpose: `"general"` or `"assistant"`.
        client_id: The `X-Client-ID` it was made with, the only one that gets it; None for a file that all may have.
        modalities: What kind of thing it is, such as `("image",)`; None for a document.
        created_at: Unix time in seconds.
    """

    id: str
    content: Content = field(repr=False)
    filename: str
    mime: str
    purpose: str
    client_id: str | None
    modalities: tuple[str, ...] | None
    created_at: int

    @property
    def size(self) -> int:
        """Bytes."""
        return Blob.of(self.content).size

    def read(self) -> bytes:
        """Give all its bytes."""
        return Blob.of(self.content).read()

    def to_json(self) -> dict[str, Any]:
        """Describe it as the service does."""
        described = {
            "id": self.id,
            "object": "file",
            "bytes": self.size,
            "access_policy": "private",
            "created_at": self.created_at,
            "filename": self.filename,
            "purpose": self.purpose,
        }
        return described if self.modalities is None else {**described, "modalities": list(self.modalities)}


class FileStore:
    """The files of one emulator: `state.part(FileStore)`."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}
        self._made = 0

    def add(
        self,
        content: Content,
        *,
        filename: str,
        mime: str,
        purpose: str = "general",
        client_id: str | None = None,
        modalities: tuple[str, ...] | None = None,
        now: float,
    ) -> StoredFile:
        """Keep a file.

        Args:
            content: Its bytes.
            filename: Its name.
            mime: Its media type, without parameters.
            purpose: What it is for.
            client_id: The `X-Client-ID` of the request that makes it, if there was one.
            modalities: What kind of thing it is; by default as its media type says.
            now: Unix time in seconds.
        """
        self._made += 1
        kind = mime.partition("/")[0]
        file = StoredFile(
            id=made_id("file", self._made),
            content=content,
            filename=filename,
            mime=mime,
            purpose=purpose,
            client_id=client_id,
            modalities=modalities or ((kind,) if kind in _MODALITIES else None),
            created_at=int(now),
        )
        self._files[file.id] = file
        return file

    def find(self, file_id: str, client_id: str | None) -> StoredFile | None:
        """Give a file to a client; None if it is not there, or is another client's."""
        file = self._files.get(file_id)
        return file if file is not None and file.client_id in (None, client_id) else None

    def list(self) -> Sequence[StoredFile]:
        """Give all files, oldest first."""
        return list(self._files.values())

    def delete(self, file_id: str) -> None:
        """Forget a file."""
        self._files.pop(file_id, None)


def _is_too_large(part: Part) -> bool:
    return part.content.size > _MODALITIES.get(part.mime.partition("/")[0], _MAX_DOCUMENT)


def _upload(call: Call) -> Reply:
    form = multipart_body(call.request)
    part = form.get("file")
    if part is None or not part.filename or not part.mime:
        raise malformed()
    purpose = form["purpose"].content.read().decode("utf-8", "replace") if "purpose" in form else "general"
    if purpose not in _PURPOSES:
        raise malformed()
    if call.state.settings.limits and _is_too_large(part):
        raise Refusal(413, "Payload too large")
    file = call.state.part(FileStore).add(
        part.content,
        filename=part.filename,
        mime=part.mime,
        purpose=purpose,
        client_id=_client(call),
        now=call.state.settings.clock(),
    )
    described = file.to_json()
    del described["access_policy"]  # only those that are asked for later have it
    return Reply(json=described)


def _list(call: Call) -> Reply:
    store, client = call.state.part(FileStore), _client(call)
    return Reply(json={"data": [file.to_json() for file in store.list() if store.find(file.id, client)]})


def _retrieve(call: Call) -> Reply:
    return Reply(json=_asked_for(call).to_json())


def _download(call: Call) -> Reply:
    file = _asked_for(call)
    mime = file.mime if file.mime in _GIVEN_AS_THEY_ARE else "application/octet-stream"
    headers = {"Content-Type": mime, "Content-Length": str(file.size)}
    return Reply(chunks=Pieces(Blob.of(file.content)), headers=headers)


def _delete(call: Call) -> Reply:
    file = _asked_for(call)
    call.state.part(FileStore).delete(file.id)
    return Reply(json={"id": file.id, "object": "file", "deleted": True})


def _client(call: Call) -> str | None:
    return call.request.headers.get("x-client-id")


def _asked_for(call: Call) -> StoredFile:
    file = call.state.part(FileStore).find(call.path_params["file"], _client(call))
    if file is None:
        raise Refusal(404, "No such file")
    return file


ROUTES = [
    Route("/v1/files", _list, methods=["GET"]),
    Route("/v1/files", _upload, methods=["POST"]),
    Route("/v1/files/{file}", _retrieve, methods=["GET"]),
    Route("/v1/files/{file}/content", _download, methods=["GET"]),
    Route("/v1/files/{file}/delete", _delete, methods=["POST"]),
]
