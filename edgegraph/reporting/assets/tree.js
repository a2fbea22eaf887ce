// Layers and ops as one tree table, of which only the rows in sight are in the page.
const ROW_HEIGHT = 26;
const SPARE_ROWS = 6;

const COLUMNS = [
  { key: "name", name: "layer or op", text: true },
  { key: "opcode", name: "kind", text: true },
  { key: "params", name: "params", write: (v) => (v === 0 ? "" : si(v)) },
  { key: "macs", name: "MACs", write: (v) => (v === 0 ? "" : si(v)) },
  { key: "flops", name: "FLOPs", write: si },
  { key: "bytes", name: "bytes", write: (v) => si(v, "B") },
  { key: "intensity", name: "FLOP/B", write: (v) => (known(v) ? ratio(v) : "") },
  { key: "bound", name: "bound", text: true },
  { key: "compute_time_s", name: "T compute", write: seconds },
  { key: "memory_time_s", name: "T memory", write: seconds },
  { key: "time_s", name: "time", write: seconds },
  { key: "traced_time_s", name: "traced", write: (v) => (known(v) ? seconds(v) : "") },
  { key: "share", name: "share" },
  { key: "efficiency", name: "of roof", write: (v) => (known(v) ? percent(v) : "") },
  { key: "gain_share", name: "gain", write: (v) => (known(v) ? percent(v) : "") },
];

class Tree {
  constructor(root, scene, report) {
    this.root = root;
    this.scene = scene;
    this.report = report;
    this.layers = scene.rows.length;
    this.total = scene.rows.reduce((sum, row) => sum + (row.leaf && row.time_s || 0), 0);
    this.sort = null;
    this.filter = "";
    this.selected = -1;
    this.open = new Set();
    this.link();
    for (let row = 0; row < this.layers; row++) if (!scene.rows[row].leaf) this.open.add(row);
    this.build();
    this.list();
  }

  // Rows are numbered: layers first, then ops.
  link() {
    const { scene, layers } = this;
    this.kids = Array.from({ length: layers + scene.ops.name.length }, () => []);
    this.tops = [];
    scene.rows.forEach((_, row) => {
      const above = scene.parent_row[row];
      (above < 0 ? this.tops : this.kids[above]).push(row);
    });
    this.above = new Int32Array(this.kids.length).fill(-1);
    scene.parent_row.forEach((above, row) => { this.above[row] = above; });
    scene.ops.parent.forEach((parent, op) => {
      const above = parent >= 0 ? layers + parent : scene.ops.row[op];
      (above < 0 ? this.tops : this.kids[above]).push(layers + op);
      this.above[layers + op] = above;
    });
    this.records = new Array(this.kids.length);
  }

  record(row) {
    return (this.records[row] ??= row < this.layers ? this.layer_record(row) : this.op_record(row - this.layers));
  }

  layer_record(row) {
    const found = this.scene.rows[row];
    return this.with_figures({ ...found, name: found.layer.split("/").at(-1), title: [found.layer, found.phase, this.scene.marks[row]].filter(Boolean).join(", "), opcode: found.depth ? "" : found.phase });
  }

  op_record(op) {
    const found = this.scene.op_record(op);
    const at = this.scene.box_of_op[op];
    return this.with_figures({
      ...found, title: found.name, name: found.name.split("/").at(-1), params: 0,
      efficiency: this.scene.efficiency(at),
      share: this.total && known(found.time_s) ? found.time_s / this.total : null,
    });
  }

  with_figures(record) {
    const moved = main_memory(record);
    const both = known(record.bytes_read) && known(record.bytes_written);
    return {
      ...record, bytes: both ? record.bytes_read + record.bytes_written : null,
      intensity: moved ? record.flops / moved : null,
    };
  }

  build() {
    this.search = element("input", { type: "search", placeholder: "filter by name or opcode", "aria-label": "filter layers and ops", spellcheck: "false" });
    this.search.addEventListener("input", () => { this.filter = this.search.value.trim().toLowerCase(); this.list(); });
    this.count = element("span", { class: "count" });
    const copy = element("button", { type: "button", onclick: () => this.copy() }, "copy as CSV");
    const fold = element("button", { type: "button", onclick: () => this.fold() }, "fold all");
    this.head = element("div", { class: "tree-row tree-head", role: "row" });
    this.body = element("div", { class: "tree-rows", role: "rowgroup" });
    this.grid = element("div", { class: "tree-grid", role: "treegrid", tabindex: 0, "aria-label": "layers and ops", "aria-colcount": COLUMNS.length },
      element("div", { role: "rowgroup", class: "tree-top" }, this.head), this.body);
    for (const [at, column] of COLUMNS.entries()) {
      const button = element("button", { type: "button", onclick: () => this.sort_by(column.key) }, column.name);
      this.head.append(element("div", { role: "columnheader", class: `cell col-${column.key}${column.text ? " text" : ""}`, "aria-colindex": at + 1, "aria-sort": "none" }, button));
    }
    this.grid.addEventListener("scroll", () => this.show());
    this.grid.addEventListener("keydown", (event) => { if (event.target === this.grid && this.key(event)) event.preventDefault(); });
    this.body.addEventListener("click", (event) => {
      const line = event.target.closest("[data-row]");
      if (!line) return;
      const row = Number(line.dataset.row);
      if (event.target.closest(".fold")) this.toggle(row);
      else this.choose(row);
    });
    this.root.replaceChildren(element("div", { class: "tools" }, this.search, this.count, fold, copy), this.grid);
    new ResizeObserver(() => this.show()).observe(this.grid);
  }

  sort_by(key) {
    const text = COLUMNS.find((column) => column.key === key).text;
    const first = text ? 1 : -1;
    if (!this.sort || this.sort.key !== key) this.sort = { key, way: first };
    else this.sort = this.sort.way === first ? { key, way: -first } : null;
    for (const [at, column] of COLUMNS.entries()) {
      const way = this.sort && this.sort.key === column.key ? this.sort.way : 0;
      this.head.children[at].setAttribute("aria-sort", ["descending", "none", "ascending"][way + 1]);
    }
    this.report.say(this.sort ? `sorted by ${key}, ${this.sort.way > 0 ? "ascending" : "descending"}` : "in the order of the program");
    this.list();
  }

  ordered(rows) {
    if (!this.sort) return rows;
    const { key, way } = this.sort;
    const of = (row) => this.record(row)[key];
    // Unknown stands last, whichever way.
    return [...rows].sort((a, b) => {
      const [x, y] = [of(a), of(b)];
      if (!known(x) || !known(y)) return known(y) - known(x);
      return way * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
  }

  matching() {
    const { scene, layers } = this;
    const shown = new Uint8Array(this.kids.length);
    const opcode = scene.ops.opcode.words.map((word) => word.includes(this.filter));
    this.hits = 0;
    for (let row = 0; row < this.kids.length; row++) {
      const op = row - layers;
      const fits = op < 0 ? scene.rows[row].layer.toLowerCase().includes(this.filter)
        : opcode[scene.ops.opcode.of[op]] || scene.ops.name[op].toLowerCase().includes(this.filter);
      if (!fits) continue;
      this.hits += 1;
      for (let at = row; at >= 0 && !shown[at]; at = this.above[at]) shown[at] = 1;
    }
    return shown;
  }

  list() {
    const shown = this.filter ? this.matching() : null;
    const lines = [];
    const depths = [];
    const stack = this.ordered(this.tops).reverse().map((row) => [row, 0]);
    while (stack.length) {
      const [row, depth] = stack.pop();
      if (shown && !shown[row]) continue;
      lines.push(row);
      depths.push(depth);
      const kids = this.kids[row];
      if (kids.length && (shown ? kids.some((kid) => shown[kid]) : this.open.has(row))) {
        for (const kid of this.ordered(kids).reverse()) stack.push([kid, depth + 1]);
      }
    }
    this.lines = lines;
    this.depths = depths;
    this.at = new Map(lines.map((row, line) => [row, line]));
    this.count.textContent = this.filter ? `${si(this.hits)} found` : `${lines.length.toLocaleString("en-US")} of ${this.kids.length.toLocaleString("en-US")} rows`;
    this.grid.setAttribute("aria-rowcount", lines.length + 1);
    this.body.style.height = `${lines.length * ROW_HEIGHT}px`;
    this.show();
  }

  show() {
    const top = this.grid.scrollTop;
    const from = Math.max(0, Math.floor(top / ROW_HEIGHT) - SPARE_ROWS);
    const to = Math.min(this.lines.length, Math.ceil((top + this.grid.clientHeight) / ROW_HEIGHT) + SPARE_ROWS);
    const rows = [];
    for (let line = from; line < to; line++) rows.push(this.line(line));
    this.body.replaceChildren(...rows);
    this.activate();
  }

  line(line) {
    const row = this.lines[line];
    const record = this.record(row);
    const holds = this.kids[row].length > 0;
    const open = holds && (this.filter ? this.depths[line + 1] > this.depths[line] : this.open.has(row));
    const made = element("div", {
      class: `tree-row ${row < this.layers ? "layer" : "op"}${row === this.selected ? " selected" : ""}${this.scene.marks[row] ? " mark" : ""}`,
      role: "row", id: `tree-${this.scene.number}-${row}`, "data-row": row, "aria-rowindex": line + 2,
      "aria-level": this.depths[line] + 1, "aria-selected": String(row === this.selected),
      "aria-expanded": holds ? String(open) : null,
    });
    made.style.top = `${line * ROW_HEIGHT}px`;
    for (const [at, column] of COLUMNS.entries()) {
      const cell = element("div", { role: at ? "gridcell" : "rowheader", class: `cell col-${column.key}${column.text ? " text" : ""}`, "aria-colindex": at + 1 });
      this.write(cell, column, record, holds, open, this.depths[line]);
      made.append(cell);
    }
    return made;
  }

  write(cell, column, record, holds, open, depth) {
    const value = record[column.key];
    if (column.key === "name") {
      cell.style.paddingLeft = `${0.2 + 1.05 * depth}rem`;
      cell.title = record.title;
      cell.append(element("span", { class: "fold", "aria-hidden": "true" }, holds ? (open ? "▾" : "▸") : ""), value);
    } else if (column.key === "bound") {
      if (value) cell.append(element("span", { class: `bound ${value}` }, value));
    } else if (column.key === "share") {
      if (!known(value)) return;
      const bar = element("i", { class: `bar ${record.bound ?? "neutral"}` });
      bar.style.width = `${Math.min(1, value) * 2.1}rem`;
      cell.append(bar, element("span", {}, percent(value)));
    } else if (column.key === "time_s") {
      cell.textContent = (record.time_source !== "measured" && known(value) ? "~" : "") + seconds(value);
    } else {
      cell.textContent = column.text ? value ?? "" : column.write(value);
    }
  }

  toggle(row) {
    if (!this.kids[row].length) return;
    if (!this.open.delete(row)) this.open.add(row);
    this.list();
  }

  fold() {
    if (this.open.size) this.open.clear();
    else for (let row = 0; row < this.layers; row++) if (!this.scene.rows[row].leaf) this.open.add(row);
    this.list();
  }

  choose(row) {
    if (row < this.layers) this.report.select_row(row, "tree");
    else this.report.select_op(row - this.layers, "tree");
  }

  // Marks a row and opens the way to it; scrolls unless the click was here.
  select(row, scroll) {
    this.selected = row;
    if (row >= 0) {
      let opened = false;
      for (let at = this.above[row]; at >= 0; at = this.above[at]) {
        if (!this.open.has(at)) { this.open.add(at); opened = true; }
      }
      if (this.filter && !this.at.has(row)) {
        this.filter = this.search.value = "";
        opened = true;
      }
      if (opened) this.list();
      if (scroll) this.reveal(row);
    }
    this.show();
  }

  reveal(row) {
    const line = this.at.get(row);
    if (line === undefined) return;
    const room = this.grid.clientHeight - 2 * ROW_HEIGHT;
    const top = line * ROW_HEIGHT;
    if (top < this.grid.scrollTop || top > this.grid.scrollTop + room) {
      this.grid.scrollTop = Math.max(0, top - room / 2);
    }
  }

  activate() {
    const line = this.at.get(this.selected);
    if (line === undefined) this.grid.removeAttribute("aria-activedescendant");
    else this.grid.setAttribute("aria-activedescendant", `tree-${this.scene.number}-${this.selected}`);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const line = this.at.get(this.selected) ?? -1;
    const row = this.lines[line];
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW_HEIGHT) - 2);
    const go = (to) => {
      const next = this.lines[Math.min(this.lines.length - 1, Math.max(0, to))];
      if (next === undefined) return;
      this.choose(next);
      this.reveal(next);
    };
    const act = {
      ArrowDown: () => go(line + 1), ArrowUp: () => go(line - 1),
      PageDown: () => go(line + page), PageUp: () => go(line - page),
      Home: () => go(0), End: () => go(this.lines.length - 1),
      ArrowRight: () => {
        if (row === undefined || !this.kids[row].length) return;
        if (this.filter || this.open.has(row)) go(line + 1);
        else this.toggle(row);
      },
      ArrowLeft: () => {
        if (row === undefined) return;
        if (!this.filter && this.open.has(row)) this.toggle(row);
        else if (this.above[row] >= 0) go(this.at.get(this.above[row]));
      },
      Enter: () => { if (row !== undefined) this.report.look_at_row(row); },
      " ": () => { if (row !== undefined) this.toggle(row); },
    }[event.key];
    if (act) act();
    return Boolean(act);
  }

  csv() {
    const quote = (value) => {
      const text = known(value) ? String(value) : "";
      return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const keys = ["kind", "name", "layer", "phase", ...COLUMNS.slice(1).map((column) => column.key)];
    const lines = this.lines.map((row) => {
      const record = this.record(row);
      const layer = this.scene.rows[row < this.layers ? row : this.scene.ops.row[row - this.layers]];
      const own = { kind: row < this.layers ? "layer" : "op", layer: layer?.layer, phase: layer?.phase };
      if (row < this.layers) own.opcode = "";
      return keys.map((key) => quote(key in own ? own[key] : record[key])).join(",");
    });
    return `${[keys.join(","), ...lines].join("\n")}\n`;
  }

  async copy() {
    const text = this.csv();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Without the permission, the old way: select and copy.
      const area = element("textarea", { class: "aside" });
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    this.report.say(`${this.lines.length} rows copied as CSV`);
  }
}
