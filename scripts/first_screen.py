"""Show the first screen of five programs, as two checkouts have it: in text and in pictures.

Analyses every program for a board of the catalogue with each checkout, so that the figures do not
depend on the machine, writes the first lines that a terminal shows and the top of the page to a
document and pictures beside it. Needs Chromium and Pillow.

    python scripts/first_screen.py BEFORE AFTER docs/first_screen.md
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

PROGRAMS = {
    "small_cnn": ("SmallCNN at batch 1", "models.cnn:small_cnn --batch 1"),
    "net": ("One's own NNX model with batch normalisation", "first_screen_programs:net --batch 8"),
    "resnet50": ("ResNet-50", "models.resnet:resnet50 --batch 1"),
    "physics": ("A physics step, which has no layers", "first_screen_programs:physics"),
    "train": ("A train step of 48 layers", "first_screen_programs:train_step --batch 2"),
}
TARGET = "device:rpi5"
LINES, COLUMNS = 10, 100
SCREEN = (1200, 1250)
"""CSS pixels of the page that a picture shows."""
SCALE, COLOURS = 0.6, 48

HEAD = """# The first screen

What `edgegraph report` says first of five programs, before and after its first screen was made the
answer: the first ten lines of a terminal, and the top of the page. All are for a Raspberry Pi 5,
`--target device:rpi5`, so that nothing here depends on the machine; the README shows measured ones.
`scripts/first_screen.py` makes this document from two checkouts; `first_screen_programs` lies
beside it.
"""


def main(before: Path, after: Path, document: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium was not found on PATH; install it to take pictures")
    text = [HEAD]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        for name, (title, spec) in PROGRAMS.items():
            seen = []
            for when, checkout in (("before", before), ("after", after)):
                page = Path(folder) / f"{when}_{name}.html"
                lines = first_lines(checkout, spec, page)
                seen.append((when, lines, photograph(browser, page)))
            picture = document.with_name(f"{document.stem}_{name}.png")
            beside([image for _, _, image in seen], picture)
            text.append(f"## {title}\n\n`edgegraph report {spec} --target {TARGET}`\n")
            text += [f"{when.capitalize()}:\n\n```text\n{lines}\n```\n" for when, lines, _ in seen]
            text.append(f"![The page of {name}, before and after]({picture.name})\n")
            print(picture, flush=True)
        browser.close()
    document.write_text("\n".join(text), encoding="utf-8")


def first_lines(checkout: Path, spec: str, page: Path) -> str:
    """Write a page with a checkout, and return the lines that a terminal shows first."""
    environment = os.environ | {
        "PYTHONPATH": f"{checkout.resolve()}", "COLUMNS": str(COLUMNS), "JAX_PLATFORMS": "cpu",
        "EDGEGRAPH_CACHE_DIR": str(page.with_suffix(".cache")),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(Path(__file__).with_name("first_screen_programs.py"), folder)
        command = f"-m edgegraph report {spec} --target {TARGET} -o {page}".split()
        ran = subprocess.run(
            [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
        )
    if ran.returncode:
        sys.exit(f"{checkout}: {spec}: {ran.stderr.strip()[-300:]}")
    return "\n".join(line.rstrip() for line in ran.stdout.splitlines()[:LINES])


def photograph(browser: Browser, page: Path) -> Path:
    """Photograph the top of a page."""
    width, height = SCREEN
    opened = browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=SCALE
    )
    opened.goto(page.resolve().as_uri())
    opened.wait_for_selector("section[data-ready]", state="attached", timeout=120_000)
    opened.screenshot(path=page.with_suffix(".png"))
    opened.close()
    return page.with_suffix(".png")


def beside(pictures: list[Path], path: Path) -> None:
    """Set pictures side by side in one of few colours, which keeps the file small."""
    images = [Image.open(picture).convert("RGB") for picture in pictures]
    gap = 12
    whole = Image.new(
        "RGB", (sum(i.width for i in images) + gap, max(i.height for i in images)), "#888888"
    )
    left = 0
    for image in images:
        whole.paste(image, (left, 0))
        left += image.width + gap
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
