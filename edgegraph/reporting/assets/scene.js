// The scene of one analysis: boxes with absolute places, ops and layer records with figures.
const BOUNDS = ["compute", "memory", "network", "overhead"];
const SOURCES = ["measured", "split by layers", "split by roofline", "split by counts", "estimated"];
const OP_HEIGHT = 40;

async function unpack(id) {
  const text = atob(JSON.parse(document.getElementById(id).textContent));
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const main_memory = (record) =>
  known(record.bytes_read) && known(record.bytes_written)
    ? record.bytes_read + record.bytes_written - (record.on_chip_bytes || 0)
    : null;

class Scene {
  constructor(raw, number) {
    this.number = number;
    this.raw = raw;
    this.ops = raw.ops;
    this.rows = raw.rows;
    this.totals = raw.totals;
    this.boxes = raw.boxes;
    this.count = raw.boxes.kind.length;
    this.texts = null;
    this.ops.absolute = this.ops.operands.map((read, op) => read.map((back) => op - back));
    this.place();
    this.sum();
    this.link();
  }

  place() {
    const { boxes, count } = this;
    const { shapes } = this.raw;
    this.kids = Array.from({ length: count }, () => []);
    this.x = new Float64Array(count);
    this.y = new Float64Array(count);
    this.w = new Float64Array(count);
    this.h = new Float64Array(count);
    this.inside = new Float64Array(count); // size of a unit inside a box, in units of the whole
    this.outside = new Float64Array(count);
    this.lines = new Array(count).fill(null);
    let line = 0;
    for (let at = 0; at < count; at++) {
      const shape = shapes[boxes.shape[at]];
      const parent = boxes.parent[at];
      let outside = 1;
      if (parent >= 0) {
        const around = shapes[boxes.shape[parent]];
        const number = this.kids[parent].push(at) - 1;
        outside = this.inside[parent];
        const unit = this.outside[parent];
        this.x[at] = this.x[parent] + unit * around.left + outside * around.places[2 * number];
        this.y[at] = this.y[parent] + unit * around.top + outside * around.places[2 * number + 1];
      }
      this.outside[at] = outside;
      this.inside[at] = outside * (shape.scale ?? 1);
      this.w[at] = outside * shape.size[0];
      this.h[at] = outside * shape.size[1];
      if (shape.lines && shape.lines.length) this.lines[at] = boxes.lines[line++];
    }
    // Height of most boxes in a group.
    this.typical = new Float64Array(count);
    this.kids.forEach((kids, at) => {
      if (kids.length) this.typical[at] = kids.map((kid) => this.h[kid]).sort((a, b) => a - b)[kids.length >> 1];
    });
  }

  link() {
    const { boxes, ops } = this;
    this.box_of_op = new Int32Array(ops.name.length).fill(-1);
    boxes.op.forEach((op, at) => { if (op >= 0) this.box_of_op[op] = at; });
    this.box_of_row = new Int32Array(this.rows.length).fill(-1);
    for (const [at, rows] of Object.entries(boxes.rows)) {
      for (const row of rows) {
        const known_box = this.box_of_row[row];
        // Of a layer in parts, the one that takes most.
        if (known_box < 0 || this.time[at] > (this.time[known_box] || 0)) this.box_of_row[row] = Number(at);
      }
    }
    // Layers that something is to be said of, as by a diff.
    this.marks = this.raw.marks;
    this.marked = new Uint8Array(this.count);
    for (const row of Object.keys(this.marks)) {
      if (this.box_of_row[row] >= 0) this.marked[this.box_of_row[row]] = 1;
    }
    this.parent_row = this.rows.map((record, at) => {
      let above = at - 1;
      while (above >= 0 && this.rows[above].depth >= record.depth) above--;
      return record.depth === 0 ? -1 : above;
    });
    // What a layer does itself stands in the layer's box.
    this.rows.forEach((_, row) => {
      if (this.box_of_row[row] < 0 && this.parent_row[row] >= 0) {
        this.box_of_row[row] = this.box_of_row[this.parent_row[row]];
      }
    });
    this.holds = new Uint8Array(ops.name.length);
    ops.parent.forEach((parent) => { if (parent >= 0) this.holds[parent] = 1; });
    this.users = Array.from({ length: ops.name.length }, () => []);
    ops.absolute.forEach((read, op) => {
      for (const operand of new Set(read)) this.users[operand].push(op);
    });
    ops.outer.forEach((outer, op) => { if (outer >= 0) this.users[outer].push(op); });
  }

  word(column, op) { return this.ops[column].words[this.ops[column].of[op]]; }

  op_record(op) {
    const { ops } = this;
    const found = { name: ops.name[op] };
    for (const name of ["opcode", "shape", "bound", "time_source", "roof", "level"]) {
      found[name] = this.word(name, op);
    }
    for (const name of ["executions", "macs", "flops", "transcendentals", "bytes_read",
      "bytes_written", "on_chip_bytes", "compute_time_s", "memory_time_s", "time_s"]) {
      found[name] = ops[name][op];
    }
    return found;
  }

  // Figures of every box: an op's own, a whole layer's from its record, else the sum over ops.
  sum() {
    const { boxes, count, ops } = this;
    const column = () => new Float64Array(count).fill(NaN);
    this.time = column();
    this.flops = column();
    this.bytes = column();
    this.roof = column(); // the larger of T_compute and T_memory
    this.moved = column(); // bytes that count for the intensity
    this.held = new Int32Array(count);
    this.least = new Uint8Array(count);
    this.bound = new Array(count).fill(null);
    this.source = new Array(count).fill(null);
    const bounds = new Map();
    const sources = new Map();
    const add = (sums, at, value) => {
      if (Number.isNaN(value)) this.least[at] = 1;
      else sums[at] = (Number.isNaN(sums[at]) ? 0 : sums[at]) + value;
    };
    const tally = (tallies, at, word, weight) => {
      if (!tallies.has(at)) tallies.set(at, new Map());
      const found = tallies.get(at);
      found.set(word, (found.get(word) || 0) + weight);
    };
    const most = (found) => {
      let best = null;
      for (const [word, value] of found || []) if (!best || value > best[1]) best = [word, value];
      return best && best[0];
    };
    for (let at = count - 1; at >= 0; at--) {
      const op = boxes.op[at];
      const rows = boxes.rows[at];
      if (op >= 0) {
        this.held[at] = 1;
        const record = this.op_record(op);
        this.fill(at, record);
        // What runs in an op counts in the op, so it is not added to what is around.
        const weight = ops.parent[op] < 0 || boxes.op[boxes.parent[at]] < 0 ? this.time[at] || 0 : 0;
        if (weight && record.bound) tally(bounds, at, record.bound, weight);
        if (weight && record.time_source) tally(sources, at, record.time_source, weight);
      } else {
        this.bound[at] = most(bounds.get(at));
        this.source[at] = most(sources.get(at));
      }
      const parent = boxes.parent[at];
      if (parent >= 0 && boxes.op[parent] < 0) {
        this.held[parent] += this.held[at];
        for (const sums of [this.time, this.flops, this.bytes, this.roof, this.moved]) {
          add(sums, parent, sums[at]);
        }
        this.least[parent] |= this.least[at];
        for (const tallies of [bounds, sources]) {
          for (const [word, weight] of tallies.get(at) || []) tally(tallies, parent, word, weight);
        }
      }
      bounds.delete(at);
      sources.delete(at);
    }
    // Sums first, so that a layer's own record does not count into what is around it.
    for (const [at, rows] of Object.entries(boxes.rows)) {
      if (!boxes.part[at]) this.fill(Number(at), this.rows[rows.at(-1)]);
    }
  }

  fill(at, record) {
    const both = known(record.bytes_read) && known(record.bytes_written);
    this.time[at] = record.time_s ?? NaN;
    this.flops[at] = record.flops ?? NaN;
    this.bytes[at] = both ? record.bytes_read + record.bytes_written : NaN;
    this.moved[at] = main_memory(record) ?? NaN;
    this.roof[at] = known(record.compute_time_s) && known(record.memory_time_s)
      ? Math.max(record.compute_time_s, record.memory_time_s) : NaN;
    this.bound[at] = record.bound ?? null;
    this.source[at] = record.time_source ?? null;
  }

  intensity(at) { return this.moved[at] ? this.flops[at] / this.moved[at] : NaN; }

  efficiency(at) {
    return this.source[at] && this.source[at] !== "estimated" && this.time[at]
      ? this.roof[at] / this.time[at] : NaN;
  }

  title(at) {
    const op = this.boxes.op[at];
    if (op >= 0) return this.ops.name[op].split("/").at(-1);
    const part = this.boxes.part[at];
    return this.boxes.title[at] + (part ? ` (${part[0]}/${part[1]})` : "");
  }

  above(at) {
    const way = [];
    for (let box = at; box >= 0; box = this.boxes.parent[box]) way.unshift(box);
    return way;
  }

  row_of(at) {
    const rows = this.boxes.rows[at];
    if (rows) return rows.at(-1);
    const op = this.boxes.op[at];
    return op >= 0 ? this.ops.row[op] : -1;
  }

  text(column, op) {
    if (!this.texts) return null;
    return this.texts[column].words[this.texts[column].of[op]];
  }

  hlo(op) {
    const short = (other) => `%${this.ops.name[other].split("/").at(-1)}`;
    const read = this.ops.absolute[op].map(short).join(", ");
    const inner = read || this.text("argument", op);
    const opcode = this.word("opcode", op);
    return `${short(op)} = ${this.word("shape", op)} ${opcode}(${inner})${this.text("attributes", op)}`;
  }

  // Ops and layers whose name, opcode or op_name holds the text; names that begin so come first.
  find(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const holds = (words) => words.map((word) => word !== null && word.toLowerCase().includes(wanted));
    const opcode = holds(this.ops.opcode.words);
    const op_name = this.texts ? holds(this.texts.op_name.words) : [];
    const found = [];
    for (let at = 1; at < this.count; at++) {
      const op = this.boxes.op[at];
      if (op < 0) {
        if (this.boxes.kind[at] === 0 && this.boxes.title[at].toLowerCase().includes(wanted)) {
          found.push([0, at]);
        }
        continue;
      }
      const name = this.ops.name[op].toLowerCase();
      if (name === wanted) found.push([-1, at]);
      else if (name.includes(wanted)) found.push([1, at]);
      else if (opcode[this.ops.opcode.of[op]]) found.push([1, at]);
      else if (this.texts && op_name[this.texts.op_name.of[op]]) found.push([2, at]);
    }
    return found.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, at]) => at);
  }
}
