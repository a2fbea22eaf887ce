"""Time the page of a large program in headless Chromium.

Compiles the train step of a decoder transformer (32 layers are about 50,000 ops), or takes a
saved analysis, writes its page, opens it from disk, and prints how large it is and how long one
waits: for the first picture, and then for a click, a search, a step of the zoom, a sort and a
filter, each until the picture is drawn. The promise for 50,000 ops: 8 MB, 1.5 s and 100 ms.

    python -m scripts.bench.page --layers 32
    python -m scripts.bench.page large.edgegraph
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

import edgegraph as eg
from edgegraph.reporting.page import report
from edgegraph.reporting.scene.hierarchy import nest
from edgegraph.reporting.scene.items import ops_of
from edgegraph.reporting.scene.layout import lay_out_all
from scripts.bench.large_module import train_step

REPEATS = 9
OPENINGS = 5

# Every act, then the time until the frame after it was drawn.
ACT = """async ([act, repeats]) => {
  const section = document.querySelector("section.analysis");
  const report = section.querySelector(".explorer").report;
  const { graph, scene, tree } = report;
  const canvas = section.querySelector("canvas");
  const ops = scene.ops.name.length;
  const part = (n) => (n + 1) / (repeats + 1);
  const type = (input, text) => { input.value = text; input.dispatchEvent(new Event("input")); };
  const acts = {
    click: (n) => report.select(graph.hit(graph.width / 2, graph.height * part(n)), "graph"),
    select: (n) => report.select(scene.box_of_op[Math.floor(ops * part(n))], "panel"),
    search: (n) => { type(report.search, ["dot", "block_7", "fusion.12"][n % 3]); report.next(1); },
    zoom: () => graph.zoom_by(1.3),
    sort: () => tree.sort_by("time_s"),
    filter: (n) => type(tree.search, ["dot", "norm", ""][n % 3]),
    colour: (n) => report.graph.recolour(["flops", "bound", "time"][n % 3]),
  };
  const took = [];
  for (let n = 0; n < repeats; n++) {
    const start = performance.now();
    acts[act](n);
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
    took.push(performance.now() - start);
  }
  return took;
}"""
ACTS = ("click", "select", "search", "zoom", "sort", "filter", "colour")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="a saved analysis")
    parser.add_argument("--layers", type=int, default=32)
    options = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium was not found on PATH; install it to time the page")
    analysis = eg.load(options.file) if options.file else eg.analyze(train_step(options.layers))
    table = Table("what", "took", title=f"{len(analysis.op_records):,} ops")
    ops_of(analysis)  # decodes the module if it came from a file
    start = time.perf_counter()
    lay_out_all(nest(ops_of(analysis).items))
    table.add_row("layout", f"{time.perf_counter() - start:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        path = report([analysis], Path(folder) / "page.html")
        table.add_row("writing the page", f"{time.perf_counter() - start:.2f} s")
        table.add_row("its size", f"{path.stat().st_size / 1e6:.2f} MB")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            time_page(browser, path, table)
            browser.close()
    Console(width=72).print(table)


def time_page(browser: Any, path: Path, table: Table) -> None:
    """Open the page afresh for the first picture, then act on the last one."""
    firsts: list[float] = []
    for number in range(OPENINGS):
        page: Page = browser.new_page(
            viewport={"width": 1440, "height": 1000}, reduced_motion="reduce"
        )
        page.goto(path.as_uri())
        page.wait_for_selector("section[data-ready]", state="attached")
        firsts.append(
            page.evaluate("performance.getEntriesByName('edgegraph:first-picture')[0].startTime")
        )
        if number + 1 < OPENINGS:
            page.close()
    table.add_row("first picture", spread(firsts))
    for act in ACTS:
        table.add_row(act, spread(page.evaluate(ACT, [act, REPEATS])))


def spread(times_ms: list[float]) -> str:
    return f"{statistics.median(times_ms):.0f} ms (most {max(times_ms):.0f} ms)"


if __name__ == "__main__":
    main()
