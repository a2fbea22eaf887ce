"""The graph and what is joined with it, in a real browser, from disk."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from edgegraph.reporting.page import report
from tests import analyses
from tests.reporting.conftest import MAKERS

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, which scripts/test installs"),
    pytest.mark.slow,
]

REPORT = "document.querySelector('#analysis-0 .explorer').report"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shown = [MAKERS["measured"](), MAKERS["hostile"]()]
    return report(shown, tmp_path_factory.mktemp("explorer") / "report.html")


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The opened page, its scene drawn, which must neither ask for anything nor complain."""
    context = browser.new_context(reduced_motion="reduce", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("#analysis-0[data-ready]", state="attached")
    yield page
    assert [url for url in asked if not url.startswith("blob:")] == [file.as_uri()]
    assert complaints == []
    context.close()


def op_of_kind(opcode: str) -> str:
    return next(r.name for r in MAKERS["measured"]().op_records if r.opcode == opcode)


def selected_title(page: Page) -> Any:
    return page.evaluate(f"{REPORT}.selected > 0 ? {REPORT}.scene.title({REPORT}.selected) : null")


def panel(page: Page) -> Any:
    return page.locator("#analysis-0 .panel")


def tree(page: Page) -> Any:
    return page.locator("#analysis-0 .tree-grid")


def middle_of(page: Page, name: str) -> tuple[float, float]:
    """Return the middle of a box's visible title, from the canvas' corner."""
    x, y, w, _ = page.evaluate(
        f"(name) => {{ const r = {REPORT};"
        " for (let at = 1; at < r.scene.count; at++)"
        "   if (r.scene.title(at) === name) return r.graph.on_screen(at); }",
        name,
    )
    return x + w / 2, y + 4


def test_the_canvas_is_painted(page: Page) -> None:
    colours = page.evaluate(
        """() => {
            const canvas = document.querySelector('#analysis-0 canvas');
            const { width, height } = canvas;
            const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
            const seen = new Set();
            for (let at = 0; at < data.length; at += 4 * 7)
                seen.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
            return seen.size;
        }"""
    )
    assert colours > 10


# Looks into every group in turn and gives the texts that stand on each other.
TEXTS_THAT_MEET = """() => {
  const { graph, scene } = document.querySelector('#analysis-0 .explorer').report;
  const context = graph.context;
  let seen = [];
  const meeting = [];
  context.fillText = (text, x, y) => {
    const size = parseFloat(/([\\d.]+)px/.exec(context.font)[1]);
    const width = context.measureText(text).width;
    const left = { center: x - width / 2, right: x - width, left: x }[context.textAlign];
    const top = context.textBaseline === "middle" ? y - 0.4 * size : y - 0.8 * size;
    if (text) seen.push([text, left, top, left + width, top + 0.8 * size]);
  };
  for (let at = 0; at < scene.count; at++) {
    if (!scene.kids[at].length) continue;
    seen = [];
    graph.look_at(at, false);
    seen.forEach(([a, l, t, r, b], n) => seen.slice(0, n).forEach(([c, ol, ot, or, ob]) => {
      if (l < or && ol < r && t < ob && ot < b) meeting.push([scene.title(at), a, c]);
    }));
  }
  delete context.fillText;
  return meeting;
}"""


def test_no_text_stands_on_another(page: Page) -> None:
    assert page.evaluate(TEXTS_THAT_MEET) == []


def test_labels_are_cut_to_the_room_they_have(page: Page) -> None:
    too_wide = page.evaluate(
        f"""() => {{
            const {{ graph, scene }} = {REPORT};
            const wide = [];
            for (let at = 1; at < scene.count; at++) for (const room of [20, 60, 130, 400]) {{
                const text = graph.clipped(scene.title(at), room, 10, true);
                graph.font(10, true);
                if (graph.context.measureText(text).width > room + 0.5) wide.push([text, room]);
            }}
            return wide;
        }}"""
    )
    assert too_wide == []


def test_on_paper_the_graph_is_light(page: Page) -> None:
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"() => {REPORT}.graph.colours.paper !== '#ffffff'")
    page.emulate_media(color_scheme="dark", media="print")
    page.wait_for_function(f"() => {REPORT}.graph.colours.paper === '#ffffff'")
    assert page.evaluate(f"{REPORT}.graph.colours.ramp[0]") == "#eef3f6"
    expect(page.locator("#analysis-0 table.layers:not(.code)")).to_be_visible()


def test_search_finds_an_op_and_shows_its_line(page: Page) -> None:
    name = op_of_kind("dot")
    page.get_by_role("searchbox", name="search ops and layers").locator("visible=true").fill(name)
    expect(page.locator("#analysis-0 .explorer .count")).to_have_text(re.compile("found"))
    page.keyboard.press("Enter")
    expect(panel(page).locator(".hlo")).to_contain_text(f"%{name} = ")
    expect(panel(page).locator(".hlo")).to_contain_text("lhs_contracting_dims={0}")
    expect(tree(page).locator("[aria-selected=true]")).to_contain_text(name)
    assert page.evaluate(f"{REPORT}.graph.visible({REPORT}.selected)")


def test_a_click_on_the_roofline_selects_everywhere(page: Page) -> None:
    figure = page.locator("#analysis-0 figure[data-axes] svg")
    figure.scroll_into_view_if_needed()
    x, y, layer = page.evaluate(
        f"""() => {{
            const roofline = {REPORT}.roofline;
            const point = roofline.layers[0];
            const m = roofline.svg.getScreenCTM();
            return [point.x * m.a + m.e, point.y * m.a + m.f, {REPORT}.scene.rows[point.row].layer];
        }}"""
    )
    # The marks themselves are matplotlib's: the layer's stands where the script expects it.
    assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).tagName", [x, y]) == "use"
    page.mouse.click(x, y)
    expect(panel(page)).to_contain_text(layer)
    last = layer.split("/")[-1]
    expect(tree(page).locator("[aria-selected=true]")).to_contain_text(last)
    assert selected_title(page) == last.replace("(own)", "SmallCNN")
    expect(page.locator("#analysis-0 .ring")).to_have_attribute("visibility", "visible")


def test_a_click_on_a_row_selects_in_graph_and_plot(page: Page) -> None:
    tree(page).get_by_role("row").filter(has_text="conv2").first.click()
    assert selected_title(page) == "conv2"
    expect(page.locator("#analysis-0 .ring")).to_have_attribute("visibility", "visible")
    expect(panel(page).locator(".title")).to_have_text("conv2")


def test_a_click_in_the_graph_selects_in_the_table(page: Page) -> None:
    canvas = page.locator("#analysis-0 canvas")
    canvas.scroll_into_view_if_needed()
    x, y = middle_of(page, "dense1 (1/2)")
    canvas.click(position={"x": x, "y": y})
    assert selected_title(page) == "dense1 (1/2)"
    expect(tree(page).locator("[aria-selected=true]")).to_contain_text("dense1")
    canvas.dblclick(position={"x": x, "y": y})
    expect(page.locator("#analysis-0 .way")).to_contain_text("dense1")


def test_columns_sort_by_click_and_by_key(page: Page) -> None:
    def flops() -> list[str]:
        cells = tree(page).locator(".tree-rows .layer .col-flops").all_inner_texts()
        return [text for text in cells if text]

    header = tree(page).get_by_role("columnheader", name="FLOPs")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    # conv2 has most: 2 * 3x3x32 * 64 MACs a pixel; (own) least.
    first = tree(page).locator(".tree-rows .tree-row").nth(1)
    expect(first).to_contain_text("conv2")
    descending = flops()
    header.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    assert flops()[1:] == descending[:0:-1]


def test_the_filter_shows_what_fits_and_the_way_to_it(page: Page) -> None:
    page.get_by_role("searchbox", name="filter layers and ops").locator("visible=true").fill("dot")
    rows = tree(page).locator(".tree-rows .tree-row")
    expect(rows.filter(has_text="dense1")).to_have_count(1)
    expect(rows.filter(has_text="conv1")).to_have_count(0)
    expect(tree(page).locator(".op").first).to_contain_text("dot")


def test_shown_rows_are_copied_as_csv(page: Page) -> None:
    text = page.evaluate(f"{REPORT}.tree.csv()")
    rows = {row["name"]: row for row in csv.DictReader(io.StringIO(text))}
    record = next(r for r in MAKERS["measured"]().layer_records if r.layer == "SmallCNN/conv2")
    assert rows["conv2"]["layer"] == record.layer
    assert int(rows["conv2"]["flops"]) == record.flops
    assert float(rows["conv2"]["time_s"]) == record.time_s


@pytest.mark.parametrize("mode", ["flops", "bytes", "intensity", "bound", "efficiency", "source"])
def test_colour_modes_change_picture_and_legend(page: Page, mode: str) -> None:
    look = f"""() => {{
        const {{ graph, scene, legend }} = {REPORT};
        const boxes = Array.from({{ length: scene.count }}, (_, at) => graph.colours.fill(at));
        return [legend.textContent, boxes];
    }}"""
    before = page.evaluate(look)
    page.get_by_role("combobox", name="colour by").locator("visible=true").select_option(mode)
    after = page.evaluate(look)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_the_keyboard_alone_reaches_everything(page: Page) -> None:
    page.locator("#analysis-0 canvas").focus()
    page.keyboard.press("ArrowDown")
    first = selected_title(page)
    assert first is not None
    page.keyboard.press("ArrowDown")
    assert selected_title(page) != first
    expect(page.locator("#analysis-0 .explorer [role=status]")).not_to_be_empty()
    # To an op, then to what it reads and back to what reads it.
    page.evaluate(
        f"{REPORT}.select({REPORT}.scene.box_of_op[{REPORT}.scene.ops.name.indexOf("
        f"'{op_of_kind('dot')}')], 'test')"
    )
    page.keyboard.press("i")
    operand = selected_title(page)
    assert operand != op_of_kind("dot")
    page.keyboard.press("o")
    assert selected_title(page) == op_of_kind("dot")
    page.keyboard.press("Escape")
    assert selected_title(page) == "dense1 (1/2)"
    page.keyboard.press("Enter")
    assert (
        page.evaluate(f"{REPORT}.scene.title({REPORT}.scene.boxes.parent[{REPORT}.selected])")
        == "dense1 (1/2)"
    )
    zoom = page.evaluate(f"{REPORT}.graph.view.zoom")
    page.keyboard.press("+")
    assert page.evaluate(f"{REPORT}.graph.view.zoom") > zoom
    # Tab leads on, and the table opens, closes and walks.
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") != "CANVAS"
    tree(page).focus()
    page.keyboard.press("Home")
    expect(tree(page).locator("[aria-selected=true]")).to_contain_text("SmallCNN")
    page.keyboard.press("ArrowLeft")
    expect(tree(page).locator("[aria-selected=true]")).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(tree(page).locator("[aria-selected=true]")).to_have_attribute("aria-level", "2")


def test_links_lead_from_op_to_op(page: Page) -> None:
    page.evaluate(
        f"{REPORT}.select({REPORT}.scene.box_of_op[{REPORT}.scene.ops.name.indexOf("
        f"'{op_of_kind('dot')}')], 'test')"
    )
    inputs = panel(page).locator("ul").first.get_by_role("button")
    name = inputs.first.evaluate("button => button.firstChild.textContent")
    inputs.first.click()
    expect(panel(page).locator(".title")).to_have_text(name)
    panel(page).locator("ul").get_by_text(op_of_kind("dot")).first.click()
    expect(panel(page).locator(".title")).to_have_text(op_of_kind("dot"))


def test_markup_in_an_op_name_stays_text(page: Page) -> None:
    page.get_by_role("radio").nth(1).check(force=True)
    page.wait_for_selector("#analysis-1[data-ready]", state="attached")
    search = page.get_by_role("searchbox", name="search ops and layers").locator("visible=true")
    search.fill("onerror")
    search.press("Enter")
    page.evaluate(
        "() => { const r = document.querySelector('#analysis-1 .explorer').report;"
        " r.select(r.scene.box_of_op[r.scene.ops.opcode.of.findIndex("
        "   n => r.scene.ops.opcode.words[n] === 'dot')], 'test'); }"
    )
    expect(page.locator("#analysis-1 .panel")).to_contain_text(analyses.SHOWN)
    assert page.locator("img").count() == 0


def test_without_script_the_tables_and_plots_stand(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    expect(page.locator("#analysis-0 table.layers:not(.code)")).to_be_visible()
    expect(page.locator("#analysis-0 figure svg").first).to_be_visible()
    expect(page.locator("#analysis-0 .explorer")).to_be_hidden()
    context.close()
