import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gigachat_sdk.testing import Emulator
from gigachat_sdk.testing import _files as files
from gigachat_sdk.testing._files import FileStore

from .conftest import Clock, open_client

WIRE = Path(__file__).parents[1] / "fixtures" / "wire"
PNG = ("кот.png", b"\x89PNG\r\n\x1a\n", "image/png")
TEXT = ("заметка.txt", "Привет".encode(), "text/plain")
Upload = Callable[..., httpx.Response]


def wire(name: str) -> dict[str, Any]:
    fixture: dict[str, Any] = json.loads((WIRE / f"fixture_files_{name}.json").read_bytes())
    return fixture


@pytest.fixture
def upload(http: httpx.Client) -> Upload:
    def send(file: Any = TEXT, **options: Any) -> httpx.Response:
        return http.post("/files", files={"file": file}, data={"purpose": "general"}, **options)

    return send


def test_a_file_goes_through_its_life(http: httpx.Client, upload: Upload, clock: Clock) -> None:
    made = upload().json()
    assert made.keys() == wire("upload").keys()
    assert made == {
        "id": made["id"],
        "object": "file",
        "bytes": 12,
        "created_at": int(clock.now),
        "filename": "заметка.txt",
        "purpose": "general",
    }
    found = http.get(f"/files/{made['id']}").json()
    assert found == {**made, "access_policy": "private"}
    assert found.keys() == wire("get").keys()
    listed = http.get("/files").json()
    assert listed == {"data": [found]}
    assert listed.keys() == wire("list").keys()
    content = http.get(f"/files/{made['id']}/content")
    assert (content.content, content.headers["content-length"]) == (TEXT[1], "12")
    assert content.headers["content-type"] == "application/octet-stream"
    deleted = http.post(f"/files/{made['id']}/delete").json()
    assert deleted == {"id": made["id"], "object": "file", "deleted": True}
    assert deleted.keys() == wire("delete").keys()
    assert http.get("/files").json() == {"data": []}
    assert http.get(f"/files/{made['id']}").status_code == 404


@pytest.mark.parametrize(("method", "suffix"), [("GET", ""), ("GET", "/content"), ("POST", "/delete")])
def test_an_unknown_file_is_404(http: httpx.Client, upload: Upload, method: str, suffix: str) -> None:
    upload()
    answer = http.request(method, f"/files/123{suffix}")
    assert (answer.status_code, answer.text) == (404, '{"status":404,"message":"No such file"}\n')


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/files", "GET, HEAD, POST"), ("DELETE", "/files/1", "GET, HEAD"), ("GET", "/files/1/delete", "POST")],
)
def test_another_method_is_405(http: httpx.Client, method: str, path: str, allowed: str) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_the_former_hosts_prefix_works_for_files(http: httpx.Client, upload: Upload) -> None:
    made = upload().json()
    former = http.base_url.copy_with(path=f"/api/v1/files/{made['id']}/content")
    assert http.get(former).content == TEXT[1]
    assert httpx.get(former).status_code == 401


def test_a_file_of_a_client_is_for_that_client(http: httpx.Client, upload: Upload) -> None:
    mine, anyones = upload(headers={"X-Client-ID": "me"}).json()["id"], upload().json()["id"]
    for path in (f"/files/{mine}", f"/files/{mine}/content"):
        assert http.get(path).status_code == 404
        assert http.get(path, headers={"X-Client-ID": "you"}).status_code == 404
        assert http.get(path, headers={"X-Client-ID": "me"}).status_code == 200
    assert http.post(f"/files/{mine}/delete").status_code == 404

    def listed(**headers: str) -> list[str]:
        return [one["id"] for one in http.get("/files", headers=headers).json()["data"]]

    assert (listed(), listed(**{"X-Client-ID": "me"})) == ([anyones], [mine, anyones])


def test_images_and_sounds_say_so(http: httpx.Client, upload: Upload) -> None:
    image, sound = upload(PNG).json(), upload(("a.mp3", b"ID3", "audio/mp3")).json()
    assert (image["modalities"], sound["modalities"]) == (["image"], ["audio"])
    assert http.get(f"/files/{image['id']}").json()["modalities"] == ["image"]


@pytest.mark.parametrize(
    ("mime", "given"),
    [
        ("image/jpeg", "image/jpeg"),
        ("image/png", "application/octet-stream"),
        ("text/plain", "application/octet-stream"),
    ],
)
def test_photographs_alone_keep_their_type(http: httpx.Client, upload: Upload, mime: str, given: str) -> None:
    made = upload(("имя", b"x", mime)).json()
    assert http.get(f"/files/{made['id']}/content").headers["content-type"] == given


def test_an_empty_file_is_a_file(http: httpx.Client, upload: Upload) -> None:
    made = upload(("пусто.txt", b"", "text/plain")).json()
    assert made["bytes"] == 0
    content = http.get(f"/files/{made['id']}/content")
    assert (content.status_code, content.content, content.headers["content-length"]) == (200, b"", "0")


def test_the_same_uploads_get_the_same_ids_in_every_emulator() -> None:
    ids: list[list[str]] = []
    for _ in range(2):
        with Emulator() as emulator, open_client(emulator) as http:
            ids.append([http.post("/files", files={"file": TEXT}).json()["id"] for _ in range(2)])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_files_stay_when_the_emulator_is_started_again() -> None:
    emulator = Emulator()
    with emulator, open_client(emulator) as http:
        made = http.post("/files", files={"file": TEXT}).json()
    with emulator, open_client(emulator) as http:
        assert http.get(f"/files/{made['id']}/content").content == TEXT[1]


def test_the_purpose_may_be_missing_or_assistant_and_nothing_else(http: httpx.Client) -> None:
    assert http.post("/files", files={"file": TEXT}).json()["purpose"] == "general"
    assert http.post("/files", files={"file": TEXT}, data={"purpose": "assistant"}).json()["purpose"] == "assistant"
    assert http.post("/files", files={"file": TEXT}, data={"purpose": "batch"}).status_code == 400


@pytest.mark.parametrize(
    ("mime", "most"),
    [("text/plain", 40), ("application/pdf", 40), ("application/x-unknown", 40), ("image/png", 15), ("audio/mp3", 35)],
)
def test_the_documented_sizes_are_kept(mime: str, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MAX_DOCUMENT", 40)
    monkeypatch.setattr(files, "_MODALITIES", {"image": 15, "audio": 35})
    for limits, statuses in ((True, [200, 413]), (False, [200, 200])):
        with Emulator(limits=limits) as emulator, open_client(emulator) as http:
            answers = [http.post("/files", files={"file": ("имя", b"x" * size, mime)}) for size in (most, most + 1)]
            assert [answer.status_code for answer in answers] == statuses
            assert len(http.get("/files").json()["data"]) == statuses.count(200)
            if limits:
                assert answers[1].json() == {"status": 413, "message": "Payload too large"}


def test_the_documented_sizes_are_these() -> None:
    limits = {"document": files._MAX_DOCUMENT, **files._MODALITIES}
    assert {kind: size / 1024 / 1024 for kind, size in limits.items()} == {"document": 40, "image": 15, "audio": 35}


def test_the_store_serves_the_emulators_own_files() -> None:
    store = FileStore()
    image = store.add(b"jpeg", filename="a.jpg", mime="image/jpeg", now=1.5)
    cube = store.add(b"fbx", filename="b.fbx", mime="model/fbx", client_id="c", modalities=("3d",), now=2.0)
    assert (image.size, image.read(), image.modalities, image.created_at) == (4, b"jpeg", ("image",), 1)
    assert cube.to_json()["modalities"] == ["3d"]
    assert list(store.list()) == [image, cube]
    assert store.find(image.id, None) is store.find(image.id, "c") is image
    assert (store.find(cube.id, "c"), store.find(cube.id, None), store.find("?", None)) == (cube, None, None)
    store.delete(image.id)
    store.delete(image.id)
    assert list(store.list()) == [cube]


@pytest.fixture
def post(http: httpx.Client) -> Iterator[Callable[..., httpx.Response]]:
    def send(body: bytes, content_type: str = "multipart/form-data; boundary=b") -> httpx.Response:
        return http.post("/files", content=body, headers={"Content-Type": content_type})

    return send


FILE = b'Content-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\nX'


@pytest.mark.parametrize(
    "body",
    [
        b"--b\r\n" + FILE + b"\r\n--b--\r\n",
        b"--b\r\n" + FILE + b"\r\n--b--",
        b"preamble\r\n--b\r\n" + FILE + b"\r\n--b--epilogue",
        b"\r\n--b\r\n" + FILE + b"\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\n\r\n--b\r\n' + FILE + b"\r\n--b--\r\n",
        b"--b\r\n" + FILE + b"\r\n--b\r\n" + FILE.replace(b"X", b"the first one counts") + b"\r\n--b--\r\n",
        b"--b\r\n" + FILE.replace(b"Content-", b"content-") + b"\r\n--b--\r\n",
    ],
)
def test_forms_are_read(post: Callable[..., httpx.Response], http: httpx.Client, body: bytes) -> None:
    made = post(body).json()
    assert http.get(f"/files/{made['id']}/content").content == b"X"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'filename="a.txt"', "a.txt"),
        (b"filename=a.txt", "a.txt"),
        ('filename="д; я.txt"'.encode(), "д; я.txt"),
        (b'filename="a%22b%22.txt"', 'a"b".txt'),
        (b"filename*=UTF-8''%D0%B4.txt", "д.txt"),
    ],
)
def test_names_of_files_are_read(post: Callable[..., httpx.Response], written: bytes, read: str) -> None:
    assert post(b"--b\r\n" + FILE.replace(b'filename="f"', written) + b"\r\n--b--").json()["filename"] == read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        b"--b--",
        b"--b",
        b"--b\r\n",
        b"--b\r\n" + FILE,
        b"--b\n" + FILE + b"\r\n--b--",
        b"--b__" + FILE + b"\r\n--b--",
        b"--b\r\n" + FILE + b"\r\n--b",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nX\r\n--b--",
        b"--b\r\n\r\nX\r\n--b--",
        b"--b\r\nX-Long: " + b"x" * 17_000 + b"\r\n" + FILE + b"\r\n--b--",
        b"--b\r\n" + FILE.replace(b'"file"', b'"other"') + b"\r\n--b--",
        b"--b\r\n" + FILE.replace(b'; filename="f"', b"") + b"\r\n--b--",
        b"--b\r\n" + FILE.replace(b'filename="f"', b'filename=""') + b"\r\n--b--",
        b"--b\r\n" + FILE.replace(b"Content-Type: text/plain\r\n", b"") + b"\r\n--b--",
    ],
)
def test_broken_forms_are_refused(post: Callable[..., httpx.Response], body: bytes) -> None:
    answer = post(body)
    assert (answer.status_code, answer.json()["message"]) == (400, "Your request contains invalid JSON syntax.")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart/mixed; boundary=b", ""])
def test_a_body_of_another_type_is_refused(post: Callable[..., httpx.Response], content_type: str) -> None:
    assert post(b"--b\r\n" + FILE + b"\r\n--b--", content_type).status_code == 400
