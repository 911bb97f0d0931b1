"""Draw the picture of the page from a real run: files are added, a question asked, its citation opened.

``make picture`` runs it. It needs playwright, and Chromium as the distribution has it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "pictures" / "page.png"
FILES = (
    "agreements/heatpump_warranty_aerolux.pdf",
    "agreements/wayfarer_travel_policy.pdf",
    "agreements/membership_form_sauna_club.docx",
    "studies/calibration_register_2024.xlsx",
)
QUESTIONS = ("Which fee does the early bird card cost?", "For how long is labour on the compressor included?")


def main() -> None:
    """Write ``docs/pictures/page.png``."""
    browser = shutil.which("chromium")
    if browser is None:
        sys.exit("error: there is no chromium\nhint: apt-get install chromium")
    with TemporaryDirectory() as folder:
        with tarfile.open(ROOT / "data" / "real" / "files.tar.xz") as archive:
            archive.extractall(
                folder, [member for member in archive if member.name.removeprefix("./") in FILES], filter="data"
            )
        command = [sys.executable, "-m", "ragyena", "serve", "--index", f"{folder}/home", "--port", "0", "--quiet"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            address = next(found[1] for line in server.stdout if (found := re.search(r"serving at (\S+)", line)))
            take(browser, address, [f"{folder}/{name}" for name in FILES])
        finally:
            server.terminate()
            server.wait()
    print(PICTURE)


def take(browser: str, address: str, files: list[str]) -> None:
    """Use the page as a person would, and photograph it."""
    with sync_playwright() as driver:
        page = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page(
            viewport={"width": 1280, "height": 760}
        )
        page.goto(address)
        page.set_input_files("#picker", files)
        page.wait_for_selector(".job >> text=files added", timeout=300_000)
        page.keyboard.press("Escape")
        for number, question in enumerate(QUESTIONS, 1):
            page.fill("#question", question)
            page.keyboard.press("Enter")
            page.locator(".card:not([aria-busy])").nth(number - 1).wait_for(timeout=120_000)
        page.locator(".citation").first.click()
        page.locator("#viewer .box").first.wait_for(timeout=60_000)
        page.wait_for_timeout(500)
        page.screenshot(path=PICTURE)
    with Image.open(PICTURE) as picture:
        picture.quantize(128).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
