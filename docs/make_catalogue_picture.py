"""Write docs/pictures/catalogue.png: the catalogue page of 1,000 generated datasets.

Needs Chromium and the package playwright (extra `test`).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bidsmill.store.catalogue.page import page_of_catalogue

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "unit"))
ASKED = "q=face&modality=eeg&hed=Sensory-event&channels=32-&sort=subjects"


def main(target: Path) -> None:
    """Open the page with a search, copy the lines of the first dataset, and take a picture."""
    from catalogue_cases import rows, write
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="store-") as name, sync_playwright() as driver:
        folder = Path(name)
        (folder / "index.html").write_bytes(page_of_catalogue(write(folder, rows(1000))))
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"file://{folder}/index.html#{ASKED}")
        page.locator("#store").evaluate("(field) => { field.value = 's3://bucket/prefix'; }")
        page.locator(".acts button").first.click()
        page.wait_for_timeout(300)
        page.mouse.move(0, 0)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(HERE / "pictures" / "catalogue.png")
