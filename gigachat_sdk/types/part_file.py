"""`File` of the v2 contract, on its own: `client.files` takes one, and need not load the whole contract for it."""

from __future__ import annotations

from ._base import BaseModel


class File(BaseModel):
    """A file named in an answer, kept by the service.

    Attributes:
        id: Its id; `client.files.content(id)` downloads it.
        target: What it is for: `"image"`, `"audio"`, `"3dmodel"`, `"cover"`, `"video"`; others may come.
        mime: Its MIME type, for example `"image/jpeg"`.
    """

    id: str
    target: str | None = None
    mime: str | None = None
