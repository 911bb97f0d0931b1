"""The page in a real browser: documents are dropped, questions asked, places opened; axe finds nothing to object to."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, chat_server
from command_line import write_pdf
from http_server import Server
from small_world import save_small_reader

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
if BROWSER is None:
    pytest.skip("needs Chromium of the distribution", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("page")]

TABLE = "Model,Price (EUR),Weight (kg)\nV-20,140,3.9\nV-40,260,7.5\nV-60,410,12.1\n"
LEASE = (
    "# Lease\n\n## Deposit\n\nThe deposit is 1,200 euros. It is paid back within six weeks.\n\n"
    "## Pets\n\nThe tenant may keep two cats, but no dogs. <script>document.title='hit'</script>\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with three documents. What one test adds to it, it removes."""
    home = tmp_path_factory.mktemp("page")
    with Server.start(home, "--index", "./home") as server:
        assert server.add(_files(home))["state"] == "done"
        yield server


def _files(folder: Path) -> dict[str, bytes | str]:
    pdf = write_pdf(folder / "light.pdf", "Nothing.", "The lighthouse was lit in 1870.").read_bytes()
    return {"pumps.csv": TABLE, "lease.md": LEASE, "light.pdf": pdf}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    with _opened(browser, server) as page:
        page.wait_for_function("document.activeElement.id === 'question'")
        yield page


@contextmanager
def _opened(browser: Any, server: Server) -> Iterator[Any]:
    """The page; it must have nothing to complain of."""
    # the driver's own scripts are not the page's: its policy (CSP) is tested without them
    context = browser.new_context(viewport={"width": 1300, "height": 850}, bypass_csp=True)
    context.set_default_timeout(60_000)
    opened = context.new_page()
    opened.faults = []
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("console", lambda said: opened.faults.append(said.text) if said.type == "error" else None)
    opened.goto(server.url)
    yield opened
    assert opened.faults == []
    context.close()


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ChatServer]]:
    """A server with the same documents, an untrained attention baseline, and a writer."""
    home = tmp_path_factory.mktemp("helped")
    baseline = save_small_reader(tmp_path_factory.mktemp("readers") / "attention-baseline", mixer="attention")
    with chat_server(text="The deposit is 1,200 euros [1]. It is paid back within nine weeks [1].") as writer:
        flags = ("--baseline", str(baseline), "--writer", writer.url, "--writer-model", "small-writer")
        with Server.start(home, "--index", "./home", *flags) as server:
            assert server.add(_files(home))["state"] == "done"
            yield server, writer


def ask(page: Any, question: str, *, allow_failure: bool = False) -> Any:
    """Ask, and return the card of the answer."""
    page.fill("#question", question)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "q => { const card = document.querySelector('.card'); return card && card.textContent.includes(q)"
        " && !card.hasAttribute('aria-busy') }",
        arg=question,
        timeout=90_000,
    )
    card = page.locator(".card").first
    assert allow_failure or not card.locator(".failure").count(), card.inner_text()
    return card


def test_documents_are_dropped_and_what_was_left_out_is_said(browser: Any, tmp_path: Path) -> None:
    """An empty server shows where to put documents."""
    for name, content in (_files(tmp_path) | {"film.mp4": bytes(100)}).items():
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    home = tmp_path / "home"
    home.mkdir()
    with Server.start(home, "--index", "./home") as server, _opened(browser, server) as page:
        page.wait_for_selector("#documents")
        names = ("pumps.csv", "lease.md", "light.pdf", "film.mp4")
        page.set_input_files("#picker", [tmp_path / name for name in names])
        page.wait_for_selector(".job >> text=3 files added", timeout=120_000)
        assert "film.mp4" in page.locator(".jobs").inner_text()
        assert sorted(page.locator(".files li button.link").all_inner_texts()) == ["lease.md", "light.pdf", "pumps.csv"]
        page.fill("#find", "lea")
        page.wait_for_function("document.querySelectorAll('.files li').length === 1")


def test_a_citation_opens_the_text_with_the_evidence_marked(page: Any) -> None:
    card = ask(page, "How much is the deposit?")
    assert "1,200 euros" in card.locator(".said").inner_text()
    card.locator(".citation").first.click()
    page.wait_for_selector("#viewer mark")
    assert "1,200 euros" in page.locator("#viewer mark").first.inner_text()
    assert page.locator("#viewer h4", has_text="Deposit").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("#viewer").is_hidden()
    assert page.evaluate("document.activeElement.className") == "citation"
    assert page.title() == "ragyena", "what stands in a document is text, never a script"


def test_a_cell_is_shown_in_its_table(page: Any) -> None:
    card = ask(page, "What is the price of the V-40?")
    card.locator(".citation").first.click()
    page.wait_for_selector("#viewer table mark")
    assert page.locator("#viewer th").all_inner_texts() == ["Model", "Price (EUR)", "Weight (kg)"]
    assert page.locator("#viewer tr.hit td").first.inner_text().startswith("V-")
    assert page.locator("#viewer tbody tr").count() == 3, "the names stand in the head alone"


def test_a_pdf_is_shown_as_the_page_with_a_box(page: Any) -> None:
    card = ask(page, "When was the lighthouse lit?")
    card.locator(".citation").first.click()
    page.wait_for_selector("#viewer .box", timeout=60_000)
    picture = page.locator("#viewer img")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 500")
    assert "page 2" in (picture.get_attribute("alt") or "")
    box, sheet = page.locator("#viewer .box").first.bounding_box(), picture.bounding_box()
    assert sheet["x"] <= box["x"] and box["x"] + box["width"] <= sheet["x"] + sheet["width"]
    page.get_by_role("button", name="Show as text").click()
    page.wait_for_selector("#viewer .text mark")


def test_a_follow_up_carries_the_subject(page: Any) -> None:
    ask(page, "What is the price of the V-40?")
    assert "asked as: What is the price of the V-60?" in ask(page, "and the V-60?").inner_text()
    page.click("#fresh")
    assert "asked as" not in ask(page, "and the V-20?").inner_text()


def test_what_was_read_and_the_history(page: Any) -> None:
    card = ask(page, "How heavy is the V-20?")
    card.locator("details.read summary").click()
    stripes = card.locator(".stripe")
    assert stripes.count() > 1
    stripes.first.focus()
    page.keyboard.press("ArrowRight")
    assert "place 2 of" in card.locator(".stripe-label").inner_text()
    page.reload()
    page.wait_for_selector(".card")
    assert "How heavy is the V-20?" in page.locator(".card").first.inner_text()
    page.click("#forget")
    assert page.locator(".card").count() == 0


def test_a_citation_of_the_history_marks_nothing_in_other_documents(page: Any) -> None:
    card = ask(page, "How much is the deposit?")
    quote = card.locator(".citation").first.inner_text()
    page.evaluate(
        """() => {
          const history = JSON.parse(localStorage.getItem("history"));
          const cited = history[0].answer.citations[0];
          cited.document_id = cited.document_id === 1 ? 2 : 1;
          localStorage.setItem("history", JSON.stringify(history));
        }"""
    )
    page.reload()
    page.locator(".card .citation").first.click()
    page.wait_for_selector("#viewer blockquote")
    assert "have changed since this answer" in page.locator("#viewer .failure").inner_text()
    assert page.locator("#viewer blockquote").inner_text() in quote
    assert page.locator("#viewer mark, #viewer .box").count() == 0


def test_everything_is_reached_from_the_keyboard(page: Any) -> None:
    def focused(what: str) -> Any:
        return page.evaluate(f"document.activeElement.{what}")

    def tab_to(what: str, value: str) -> None:
        for _ in range(20):
            page.keyboard.press("Tab")
            if focused(what) == value:
                return
        raise AssertionError(f"Tab does not come to {value}")

    page.keyboard.type("How much is the deposit?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card .citation", timeout=90_000)
    assert focused("id") == "question", "the next question can be typed at once"
    tab_to("className", "citation")
    page.keyboard.press("Enter")
    page.wait_for_selector("#viewer mark")
    assert focused("id") == "viewer"
    page.keyboard.press("Tab")
    assert focused("ariaLabel") == "Close the document"
    page.keyboard.press("Escape")
    assert focused("className") == "citation"
    tab_to("id", "documents-button")
    page.keyboard.press("Enter")
    page.wait_for_selector(".files li")
    assert focused("id") == "documents"
    tab_to("className", "remove")
    page.keyboard.press("Escape")
    assert focused("id") == "documents-button" and page.locator("#documents").is_hidden()
    page.keyboard.press("/")
    page.keyboard.press("ArrowUp")
    assert page.input_value("#question") == "How much is the deposit?", "the question before comes back"


def test_without_a_baseline_and_a_writer_there_is_no_switch(page: Any) -> None:
    ask(page, "How much is the deposit?")
    assert page.locator("#options").is_hidden()
    assert page.get_by_role("checkbox").count() == 0


def test_a_switch_asks_the_baseline_beside_the_reader_with_times(
    browser: Any, helped: tuple[Server, ChatServer]
) -> None:
    server, writer = helped
    with _opened(browser, server) as page:
        page.wait_for_selector("#options")
        switch = page.get_by_role("checkbox", name="Ask the baseline reader beside it")
        assert not switch.is_checked()
        switch.focus()
        page.keyboard.press("Space")
        asked = len(writer.requests)
        card = ask(page, "What is the price of the V-40?")
        assert len(writer.requests) == asked, "the readers are compared, not the writer"
        panes = card.locator("section")
        assert [panes.nth(n).get_attribute("aria-label") for n in range(2)] == ["small", "attention-baseline"]
        for n, name in enumerate(("small", "attention-baseline")):
            assert re.fullmatch(rf"{name} read in [\d.]+ m?s", panes.nth(n).locator("h3").inner_text())
            assert panes.nth(n).locator(".times").inner_text().startswith("retrieve ")
        assert "260" in panes.nth(0).locator(".said").inner_text()
        first, second = (panes.nth(n).bounding_box() for n in range(2))
        assert second["x"] > first["x"] + first["width"] and abs(first["y"] - second["y"]) < 5, "side by side"
        assert _violations(page) == []
        page.set_viewport_size({"width": 390, "height": 800})
        first, second = (panes.nth(n).bounding_box() for n in range(2))
        assert second["y"] > first["y"] + first["height"] - 5, "one below the other on a phone"
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        page.reload()
        page.wait_for_selector(".card section >> nth=1")
        assert page.locator(".card").first.locator("h3").count() == 2, "the history keeps both"
        switch.uncheck()
        page.locator("#writer").uncheck()
        assert ask(page, "When was the lighthouse lit?").locator("section").count() == 1


def test_a_writers_sentences_are_shown_with_what_supports_them(browser: Any, helped: tuple[Server, ChatServer]) -> None:
    server, writer = helped
    with _opened(browser, server) as page:
        page.wait_for_selector("#options")
        assert writer.url in page.locator("#writer-label").inner_text(), "it says where the evidence goes"
        card = ask(page, "How much is the deposit?")
        assert "The deposit is 1,200 euros. [1]" in card.locator(".said").inner_text()
        assert card.locator(".unsupported").inner_text() == "It is paid back within nine weeks."
        assert "not supported: not in the evidence: nine" in card.locator(".said").inner_text().replace("9", "nine")
        assert "1 of 2 sentences supported by the evidence" in card.locator(".confidence").inner_text()
        assert card.locator(".citation").count() == 1
        assert _violations(page) == []
        page.locator(".citation").first.click()
        page.wait_for_selector("#viewer mark")
        page.keyboard.press("Escape")
        asked = len(writer.requests)
        page.locator("#writer").uncheck()
        assert "1,200 euros" in ask(page, "What is the deposit?").locator(".said").inner_text()
        assert len(writer.requests) == asked, "nothing is sent without it"
        writer.status = 500
        page.locator("#writer").check()
        failed = ask(page, "How many cats may the tenant keep?", allow_failure=True)
        assert "refused with 500" in failed.locator(".failure").inner_text()
        writer.status = 200


def test_an_error_is_said_in_its_place(page: Any) -> None:
    card = ask(page, "?!", allow_failure=True)
    assert "the question is empty" in card.locator(".failure").inner_text()
    page.faults.clear()  # the browser notes the refused request by itself


def test_the_page_keeps_to_its_own_policy(browser: Any, server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    page.goto(server.url)
    page.fill("#question", "How heavy is the V-40?")
    page.keyboard.press("Enter")
    page.locator(".card .bar, .card .withheld").first.wait_for(timeout=90_000)
    page.locator(".citation").first.click()
    page.locator("#viewer mark").first.wait_for()
    assert faults == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_has_nothing_to_object_to(page: Any, scheme: str, width: int) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    card = ask(page, "What is the price of the V-40?")
    assert _violations(page) == []
    card.locator(".citation").first.click()
    page.wait_for_selector("#viewer mark")
    assert _violations(page) == []
    page.keyboard.press("Escape")
    page.click("#documents-button")
    page.wait_for_selector(".files li")
    assert _violations(page) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, "nothing is wider than the screen"


def _violations(page: Any) -> list[str]:
    response = axe.Axe().run(page).response
    return [f"{found['id']}: {found['nodes'][0]['html'][:120]}" for found in response["violations"]]


def test_a_document_is_removed_on_the_second_press(page: Any, server: Server) -> None:
    server.add({"memo.md": "The canteen is closed on Monday."})
    page.reload()
    page.click("#documents-button")
    page.wait_for_selector(".files li >> text=memo.md")
    before = page.locator(".files li").count()
    button = page.get_by_role("button", name="Remove memo.md")
    button.click()
    assert page.locator(".files li").count() == before
    button.click()
    page.wait_for_function("n => document.querySelectorAll('.files li').length === n", arg=before - 1)
