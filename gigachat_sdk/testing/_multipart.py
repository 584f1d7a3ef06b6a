"""Taking a `multipart/form-data` body apart, of any size: its parts are ranges of the body, and nothing is copied."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from email.utils import collapse_rfc2231_value

from gigachat_sdk.testing._blobs import Blob
from gigachat_sdk.testing._calls import malformed
from gigachat_sdk.testing._state import RecordedRequest

_MAX_HEADERS = 16 * 1024  # bytes in front of a part
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # what HTML's forms, and httpx, write in a file's name


@dataclass(frozen=True)
class Part:
    """One field of a form.

    Attributes:
        name: The field's name.
        filename: The name of the file; None for a field that is no file.
        mime: The media type without parameters, in lower case; empty where none was sent.
        content: The bytes.
    """

    name: str
    filename: str | None
    mime: str
    content: Blob = field(repr=False)


def multipart_body(request: RecordedRequest) -> dict[str, Part]:
    """Read the form of a request; of a repeated field the first one counts.

    Raises:
        Refusal: 400, for another content type or a body that is not one.
    """
    header = Message()
    header["Content-Type"] = request.headers.get("content-type", "")
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise malformed()
    form: dict[str, Part] = {}
    for part in _parts(Blob.of(request.content), boundary.encode("latin-1", "replace")):
        form.setdefault(part.name, part)
    return form


def _parts(body: Blob, boundary: bytes) -> Iterator[Part]:
    mark = b"\r\n--" + boundary
    opening = mark[2:]  # the first mark may stand at the very beginning, where no line ends before it
    at = len(opening) if body.window(0, len(opening)) == opening else _found(body, mark, 0) + len(mark)
    while (line := body.window(at, at + 2)) != b"--":
        end = _found(body, b"\r\n\r\n", at)
        if line != b"\r\n" or end - at > _MAX_HEADERS:
            raise malformed()
        begin = end + 4
        stop = _found(body, mark, begin)
        yield _part(body.window(at + 2, end), body.cut(begin, stop))
        at = stop + len(mark)


def _found(body: Blob, wanted: bytes, start: int) -> int:
    at = body.find(wanted, start)
    if at < 0:
        raise malformed()
    return at


def _part(headers: bytes, content: Blob) -> Part:
    described = Message()
    for line in headers.decode("utf-8", "replace").split("\r\n"):
        name, _, value = line.partition(":")
        described[name] = value.strip()
    field_name = described.get_param("name", None, "Content-Disposition")
    if field_name is None:
        raise malformed()
    filename = described.get_filename()
    for escape, character in _ESCAPES.items():
        filename = filename and filename.replace(escape, character)
    mime = described.get_content_type() if "Content-Type" in described else ""
    return Part(collapse_rfc2231_value(field_name), filename, mime, content)
