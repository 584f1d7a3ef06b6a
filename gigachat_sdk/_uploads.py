"""From a file argument to the body of a request: its name, its type, its bytes, and the frame around them."""

from __future__ import annotations

import errno
import inspect
import io
import json
import mimetypes
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ._body import TEXT_MODE, BufferFile, FileSource, FramedBody, named
from ._headers import Hidden
from ._json import text_bytes
from ._request import Call
from ._retry import CallKind
from .errors import InvalidRequestError, InvalidRequestTypeError
from .types._base import ResponseModel
from .types._narrow import is_buffer, is_mapping, is_path, is_sequence, surrogate
from .types.files import File
from .types.generated import GeneratedFile
from .types.request_options import RequestOptions

# The names that the service documents, which are not always the registered ones.
_MIME_TYPES = {
    ".txt": "text/plain",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pdf": "application/pdf",
    ".epub": "application/epub",
    ".ppt": "application/ppt",
    ".pptx": "application/pptx",
    ".xlsx": "application/vnd.ms-excel",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".bmp": "image/bmp",
    ".mp4": "audio/mp4",
    ".mp3": "audio/mp3",
    ".m4a": "audio/x-m4a",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".ogg": "audio/x-ogg",
    ".opus": "audio/opus",
}
_UNKNOWN = "application/octet-stream"
_NAMELESS = (
    "{argument}: the service tells formats apart by name and type, and there is no name for {what}; give a tuple: "
    '("report.pdf", content)'
)


def mime_type(name: str) -> str:
    """Return the MIME type of a file by its name, as the service calls it.

    Example:
        >>> mime_type("Отчёт.PPTX"), mime_type("photo.jpg"), mime_type("who.knows")
        ('application/pptx', 'image/jpeg', 'application/octet-stream')
    """
    known = _MIME_TYPES.get(PurePath(name).suffix.lower())
    if known is not None:
        return known
    guessed, encoding = mimetypes.guess_type(name)
    return _UNKNOWN if guessed is None or encoding is not None else guessed


class Upload:
    """A file argument, sorted out: what it is called, and where its bytes come from.

    Making one does no I/O; `open()` does, and may wait for a disk. A path is opened and closed here, what the user has
    opened is left open.

    Args:
        file: What the user gave.
        argument: What the argument is called, for messages.
        needs_name: Whether it is of use only with a name.

    Raises:
        InvalidRequestError: It is nothing that could be sent, or has no name.
    """

    def __init__(self, file: Any, argument: str = "file", *, needs_name: bool = True) -> None:
        self._argument = argument
        content, name, mime = self._parts(file)
        self._content = self._checked(content)
        self._is_str = isinstance(content, str)
        self.name: str = self._name_of(self._content) if name is None else name
        is_path_alone = name is None and isinstance(self._content, str)  # with no name it can't be opened either
        if needs_name and not self.name and not is_path_alone:
            what = "bytes" if is_buffer(content) else f"this {type(content).__name__}"
            raise InvalidRequestError(_NAMELESS.format(argument=argument, what=what), param=argument)
        self.mime: str = mime or mime_type(self.name)
        self._opened: Any = None
        self._is_closed = False

    def _parts(self, file: Any) -> tuple[Any, str | None, str | None]:
        if not (is_sequence(file) and isinstance(file, tuple)):
            return file, None, None
        parts = file
        if len(parts) not in (2, 3):
            raise InvalidRequestTypeError(
                f"{self._argument}: expected (name, content) or (name, content, mime), got a tuple of {len(parts)}",
                param=self._argument,
            )
        name, content, mime = (*parts, None)[:3]
        for what, value in (("name", name), ("mime", mime)):
            if not (value is None or isinstance(value, str)):
                raise InvalidRequestTypeError(
                    f"{self._argument}: the {what} in the tuple is a string, not a {type(value).__name__}",
                    param=self._argument,
                )
        if mime is not None and not (mime.isascii() and mime.isprintable() and mime == mime.strip()):
            raise InvalidRequestError(f"{self._argument}: {mime!r} is no MIME type", param=self._argument)
        return content, name, mime

    def _checked(self, content: Any) -> Any:
        """Return the path as a string, or the content as it is where it can be sent."""
        if is_path(content):
            content = os.fsdecode(content)
        if isinstance(content, str) or is_buffer(content):
            return content
        read = getattr(content, "read", None)
        if not callable(read):
            text = f"expected a path, bytes, a binary file object or (name, content), got {type(content).__name__}"
        elif inspect.iscoroutinefunction(read):
            text = (
                "its read() is asynchronous; give a path, bytes, or the plain file object behind it, as in "
                "(upload.filename, upload.file)"
            )
        elif _is_text(content):
            text = TEXT_MODE
        else:
            return content
        raise InvalidRequestTypeError(f"{self._argument}: {text}", param=self._argument)

    def _name_of(self, content: Any) -> str:
        if isinstance(content, str):
            return PurePath(content).name
        given: Any = _said_name(content)
        name = PurePath(os.fsdecode(given)).name if isinstance(given, str | bytes) or is_path(given) else ""
        return "" if name.startswith("<") else name  # <stdin>

    # ---- the bytes ----

    def open(self) -> FileSource:
        """Open and measure the file.

        Raises:
            FileNotFoundError: There is no file at the path.
            IsADirectoryError: The path is a directory's.
            OSError: It cannot be opened for another reason.
        """
        content = self._content
        if is_buffer(content):
            view = BufferFile(content)
            self._keep(view)
            return FileSource(self._opened, self._argument, None, start=0, size=len(view))
        if not isinstance(content, str):
            start, size = _extent(content, self._argument)
            if start and size == 0:
                raise InvalidRequestError(
                    f"{self._argument}: it was read to its end already; go back with seek(0)", param=self._argument
                )
            source = FileSource(content, self._argument, self.name, start=start, size=size)
            if start is not None:  # what cannot be read is told before anything is sent
                source.read(1)
                source.rewind()
            return source
        file = self._open_path(content)
        info = os.fstat(file.fileno())
        self._keep(file)
        is_regular = stat.S_ISREG(info.st_mode)  # a pipe has no size, and cannot go back
        start, size = (0, info.st_size) if is_regular else (None, None)
        if size == 0 and file.read(1):  # the system makes it up while it is read, as in /proc
            file.seek(0)
            size = None
        return FileSource(self._opened, self._argument, content, start=start, size=size)

    def _open_path(self, path: str) -> io.BufferedReader:
        wrong: Exception
        try:
            if not path:  # pathlib takes it for the working directory
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            if Path(path).is_dir():  # opening one says other things on other systems
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            return Path(path).open("rb")
        except OSError as error:
            shown = path if len(path) < 1000 else f"{path[:100]}..."
            is_content = self._is_str and error.errno in (errno.ENOENT, errno.ENAMETOOLONG)
            advice = " (a str is a path; give content as bytes)" if is_content else ""
            wrong = named(error, self._argument, shown, advice)
        except ValueError as error:
            wrong = InvalidRequestError(f"{self._argument}: this is no path: {error}", param=self._argument)
        raise wrong

    def _keep(self, opened: Any) -> None:
        """Take care of what was opened; in a thread, perhaps, whose caller was cancelled and has closed this by now."""
        self._opened = _Opened(opened)
        if self._is_closed:
            self._opened.close()

    def close(self) -> None:
        """Close what was opened here; the user's file object stays open. It waits for nothing."""
        self._is_closed = True
        if self._opened is not None:
            self._opened.close()


def _is_text(file: Any) -> bool:
    return isinstance(getattr(file, "file", file), io.TextIOBase)  # a named temporary file wraps one


def _said_name(file: Any) -> Any:
    try:
        return getattr(file, "name", None)
    except Exception:  # a property of the user's may raise anything, and then it has no name
        return None


class _Opened:
    """A file that was opened here. One that a thread reads from is closed by that thread: closing waits for the read.

    Each side first says what it does and then looks at the other, so that one of them always closes it.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._is_reading = False
        self._is_closed = False

    @property
    def closed(self) -> bool:
        return self._is_closed

    def read(self, size: int, /) -> bytes:
        self._is_reading = True
        try:
            if self._is_closed:
                raise ValueError("the upload was given up")
            piece: bytes = self._file.read(size)
            return piece
        finally:
            self._is_reading = False
            if self._is_closed:
                self._file.close()

    def seek(self, position: int, /) -> None:
        self._file.seek(position)

    def close(self) -> None:
        self._is_closed = True
        if not self._is_reading:
            self._file.close()


def _extent(file: Any, argument: str) -> tuple[int | None, int | None]:
    """Say where a file object stands and how many bytes follow; None where it cannot say, or cannot go back."""
    if getattr(file, "closed", False) is True:
        raise InvalidRequestError(f"{argument}: the file object is closed; open it again", param=argument)
    try:
        start: Any = file.tell()
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            return None, None
        file.seek(start)
    except Exception:  # whatever an object of the user's raises, it can be read all the same
        return None, None
    try:
        file.seek(0, os.SEEK_END)
        size: Any = file.tell()
    except Exception:  # some compressed ones, which would have to be read for it
        size = None
    wrong = ""
    try:
        file.seek(start)
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong:  # it stands elsewhere now
        raise InvalidRequestError(f"{argument}: it cannot go back to where it stood: {wrong}", param=argument)
    if isinstance(size, bool) or not isinstance(size, int):
        return start, None
    return start, max(size - start, 0)


# ---- the frame ----


def upload_call(upload: Upload, source: FileSource, purpose: Any, options: RequestOptions, boundary: str) -> Call:
    """Build the call of `POST /files`.

    Args:
        upload: Name and type of the file.
        source: Its bytes.
        purpose: The keyword of `files.create(...)`.
        options: The keywords of the call; those of `extra_body` become further fields of the form.
        boundary: What separates the parts; must not occur in the file.
    """
    if not isinstance(purpose, str):
        raise InvalidRequestTypeError(f"purpose: expected a string, got {type(purpose).__name__}", param="purpose")
    text_bytes(purpose, "purpose")
    fields = {"purpose": purpose, **_fields(options.get("extra_body"))}
    head = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
        % (boundary.encode(), _quoted(name), value.encode())
        for name, value in fields.items()
    )
    head += b'--%s\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\nContent-Type: %s\r\n\r\n' % (
        boundary.encode(),
        _quoted(upload.name),
        upload.mime.encode(),
    )
    tail = b"\r\n--%s--\r\n" % boundary.encode()
    return Call(
        "POST",
        "/files",
        CallKind.CREATING,
        body=FramedBody(head, source, tail),
        content_type=f"multipart/form-data; boundary={boundary}",
        options=options,
    )


def _fields(extra: Any) -> dict[str, str]:
    if extra is None:
        return {}
    if not is_mapping(extra):
        raise InvalidRequestTypeError(f"extra_body: expected a dict, got {type(extra).__name__}", param="extra_body")
    fields: dict[str, str] = {}
    for name, value in extra.items():
        key = str(name)
        if surrogate(key) is not None:
            raise InvalidRequestError(
                "extra_body: a key of it holds a lone surrogate, which is no text", param="extra_body"
            )
        text = value if isinstance(value, str) else _json_text(value, f"extra_body.{key}")
        text_bytes(text, f"extra_body.{key}")
        fields[key] = text
    return fields


def _json_text(value: Any, place: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        pass
    raise InvalidRequestError(f"{place}: {type(value).__name__} cannot be a field of a form", param=place)


def _quoted(name: str) -> bytes:
    """Write a name as browsers do (WHATWG, multipart form data): UTF-8, and percent signs for what would end it."""
    return _utf8(name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22"))


def _utf8(text: str) -> bytes:
    """Encode text; bytes of a file's name that were no text become a question mark in a black diamond."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()


# ---- ids ----


def file_id(file: Any) -> str:
    """Return the id of a file that the user names by it, or by what the service said of it."""
    if isinstance(file, str):
        return file
    if isinstance(file, File | GeneratedFile):
        return file.id
    from .types.v2 import File as FileOfPart  # they come with the contract that is used

    if isinstance(file, FileOfPart):
        return file.id
    raise InvalidRequestTypeError(
        f"file: expected an id, a File or a GeneratedFile, got {type(file).__name__}", param="file"
    )


def with_client_id(options: Mapping[str, Any], made: Any) -> Hidden:
    """Put the client id that a file was made under among the keywords of a call, unless the user names one."""
    client_id: str | None = made.client_id if isinstance(made, GeneratedFile | ResponseModel) else None
    if client_id is None or options.get("client_id") is not None:
        return Hidden(options)
    return Hidden({**options, "client_id": client_id})
