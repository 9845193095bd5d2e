"""Write docs/pictures/report.png: the average responses on the page of the sample dataset.

Needs `make demo` before, Chromium, and the package playwright (extra `test`).
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(page_file: Path, target: Path) -> None:
    """Open the page and take a picture of its first average response."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1160, "height": 900})
        page.goto(page_file.resolve().as_uri())
        page.add_style_tag(content="nav { display: none }")
        box = page.locator("#responses figure").first.bounding_box()
        clip = {"x": 0, "y": box["y"] - 10, "width": 1160, "height": box["height"] + 20}
        page.screenshot(path=target, clip=clip, full_page=True)
        browser.close()


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else "results/sample/report.html"
    main(Path(given), HERE / "pictures" / "report.png")
