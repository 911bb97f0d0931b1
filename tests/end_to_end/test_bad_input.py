"""Wrong input and failing systems: one clear line, the documented exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from command_line import Ragyena, write_pdf

from ragyena.index.writer import Writer

pytestmark = pytest.mark.xdist_group("end_to_end")
QUESTION = "When was the iron bridge built?"


@pytest.fixture
def copy(library: Path, tmp_path: Path) -> Path:
    """A copy of the library to damage."""
    return Path(shutil.copytree(library, tmp_path / "copy"))


def documents_in(ragyena: Ragyena, index: Path) -> int:
    return int(ragyena("index", "status", "--index", index, "--json").succeeds().json["documents"])


# --- documents -------------------------------------------------------------------------------------------------


def test_a_missing_path(ragyena: Ragyena, tmp_path: Path) -> None:
    ragyena("index", "add", tmp_path / "nowhere", "--index", tmp_path / "i").fails(3, "nowhere")
    assert not (tmp_path / "i" / "manifest.json").exists()


def test_an_empty_folder(ragyena: Ragyena, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ragyena("index", "add", tmp_path / "empty", "--index", tmp_path / "i").fails(3, "empty")


def test_bad_files_are_named_and_the_good_ones_are_added(ragyena: Ragyena, tmp_path: Path) -> None:
    """A damaged and an encrypted pdf, binary junk named .txt, a file of 200 MB, beside two sound files."""
    from pypdf import PdfReader, PdfWriter

    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "good.md").write_text("# Good\n\nThis file is fine.\n", encoding="utf-8")
    (folder / "latin.txt").write_bytes("Die Brücke über die Straße ist schön.\n".encode("latin-1") * 3)
    (folder / "damaged.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    (folder / "junk.txt").write_bytes(os.urandom(4096))
    writer = PdfWriter(PdfReader(write_pdf(tmp_path / "plain.pdf", "A secret.")))
    writer.encrypt("password", algorithm="AES-256")
    writer.write(folder / "encrypted.pdf")
    with (folder / "huge.txt").open("wb") as huge:
        huge.truncate(200_000_000)
    done = ragyena("index", "add", folder, "--index", tmp_path / "i").fails(3, "4 of 6")
    for name in ("damaged.pdf", "junk.txt", "encrypted.pdf", "huge.txt"):
        assert name in done.err
    for name in ("good.md", "latin.txt"):
        assert name not in done.err
    assert documents_in(ragyena, tmp_path / "i") == 2
    result = ragyena("index", "search", "Brücke Straße", "--index", tmp_path / "i", "--json").succeeds().json
    assert "Die Brücke über die Straße" in result["passages"][0]["text"]


def test_one_bad_file_alone_is_named_with_the_way_out(ragyena: Ragyena, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    ragyena("index", "add", tmp_path / "photo.jpg", "--index", tmp_path / "i").fails(3, "photo.jpg")


# --- questions and budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   ", "?!"])
def test_an_empty_question(ragyena: Ragyena, library: Path, question: str) -> None:
    ragyena("ask", question, "--index", library).fails(2, "question")


def test_nothing_on_stdin(ragyena: Ragyena, library: Path) -> None:
    ragyena("ask", "--index", library, stdin="").fails(2, "question")


def test_a_question_of_ten_thousand_words(ragyena: Ragyena, library: Path) -> None:
    ragyena("ask", "--index", library, stdin="why " * 10_000).fails(2, "question")


def test_a_budget_under_the_length_of_the_question(ragyena: Ragyena, library: Path) -> None:
    question = "Which of the bridges " + "of the old town " * 80 + "was built first?"
    environment = {"RAGYENA_READER__MAX_QUESTION_TOKENS": "512"}
    done = ragyena("ask", question, "--index", library, "--context-tokens", "256", environment=environment)
    assert done.code == 2
    done.fails(2)


@pytest.mark.parametrize("budget", ["0", "100", "1000000"])
def test_a_budget_out_of_range_names_the_flag(ragyena: Ragyena, library: Path, budget: str) -> None:
    ragyena("ask", QUESTION, "--index", library, "--context-tokens", budget).fails(2, "--context-tokens", budget)


def test_a_budget_that_is_no_number_is_a_usage_error(ragyena: Ragyena, library: Path) -> None:
    done = ragyena("ask", QUESTION, "--index", library, "--context-tokens", "many")
    assert done.code == 2
    assert "--context-tokens" in done.err and "Traceback" not in done.err


def test_a_misspelt_flag_is_a_usage_error(ragyena: Ragyena) -> None:
    done = ragyena("ask", QUESTION, "--indx", "x")
    assert done.code == 2
    assert "--index" in done.err and "Traceback" not in done.err


def test_an_unknown_option_before_an_argument_without_a_name_of_its_own(ragyena: Ragyena) -> None:
    done = ragyena("bench", "reader", "-q")
    assert done.code == 2
    assert "ragyena bench reader -- READERS" in done.err and "Traceback" not in done.err


def test_a_misspelt_setting(ragyena: Ragyena) -> None:
    ragyena("config", "show", environment={"RAGYENA_PAKER__ORDER": "score"}).fails(2, "RAGYENA_PAKER__ORDER")


def test_an_unknown_recipe(ragyena: Ragyena) -> None:
    ragyena("config", "show", "--pipeline", "nonesuch").fails(3, "nonesuch")


@pytest.mark.parametrize(
    ("tried", "hint"),
    [
        ("list", "ragyena index status"),
        ("remove", "ragyena index rm DOC"),
        ("watch", "ragyena index sync FOLDER --watch"),
    ],
)
def test_a_command_that_has_another_name_here(ragyena: Ragyena, tried: str, hint: str) -> None:
    assert f"hint: {hint}" in ragyena("index", tried, "notes.txt").fails(2, f"index {tried}").err


def test_a_questions_file_that_is_missing_or_empty(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    ragyena("ask", "--questions", tmp_path / "none.jsonl", "--index", library).fails(3, "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    ragyena("ask", "--questions", tmp_path / "empty.jsonl", "--index", library).fails(3, "empty.jsonl")


# --- indexes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("ask", QUESTION), ("index", "status"), ("index", "search", "bridge")])
def test_an_index_that_does_not_exist(ragyena: Ragyena, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    ragyena(*arguments, "--index", tmp_path / "nowhere").fails(4, "nowhere")


def test_an_index_name_that_does_not_exist(ragyena: Ragyena) -> None:
    ragyena("index", "search", "bridge", "--index", "nonesuch").fails(4, "nonesuch")


def change_manifest(index: Path, **values: object) -> None:
    path = index / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def test_an_index_of_another_format_version(ragyena: Ragyena, copy: Path) -> None:
    change_manifest(copy, format_version=99)
    ragyena("index", "search", "bridge", "--index", copy).fails(4, "99")


def test_an_index_of_another_embedder(ragyena: Ragyena, copy: Path) -> None:
    change_manifest(copy, embedder_fingerprint="0" * 64)
    ragyena("index", "search", "bridge", "--index", copy).fails(4, "all-MiniLM-L6-v2")


def test_an_index_cut_by_another_tokenizer(ragyena: Ragyena, copy: Path) -> None:
    change_manifest(copy, tokenizer_fingerprint="0" * 64)
    ragyena("ask", QUESTION, "--index", copy).fails(4, "tokenizer")


def test_a_manifest_that_is_no_json(ragyena: Ragyena, copy: Path) -> None:
    (copy / "manifest.json").write_text('{"format_version": 1, "emb', encoding="utf-8")
    ragyena("index", "search", "bridge", "--index", copy).fails(4, "manifest.json")


def test_a_truncated_faiss_file_is_detected_and_rebuilt_from_the_store(
    ragyena: Ragyena, copy: Path, documents: Path
) -> None:
    (vectors,) = copy.glob("vectors-*.faiss")
    content = vectors.read_bytes()
    vectors.write_bytes(content[: len(content) // 2])
    ragyena("index", "search", "bridge", "--index", copy).fails(4, vectors.name)
    ragyena("index", "verify", "--index", copy).fails(4)
    ragyena("index", "verify", "--repair", "--index", copy).succeeds()
    result = ragyena("index", "search", "iron bridge", "--index", copy, "--json").succeeds().json
    assert result["passages"][0]["document"].endswith("bridge.md")


def test_a_corrupt_sqlite_page(ragyena: Ragyena, copy: Path) -> None:
    store = copy / "store.sqlite"
    sqlite3.connect(store).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    content = bytearray(store.read_bytes())
    for page in range(1, len(content) // 4096):
        content[page * 4096 : page * 4096 + 512] = os.urandom(512)
    store.write_bytes(content)
    ragyena("index", "verify", "--index", copy).fails(4)
    ragyena("index", "search", "bridge", "--index", copy).fails(4, "store.sqlite")
    ragyena("ask", QUESTION, "--index", copy).fails(4, "store.sqlite")


# --- readers ---------------------------------------------------------------------------------------------------


def shipped_reader(tmp_path: Path) -> Path:
    from ragyena import recipes

    return Path(shutil.copytree(recipes.asset("reader"), tmp_path / "reader"))


def test_a_checkpoint_that_is_missing(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    environment = {"RAGYENA_READER__CHECKPOINT": str(tmp_path / "none")}
    ragyena("ask", QUESTION, "--index", library, environment=environment).fails(7, "none")


def test_a_checkpoint_of_other_shape(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    reader = shipped_reader(tmp_path)
    config = json.loads((reader / "config.json").read_text(encoding="utf-8"))
    model = config.get("model", config)
    model["ffn_width"] = 1000
    (reader / "config.json").write_text(json.dumps(config), encoding="utf-8")
    environment = {"RAGYENA_READER__CHECKPOINT": str(reader)}
    ragyena("ask", QUESTION, "--index", library, environment=environment).fails(7, str(reader))


def test_a_checkpoint_that_is_cut_short(ragyena: Ragyena, library: Path, tmp_path: Path) -> None:
    reader = shipped_reader(tmp_path)
    weights = reader / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    environment = {"RAGYENA_READER__CHECKPOINT": str(reader)}
    ragyena("ask", QUESTION, "--index", library, environment=environment).fails(7, str(reader))


# --- interruptions ---------------------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Documents that take some seconds to index."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(60):
        text = "\n\n".join(
            f"Paragraph {part} of text {number} tells of the river and its ships." * 6 for part in range(12)
        )
        (folder / f"text-{number:02}.txt").write_text(text, encoding="utf-8")
    return folder


def stopped_in_the_middle(ragyena: Ragyena, many: Path, index: Path, how: signal.Signals) -> subprocess.Popen[bytes]:
    """``index add`` as a process that got ``how`` once it had committed a part of its work."""
    command = ragyena.command("index", "add", many, "--index", index)
    process = subprocess.Popen(
        command,
        env=ragyena.environment(),
        cwd=ragyena.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # a shell that runs the tests in the background has Ctrl-C ignored, and its children with it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None and not committed(index):
        time.sleep(0.02)
    assert process.poll() is None, "it was done before it could be stopped"
    process.send_signal(how)
    return process


def committed(index: Path) -> int:
    try:
        connection = sqlite3.connect(f"file:{index / 'store.sqlite'}?mode=ro", uri=True, timeout=1)
        with connection:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
    except sqlite3.Error:
        return 0


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stopped_in_the_middle_nothing_is_lost_and_the_rest_is_added(
    ragyena: Ragyena, many: Path, tmp_path: Path, how: signal.Signals
) -> None:
    index = tmp_path / "index"
    process = stopped_in_the_middle(ragyena, many, index, how)
    _, err = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert b"interrupted" in err and b"again" in err and b"Traceback" not in err
    kept = committed(index)
    assert 0 < kept < 60
    report = ragyena("index", "add", many, "--index", index, "--json").succeeds().json
    assert report["unchanged"] >= kept
    assert report["total_documents"] == 60
    ragyena("index", "verify", "--index", index).succeeds()


def test_two_writers_at_once(ragyena: Ragyena, copy: Path, documents: Path) -> None:
    with Writer(copy):
        ragyena("index", "add", documents, "--index", copy).fails(5, str(copy), "another process", str(os.getpid()))
        ragyena("index", "search", "bridge", "--index", copy).succeeds()
    ragyena("index", "add", documents, "--index", copy).succeeds()


def test_a_full_disk(ragyena: Ragyena, many: Path, library: Path, tmp_path: Path) -> None:
    """No file may be written past a few pages: the system's error is that of a full disk."""
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    for path in sorted(many.iterdir())[12:]:
        path.unlink()
    index = Path(shutil.copytree(library, tmp_path / "index"))
    before = documents_in(ragyena, index)
    ragyena("index", "add", many, "--index", index, before=limit).fails(6, str(index))
    ragyena("index", "verify", "--index", index).succeeds()
    assert documents_in(ragyena, index) >= before
    ragyena("index", "add", many, "--index", index).succeeds()
    assert documents_in(ragyena, index) == before + 12


def test_no_permission_to_write(ragyena: Ragyena, documents: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/ragyena-index")  # even root cannot write here
    else:
        target = tmp_path / "locked" / "index"
        target.parent.mkdir(mode=0o500)
    ragyena("index", "add", documents, "--index", target).fails(6, str(target))
