// What stands beside the graph about the selected op or layer.
const MOST_LINKS = 40;
const MOST_NAMES = 4;

class Panel {
  constructor(root, scene, report) {
    this.root = root;
    this.scene = scene;
    this.report = report;
    this.show(-1);
  }

  show(at) {
    const { scene } = this;
    this.at = at;
    if (at <= 0) {
      const keys = KEYS.map(([key, what]) => element("div", {}, element("dt", {}, key), element("dd", {}, what)));
      this.root.replaceChildren(
        element("p", { class: "hint" }, "Click a box to see what it is; double-click to look into it. Drag to move; the wheel zooms once the graph is clicked."),
        this.left_out(), element("dl", { class: "keys" }, ...keys));
      return;
    }
    const op = scene.boxes.op[at];
    this.root.replaceChildren(...(op < 0 ? this.layer(at) : this.op(at, op)));
    this.root.scrollTop = 0;
  }

  left_out() {
    const { scene } = this;
    const names = scene.ops.name.filter((_, op) => scene.box_of_op[op] < 0);
    if (!names.length) return "";
    const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
    return element("p", { class: "hint" },
      `Not drawn, for nothing reads ${names.length > 1 ? "them" : "it"}: ${names.slice(0, MOST_NAMES).join(", ")}${more}.`);
  }

  button(text, act, note = "") {
    return element("button", { type: "button", class: "link", onclick: act },
      text, note ? element("span", { class: "note" }, note) : null);
  }

  to_op(op) {
    return this.button(this.scene.ops.name[op].split("/").at(-1),
      () => this.report.select(this.scene.box_of_op[op], "panel"), this.scene.word("shape", op));
  }

  links(name, ops, none) {
    const shown = ops.slice(0, MOST_LINKS).map((op) => element("li", {}, this.to_op(op)));
    if (ops.length > MOST_LINKS) {
      const rest = element("li", {}, this.button(`${ops.length - MOST_LINKS} more`, () => {
        rest.replaceWith(...ops.slice(MOST_LINKS).map((op) => element("li", {}, this.to_op(op))));
      }));
      shown.push(rest);
    }
    return [element("h4", {}, `${name} (${ops.length})`),
      ops.length ? element("ul", {}, ...shown) : element("p", { class: "hint" }, none)];
  }

  facts(pairs) {
    return element("dl", {}, ...pairs.filter(([, value]) => value !== null && value !== "").map(
      ([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }

  figures(at, record) {
    const { scene } = this;
    const estimated = scene.source[at] === "measured" ? "" : "~";
    const efficiency = scene.efficiency(at);
    const least = scene.least[at] ? "≥ " : "";
    const { compute_time_s: compute, memory_time_s: memory } = record;
    return [
      ["time", known(scene.time[at]) ? `${estimated}${seconds(scene.time[at])}, ${scene.source[at] ?? "summed"}` : "?"],
      ["FLOPs", least + si(scene.flops[at])],
      ["MACs", record.macs ? si(record.macs) : null],
      ["bytes", known(record.bytes_read) && known(record.bytes_written)
        ? `${least}${si(scene.bytes[at], "B")}: ${si(record.bytes_read, "B")} read, ${si(record.bytes_written, "B")} written`
        : least + si(scene.bytes[at], "B")],
      ["intensity", scene.moved[at] > 0 ? `${ratio(scene.intensity(at))} FLOP/B` : null],
      ["bound", scene.bound[at] ?? "nothing"],
      ["roofline", known(compute) && known(memory)
        ? `at least ${seconds(scene.roof[at])}: compute ${seconds(compute)}, memory ${seconds(memory)}` : null],
      ["under", record.roof && record.level ? `${record.roof} peak, ${record.level}` : null],
      ["of its roof", known(efficiency) ? percent(efficiency) : null],
    ];
  }

  head(at, kind) {
    const { scene } = this;
    return [
      element("p", { class: "kind" }, kind),
      element("h4", { class: "title" }, scene.title(at)),
      element("p", {}, this.button("look at it", () => this.report.look_at(at))),
    ];
  }

  op(at, op) {
    const { scene } = this;
    const record = scene.op_record(op);
    const row = scene.rows[scene.ops.row[op]];
    const around = scene.ops.parent[op];
    const text = (column) => scene.text(column, op) ?? (scene.texts ? "" : "…");
    const inside = scene.holds[op] ? this.links("runs inside it", scene.ops.parent.flatMap(
      (parent, inner) => (parent === op ? [inner] : [])), "") : [];
    return [
      ...this.head(at, record.opcode),
      element("pre", { class: "hlo", tabindex: 0, "aria-label": "HLO line" }, scene.texts ? scene.hlo(op) : "…"),
      this.facts([
        ["shape", record.shape],
        ["source", text("source")],
        ["line", scene.text("line", op)],
        ["op_name", text("op_name")],
        ["layer", row ? this.button(row.layer, () => this.report.select_row(scene.ops.row[op], "panel"), row.phase) : null],
        ["runs in", around >= 0 ? this.to_op(around) : null],
        ["executions", record.executions === 1 ? null : known(record.executions) ? si(record.executions) : "?"],
        ...this.figures(at, record),
      ]),
      ...this.links("inputs", inputs_of(scene, op), "It reads nothing."),
      ...this.links("outputs", scene.users[op], "Nothing reads it: it is a result."),
      ...inside,
    ];
  }

  layer(at) {
    const { scene } = this;
    const rows = scene.boxes.rows[at];
    const part = scene.boxes.part[at];
    const row = rows ? scene.rows[rows.at(-1)] : null;
    const kind = part ? `part ${part[0]} of ${part[1]} of a layer` : row ? `layer, ${row.phase}`
      : scene.boxes.kind[at] === 1 ? "neighbours in the order of the data" : "group";
    const note = row && part ? "The data leaves this layer and comes back; every stay is a box." : null;
    return [
      ...this.head(at, kind),
      note ? element("p", { class: "hint" }, note) : null,
      this.facts([
        ["layer", row ? this.button(row.layer, () => this.report.select_row(rows.at(-1), "panel"), row.phase) : null],
        ["compared", row ? scene.marks[rows.at(-1)] ?? null : null],
        ["ops here", si(scene.held[at])],
        ["parameters", row && !part && row.params !== 0 ? (known(row.params) ? `${si(row.params)}, ${si(row.param_bytes, "B")}` : "?") : null],
        ...this.figures(at, row && !part ? row : {}),
        ["share of time", row && !part && known(row.share) ? percent(row.share) : null],
      ]),
    ].filter((part) => part !== null);
  }
}
