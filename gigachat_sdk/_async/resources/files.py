"""`client.files`: what the service keeps for the account."""

from __future__ import annotations

import uuid

from typing_extensions import Unpack

from ..._concurrency import async_read_in_thread
from ..._headers import Hidden
from ..._request import BODYLESS_NAMES, OPTION_NAMES, Call, get_call, quoted, take_options
from ..._retry import CallKind
from ..._uploads import Upload, file_id, upload_call, with_client_id
from ...types import File, FileDeleted, FileList, FilePurpose, FileTypes, GeneratedFile, RequestOptions
from ...types.part_file import File as FileOfPart
from ..binary import AsyncBinaryResponse
from ..session import AsyncSession


class AsyncFiles:
    """Files that the service keeps: uploaded ones, generated ones, results of batches."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def create(
        self, *, file: FileTypes, purpose: FilePurpose | str = "general", **options: Unpack[RequestOptions]
    ) -> File:
        """Upload a file, to be named in `attachments` of a message.

        It is sent from the disk in pieces, so a file of any size costs no memory. An upload whose answer was lost is
        not sent again by itself, since that could make a second file.

        Source: `POST /v1/files`.

        Args:
            file: A path (a `str` is always one), bytes, or a file object open in binary mode, which is read from where
                it stands and left open. What has no name of its own is given as `(name, content)`. The type follows
                from the name; `(name, content, mime)` says another one. The service takes up to 40 MB of text, 15 MB of
                a picture, 35 MB of sound.
            purpose: What it is for.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`; what is in
                `extra_body` is sent as further fields of the form.

        Raises:
            FileNotFoundError: There is no file at the path.
            IsADirectoryError: The path is a directory's.
            OSError: The file cannot be opened or read for another reason.
            InvalidRequestError: It is nothing that can be sent, or has no name; or it was changed while it was being
                sent, and the upload was broken off.
            RequestTooLargeError: The service takes no file of this size.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> with open("cat.jpg", "rb") as picture:
            ...     file = await client.files.create(file=picture)
            >>> await client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "Что на картинке?", "attachments": [file.id]}]
            ... )
        """
        given = Hidden(options)
        del options  # headers among them may hold secrets, and a traceback with locals would show them
        taken = take_options(given, OPTION_NAMES, "create")
        upload = Upload(file)
        try:
            source = await async_read_in_thread(upload.open)
            return await self._session.request(upload_call(upload, source, purpose, taken, uuid.uuid4().hex), File)
        finally:
            upload.close()

    async def list(self, **options: Unpack[RequestOptions]) -> FileList:
        """Return all files of the account.

        Source: `GET /v1/files`.

        Args:
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Raises:
            APIStatusError: The service answered with an error.
            APIConnectionError: No answer came.

        Example:
            >>> [file.filename for file in await client.files.list()]
            ['invoice.pdf', 'cat.jpg']
        """
        given = Hidden(options)
        del options
        return await self._session.request(get_call("list", "/files", given), FileList)

    async def retrieve(self, file: str | File | GeneratedFile | FileOfPart, **options: Unpack[RequestOptions]) -> File:
        """Return what the service says of a file: its name, size, purpose.

        Source: `GET /v1/files/{file}`.

        Args:
            file: Its id, or what a former call said of it.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Raises:
            NotFoundError: There is no such file.
            InvalidRequestError: The id is empty.

        Example:
            >>> (await client.files.retrieve("c757a9c5-de04-498f-baa3-efcc54de7853")).filename
            'image.jpg'
        """
        given = Hidden(options)
        del options
        call = get_call("retrieve", _path(file), with_client_id(given, file))
        return await self._session.request(call, File)

    async def delete(
        self, file: str | File | GeneratedFile | FileOfPart, **options: Unpack[RequestOptions]
    ) -> FileDeleted:
        """Delete a file.

        Source: `POST /v1/files/{file}/delete`.

        Args:
            file: Its id, or what a former call said of it.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Raises:
            NotFoundError: There is no such file.
            InvalidRequestError: The id is empty.

        Example:
            >>> (await client.files.delete("c757a9c5-de04-498f-baa3-efcc54de7853")).deleted
            True
        """
        given = Hidden(options)
        del options
        taken = take_options(with_client_id(given, file), BODYLESS_NAMES, "delete")
        # Once it is gone, a second one would say that there is no such file.
        call = Call("POST", f"{_path(file)}/delete", CallKind.CREATING, options=taken)
        return await self._session.request(call, FileDeleted)

    async def content(
        self, file: str | File | GeneratedFile | FileOfPart, **options: Unpack[RequestOptions]
    ) -> AsyncBinaryResponse:
        """Download a file: an uploaded one, a generated one, or the results of a batch.

        It returns when the head of the answer has arrived; the bytes are fetched as you read them. For a
        `GeneratedFile` the `X-Client-ID` of the request that made it is sent, without which the service refuses.

        Source: `GET /v1/files/{file}/content`.

        Args:
            file: Its id, or what a former call said of it.
            options: `timeout`, the retry settings, `client_id` and the rest of `RequestOptions`.

        Returns:
            An `AsyncBinaryResponse`: `read()`, `iter_bytes()`, `write_to_file(path)`.

        Raises:
            NotFoundError: There is no such file.
            InvalidRequestError: The id is empty.
            APIStatusError: The service answered with another error.
            APIConnectionError: No answer came.

        Example:
            >>> completion = await client.chat.completions.create(
            ...     messages=[{"role": "user", "content": "Нарисуй кота"}], function_call="auto"
            ... )
            >>> for picture in completion.images():
            ...     content = await client.files.content(picture)
            ...     await content.write_to_file(f"{picture.id}.jpg")
        """
        given = Hidden(options)
        del options
        call = get_call("content", f"{_path(file)}/content", with_client_id(given, file))
        call.is_raw = True
        return AsyncBinaryResponse(await self._session.exchange(call), self._session)


def _path(file: object) -> str:
    return f"/files/{quoted(file_id(file), 'file')}"
