// Joins the plot of the roofline with the rest: its points are found by where they stand.
const NEAR = 12; // pixels

class Roofline {
  constructor(figure, scene, report) {
    this.svg = figure.querySelector("svg");
    this.axes = JSON.parse(figure.dataset.axes);
    this.scene = scene;
    this.report = report;
    this.points = this.find();
    this.at = -1;
    this.ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    this.ring.setAttribute("class", "ring");
    this.ring.setAttribute("r", "7");
    this.ring.setAttribute("visibility", "hidden");
    this.svg.append(this.ring);
    this.svg.setAttribute("tabindex", "0");
    this.svg.setAttribute("role", "application");
    this.svg.setAttribute("aria-label", `${this.svg.getAttribute("aria-label")}; left and right go from layer to layer`);
    this.svg.addEventListener("click", (event) => this.click(event));
    this.svg.addEventListener("pointermove", (event) => {
      this.svg.style.cursor = this.nearest(event) ? "pointer" : "";
    });
    this.svg.addEventListener("keydown", (event) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!way || !this.layers.length) return;
      event.preventDefault();
      const now = this.layers.findIndex((point) => point.row === this.row);
      const next = now < 0 ? (way > 0 ? 0 : this.layers.length - 1) : (now + way + this.layers.length) % this.layers.length;
      this.report.select_row(this.layers[next].row, "roofline");
    });
  }

  // Places in the units of the plot's view box.
  place(intensity, rate) {
    const { xlim, ylim, box } = this.axes;
    const share = (value, [low, high]) => Math.log(value / low) / Math.log(high / low);
    return [box[0] + share(intensity, xlim) * (box[2] - box[0]), box[3] - share(rate, ylim) * (box[3] - box[1])];
  }

  find() {
    const { scene } = this;
    const points = [];
    const add = (record, time, key) => {
      const moved = main_memory(record);
      if (!moved || !record.flops || !time) return;
      const [x, y] = this.place(record.flops / moved, record.flops / time);
      points.push({ x, y, intensity: record.flops / moved, ...key });
    };
    scene.rows.forEach((record, row) => { if (record.leaf) add(record, record.time_s, { row }); });
    this.layers = [...points].sort((a, b) => a.intensity - b.intensity);
    scene.ops.name.forEach((_, op) => {
      if (scene.holds[op]) return;
      const record = scene.op_record(op);
      add(record, Math.max(record.compute_time_s ?? 0, record.memory_time_s ?? 0), { op });
    });
    return points;
  }

  // The nearest point; a layer's mark is larger than an op's dot and lies above it.
  nearest(event) {
    const matrix = this.svg.getScreenCTM();
    if (!matrix) return null;
    const scale = matrix.a;
    let best = [NEAR, null];
    for (const point of this.points) {
      const far = Math.hypot(point.x * scale + matrix.e - event.clientX, point.y * scale + matrix.f - event.clientY)
        - (point.row === undefined ? 0 : 3);
      if (far < best[0]) best = [far, point];
    }
    return best[1];
  }

  click(event) {
    const point = this.nearest(event);
    if (!point) return;
    if (point.row === undefined) this.report.select(this.scene.box_of_op[point.op], "roofline");
    else this.report.select_row(point.row, "roofline");
  }

  select(row, op) {
    this.row = row;
    const point = this.points.find((p) => (op >= 0 ? p.op === op : p.row === row && row >= 0))
      ?? this.points.find((p) => p.row === row && row >= 0);
    this.ring.setAttribute("visibility", point ? "visible" : "hidden");
    if (!point) return;
    this.ring.setAttribute("cx", point.x.toFixed(2));
    this.ring.setAttribute("cy", point.y.toFixed(2));
  }
}
