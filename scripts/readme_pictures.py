"""Photograph a report for the README: the page's head and its plots.

Run `scripts/demo` first; needs Chromium.

    python scripts/readme_pictures.py out/report.html docs
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import FloatRect, Page, sync_playwright

WIDTH = 1200
MARGIN = 24


def main(report: Path, folder: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium was not found on PATH; install it to take pictures")
    folder.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": WIDTH, "height": 900})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("section[data-ready]", state="attached")
        plots, rest = top_of(page, "Roofline"), top_of(page, "How far the figures hold")
        photograph(page, folder / "report.png", 0, plots)
        photograph(page, folder / "plots.png", plots, rest)
        browser.close()


def top_of(page: Page, heading: str) -> float:
    """Return the distance from the page's top to above a visible heading, in CSS pixels."""
    shown = page.get_by_role("heading", name=heading, exact=True).locator("visible=true").first
    box = shown.bounding_box()
    if box is None:
        sys.exit(f"the page has no heading {heading!r}")
    return box["y"] - MARGIN


def photograph(page: Page, path: Path, top: float, bottom: float) -> None:
    clip = FloatRect(x=0, y=top, width=WIDTH, height=bottom - top)
    page.screenshot(path=path, full_page=True, clip=clip)
    print(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
