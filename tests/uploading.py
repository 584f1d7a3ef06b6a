"""What tests of uploads share."""

from __future__ import annotations

from typing import Any

from gigachat_sdk._body import FramedBody
from gigachat_sdk._request import Call
from gigachat_sdk._uploads import Upload, upload_call


def content_of(upload: Upload) -> bytes:
    try:
        source = upload.open()
        return b"".join(iter(lambda: source.read(3), b""))
    finally:
        upload.close()


def call_of(upload: Upload, purpose: Any = "general", **options: Any) -> Call:
    return upload_call(upload, upload.open(), purpose, options, "BOUNDARY")  # type: ignore[arg-type]


def body_of(call: Call) -> bytes:
    assert isinstance(call.body, FramedBody)
    return b"".join(iter(call.body.read, b""))
