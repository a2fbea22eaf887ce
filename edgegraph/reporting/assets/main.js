// One report per analysis; it is put together when it is first shown.
class Report {
  constructor(section, scene) {
    this.section = section;
    this.scene = scene;
    this.hits = [];
    this.hit = -1;
    this.build(section.querySelector(".explorer"));
    this.panel = new Panel(this.side, scene, this);
    const figure = section.querySelector("figure[data-axes]");
    this.roofline = figure ? new Roofline(figure, scene, this) : null;
    this.graph = new Graph(this.canvas, scene, this);
    this.hover(-1);
    performance.mark("edgegraph:first-picture");
    section.dataset.drawn = "";
    // What is below the first picture, and what only a selected op shows, comes after it.
    setTimeout(() => {
      this.tree = new Tree(section.querySelector(".tree"), scene, this);
      if (this.selected > 0) this.select(this.selected, "start");
    }, 0);
  }

  async read(id) {
    this.scene.texts = await unpack(id);
    if (this.panel.at > 0) this.panel.show(this.panel.at);
    if (this.search.value) this.find();
    this.section.dataset.ready = "";
  }

  build(root) {
    this.search = element("input", { type: "search", placeholder: "search ops and layers", "aria-label": "search ops and layers", spellcheck: "false" });
    this.found = element("span", { class: "count", "aria-live": "polite" });
    this.search.addEventListener("input", () => this.find());
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.next(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") { this.search.value = ""; this.find(); }
    });
    const modes = element("select", { "aria-label": "colour by" }, ...Object.entries(MODES).map(
      ([key, mode]) => element("option", { value: key }, mode.name)));
    modes.addEventListener("change", () => { this.graph.recolour(modes.value); this.show_legend(); });
    const act = (text, label, does) => element("button", { type: "button", "aria-label": label, title: label, onclick: does }, text);
    this.legend = element("div", { class: "legend" });
    this.way = element("nav", { class: "way", "aria-label": "where the graph is" });
    const name = this.section.getAttribute("aria-label");
    this.canvas = element("canvas", { tabindex: 0, role: "application", "aria-label": `graph of ${name}; arrow keys go from box to box, Enter into one, Escape out, i and o to inputs and outputs` });
    this.under = element("div", { class: "under" });
    this.side = element("aside", { class: "panel", "aria-label": "the selected op or layer" });
    this.live = element("div", { class: "aside", role: "status", "aria-live": "polite" });
    root.replaceChildren(
      element("div", { class: "tools" }, this.search, this.found,
        element("label", {}, "colour by ", modes),
        element("span", { class: "zoom" }, act("−", "farther", () => this.graph.zoom_by(1 / 1.5)),
          act("+", "nearer", () => this.graph.zoom_by(1.5)), act("all", "the whole graph", () => this.graph.look_at(0))),
        this.legend),
      this.way,
      element("div", { class: "stage" }, element("div", { class: "drawing" }, this.canvas, this.under), this.side),
      this.live);
    root.hidden = false;
  }

  show_legend() { this.legend.replaceChildren(...this.graph.colours.legend()); }

  recolour() {
    this.graph.recolour();
    this.show_legend();
  }

  // The graph was drawn anew.
  moved() {
    if (!this.graph) return;
    const at = this.graph.current();
    if (this.shown === at) return;
    if (this.shown === undefined) this.show_legend();
    this.shown = at;
    const crumbs = this.scene.above(at).map((box) => element("button", { type: "button", class: "link", onclick: () => this.graph.look_at(box) }, box ? this.scene.title(box) : "all"));
    this.way.replaceChildren(...crumbs.flatMap((crumb, n) => (n ? [" › ", crumb] : [crumb])));
  }

  hover(at) {
    const { scene } = this;
    this.under.textContent = at <= 0 ? "" : `${scene.title(at)} · ${this.figure(at)}`;
  }

  figure(at) {
    const { scene } = this;
    const time = known(scene.time[at]) ? `${scene.source[at] === "estimated" ? "~" : ""}${seconds(scene.time[at])}` : null;
    const op = scene.boxes.op[at];
    const what = op >= 0 ? `${scene.word("opcode", op)} ${scene.word("shape", op)}` : `${si(scene.held[at])} ops`;
    return [what, time, scene.flops[at] ? si(scene.flops[at], "FLOP") : null, si(scene.bytes[at], "B"), scene.bound[at] ? `${scene.bound[at]}-bound` : null]
      .filter((part) => part !== null).join(" · ");
  }

  say(text) { this.live.textContent = text; }

  look_at(at) { this.graph.look_at(at); }

  look_at_row(row) {
    const layers = this.scene.rows.length;
    const at = row < layers ? this.scene.box_of_row[row] : this.scene.box_of_op[row - layers];
    if (at > 0) this.graph.look_at(at);
    this.canvas.scrollIntoView({ block: "nearest" });
  }

  // A box, or -1 for none; `from` is where it was chosen, and is not moved.
  select(at, from) {
    const op = at > 0 ? this.scene.boxes.op[at] : -1;
    const row = at > 0 ? this.scene.row_of(at) : -1;
    this.mark(at, row, op, from);
  }

  // Inputs that nothing reads are not drawn.
  select_op(op, from) { this.mark(this.scene.box_of_op[op], this.scene.ops.row[op], op, from); }

  select_row(row, from) { this.mark(this.scene.box_of_row[row], row, -1, from); }

  mark(at, row, op, from) {
    const { graph, scene } = this;
    this.selected = at;
    graph.selected = at;
    if (at > 0 && from !== "graph" && !graph.visible(at)) graph.show(at);
    else graph.redraw();
    this.panel.show(at);
    this.roofline?.select(row, op);
    this.tree?.select(op >= 0 ? scene.rows.length + op : row, from !== "tree");
    if (at > 0) this.say(`${scene.title(at)}, ${this.figure(at)}`);
  }

  find() {
    this.hits = this.scene.find(this.search.value);
    this.hit = -1;
    this.found.textContent = !this.search.value.trim() ? "" : this.hits.length ? `${this.hits.length.toLocaleString("en-US")} found` : "nothing found";
  }

  next(way) {
    if (!this.hits.length) return;
    this.hit = this.hit < 0 && way < 0 ? this.hits.length - 1 : (this.hit + way + this.hits.length) % this.hits.length;
    this.found.textContent = `${this.hit + 1} of ${this.hits.length.toLocaleString("en-US")}`;
    this.select(this.hits[this.hit], "search");
  }
}

// What stands in the page for want of a script gives way before it is ever laid out.
document.documentElement.classList.add("scripted");

const reports = new Map();

async function show(section) {
  const explorer = section.querySelector(".explorer");
  if (!explorer || reports.has(section)) return;
  reports.set(section, null);
  const { number } = explorer.dataset;
  const scene = new Scene(await unpack(`scene-${number}`), number);
  const report = new Report(section, scene);
  reports.set(section, report);
  explorer.report = report;
  await report.read(`texts-${number}`);
}

const shown = () => [...document.querySelectorAll("section.analysis")].filter((section) => section.offsetParent !== null);
const show_all = () => shown().forEach((section) => show(section));
document.querySelectorAll("input[name=analysis]").forEach((input) => input.addEventListener("change", show_all));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const report of reports.values()) report?.recolour();
});
// On paper the graph is as wide as the page, and light; what is drawn a frame later is not printed.
matchMedia("print").addEventListener("change", () => {
  for (const report of reports.values()) {
    report?.recolour();
    report?.graph.resize();
  }
});
show_all();
