"""Documents over HTTP: upload, list, show, delete."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from http_server import Server, events

from ragyena.index.index import Index

pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose documents these tests change."""
    with Server.start(tmp_path_factory.mktemp("changing"), "--index", "./notes") as server:
        yield server


def named(client: httpx.Client, name: str) -> dict[str, object]:
    (file,) = client.get("/v1/documents", params={"containing": name}).json()["documents"]
    return dict(file)


def test_files_are_listed_some_at_a_time(client: httpx.Client) -> None:
    whole = client.get("/v1/documents").json()
    names = [file["name"] for file in whole["documents"]]
    assert names == sorted(names) and len(names) == whole["total"] == 6
    part = client.get("/v1/documents", params={"offset": 2, "limit": 3}).json()
    assert [file["name"] for file in part["documents"]] == names[2:5] and part["total"] == 6
    assert named(client, "LIGHT")["name"] == "light.pdf"
    assert client.get("/v1/documents", params={"containing": "%"}).json()["total"] == 0


def test_the_text_is_given_in_parts_around_a_citation(client: httpx.Client) -> None:
    citation = client.post("/v1/ask", json={"question": "When was the iron bridge built?"}).json()["citations"][0]
    place = {"mark_start": citation["start"], "mark_end": citation["end"]}
    text = client.get(f"/v1/documents/{citation['document_id']}/text", params=place).json()
    assert text["marked"] == citation["quote"]
    assert text["before"] + text["marked"] + text["after"] == text["text"]
    assert text["text"] == Path(citation["document"]).read_text(encoding="utf-8")


def test_a_span_of_a_pdf_file_is_found_on_its_page(client: httpx.Client) -> None:
    id = named(client, "light.pdf")["id"]
    document = client.get(f"/v1/documents/{id}").json()
    assert document["pages"] == 2 and document["pictures"]
    text = client.get(f"/v1/documents/{id}/text").json()["text"]
    start = text.index("Tom Marsh")
    (page,) = client.get(f"/v1/documents/{id}/boxes", params={"start": start, "end": start + 9}).json()["pages"]
    (box,) = page["boxes"]
    assert page["page"] == 2
    # write_pdf draws a line at 72 points from the left, 720 from the foot of A4
    assert 0.1 < box["x0"] < box["x1"] < 0.5
    assert box["y0"] < 1 - 720 / page["height"] < box["y1"] + 0.01


def test_a_page_of_a_pdf_file_is_drawn(client: httpx.Client) -> None:
    import io

    from PIL import Image

    id = named(client, "light.pdf")["id"]
    response = client.get(f"/v1/documents/{id}/pages/2.png", params={"width": 500})
    assert response.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(response.content))
    assert image.width == 500 and len(image.convert("L").getcolors()) > 2
    assert client.get(f"/v1/documents/{id}/pages/3.png").status_code == 404
    tea = named(client, "tea.txt")["id"]
    assert client.get(f"/v1/documents/{tea}/pages/1.png").status_code == 404


def test_an_upload_is_followed_to_its_end_and_answers_questions(changing: Server) -> None:
    with changing.client() as client:
        job = client.post("/v1/documents", files=[("files", ("tower.txt", b"The tower of Ashby has 88 steps."))])
        assert job.status_code == 202
        with client.stream("GET", f"/v1/jobs/{job.json()['id']}/events") as response:
            told = events(response.iter_lines())
        assert told[-1][0] == "done" and told[-1][1]["added"] == 1
        answer = client.post("/v1/ask", json={"question": "How many steps has the tower of Ashby?"}).json()
        assert answer["answer"] == "88"
        assert answer["citations"][0]["file_state"] == "unchanged"


def test_what_is_left_out_is_told_with_the_reason(changing: Server) -> None:
    rows = b'{"text": "Row one holds a sentence."}\nnot json\n'
    job = changing.add(
        {"a.exe": b"MZ", "broken.pdf": b"%PDF-1.4 nothing", "rows.jsonl": rows, "ok.txt": b"Rice is cooked."}
    )
    assert job["state"] == "done" and job["added"] == 2
    left = {part["name"]: part for part in job["left_out"]}
    assert "not supported" in left["a.exe"]["message"]
    assert left["broken.pdf"]["hint"]
    assert any(name.startswith("rows.jsonl") for name in left)


@pytest.mark.parametrize(
    ("disposition", "message"),
    [
        ('name="files"', "files.0: it has no file name"),
        ('name="other"; filename="a.txt"', "files: no file was sent"),
    ],
)
def test_an_upload_without_a_file_or_its_name_is_refused(changing: Server, disposition: str, message: str) -> None:
    body = f"--x\r\nContent-Disposition: form-data; {disposition}\r\n\r\nThe mill.\r\n--x--\r\n".encode()
    kind = {"content-type": "multipart/form-data; boundary=x"}
    with changing.client() as client:
        response = client.post("/v1/documents", content=body, headers=kind)
    error = response.json()["error"]
    assert response.status_code == 422 and error["message"] == message
    assert error["param"] == message.partition(":")[0] and "file name" in error["hint"]


def test_the_same_upload_twice_changes_nothing_and_another_of_its_name_stands_beside(changing: Server) -> None:
    first = changing.add({"same.txt": b"The ferry leaves at noon."})
    again = changing.add({"same.txt": b"The ferry leaves at noon."})
    other = changing.add({"same.txt": b"The ferry leaves at midnight."})
    assert (first["added"], again["added"], again["unchanged"], other["added"]) == (1, 0, 1, 1)
    assert first["files"] == again["files"] == ["same.txt"] and other["files"] == ["same-2.txt"]


def test_a_deleted_document_is_gone_with_its_file(changing: Server) -> None:
    changing.add({"gone.txt": b"The old mill grinds rye."})
    with changing.client() as client:
        file = named(client, "gone.txt")
        assert client.delete(f"/v1/documents/{file['id']}").json()["removed"] == 1
        assert client.get(f"/v1/documents/{file['id']}").status_code == 404
        assert client.delete(f"/v1/documents/{file['id']}").status_code == 404
        assert not Path(str(file["source"])).exists()


@pytest.mark.parametrize(
    "name", ["../../../evil.txt", "..\\..\\evil.txt", "/etc/evil.txt", "evil.txt\x00.png", "con.txt"]
)
def test_no_name_leaves_the_folder_of_uploads(changing: Server, name: str) -> None:
    uploads = changing.log.parent / "notes.uploads"
    before = {path for path in changing.log.parent.parent.rglob("*") if uploads not in path.parents}
    with changing.client() as client:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="'
            + name.encode()
            + b'"\r\n\r\nHi there.\r\n--b--\r\n'
        )
        response = client.post(
            "/v1/documents", content=body, headers={"content-type": "multipart/form-data; boundary=b"}
        )
    assert response.status_code in (202, 400, 422)
    after = {path for path in changing.log.parent.parent.rglob("*") if uploads not in path.parents}
    assert {path for path in after - before if path.suffix == ".txt"} == set()
    assert not Path("/etc/evil.txt").exists()
    assert all(path.parent == uploads for path in uploads.rglob("*"))


def test_uploads_that_were_not_added_are_added_at_the_next_start(tmp_path: Path) -> None:
    with Server.start(tmp_path, "--index", "./notes") as server:
        assert server.stop() == 0
    uploads = tmp_path / "notes.uploads"
    uploads.mkdir()
    (uploads / "left.txt").write_text("The bakery opens at six.")
    (uploads / ".incoming-1").write_text("half of a fi")
    with Server.start(tmp_path, "--index", "./notes") as server, server.client() as client:
        while not (jobs := client.get("/v1/jobs").json()["jobs"]) or jobs[0]["state"] != "done":
            pass
        assert client.get("/v1/documents").json()["total"] == 1
        assert not (uploads / ".incoming-1").exists()


def test_what_another_process_adds_is_answered_from(changing: Server) -> None:
    with Index.open(changing.log.parent / "notes") as index:
        index.add({"pier": "The pier of Seaford is 400 metres long."})
    with changing.client() as client:
        answer = client.post("/v1/ask", json={"question": "How long is the pier of Seaford?"}).json()
        assert "400" in answer["answer"] and answer["citations"][0]["document"] == "pier"
