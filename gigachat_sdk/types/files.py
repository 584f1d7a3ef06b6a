"""`/v1/files`: what is given to be uploaded, and what the service says of the files it keeps."""

from __future__ import annotations

from os import PathLike
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from pydantic import InstanceOf

from ._base import Page, ResponseModel


@runtime_checkable
class BinaryFile(Protocol):
    """What an upload needs of a file object; whatever `open(path, "rb")` and `io.BytesIO(...)` return has it."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`; nothing at the end."""
        ...


FileContent: TypeAlias = (
    str
    | PathLike[str]
    | bytes
    | InstanceOf[bytearray]  # to pydantic, which has no validators for these; `InstanceOf[X]` is X
    | InstanceOf[memoryview]
    | InstanceOf[BinaryFile]
)
"""Where the bytes of a file come from: a path (a `str` always is one), bytes, or a file object open in binary mode."""

FileTypes: TypeAlias = FileContent | tuple[str | None, FileContent] | tuple[str | None, FileContent, str | None]
"""What can be uploaded: the content alone where it has a name, else `(name, content)` or `(name, content, mime)`."""

FilePurpose: TypeAlias = Literal["general", "assistant"]
"""What a file is for, as far as it was known when this version was made; any other `str` is taken too."""


class File(ResponseModel):
    """A file that the service keeps: the answer of `client.files.create(...)` and `client.files.retrieve(...)`.

    Attributes:
        id: What a message names in `attachments`.
        bytes: Its size.
        created_at: Unix seconds.
        filename: The name it was uploaded with.
        purpose: `"general"`; others may come.
        access_policy: `"private"` or `"public"`; None where the service does not say.
        modalities: What the service found in it, for example `["image"]`; None where it does not say.
        object: `"file"`.
    """

    id: str
    bytes: int = 0
    created_at: int = 0
    filename: str = ""
    purpose: str = ""
    access_policy: str | None = None
    modalities: list[str] | None = None
    object: str = "file"


class FileList(Page[File]):
    """The files of the account, all of them, the answer of `client.files.list()`."""


class FileDeleted(ResponseModel):
    """The answer of `client.files.delete(...)`.

    Attributes:
        id: The file that was asked to be deleted.
        deleted: Whether it is.
        object: `"file"`; None where the service does not say.
        access_policy: What it was; None where the service does not say.
    """

    id: str
    deleted: bool = False
    object: str | None = None
    access_policy: str | None = None
