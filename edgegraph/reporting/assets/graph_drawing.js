// What the graph puts on its canvas: only what is on the screen, and only as near as one looks.
const SMALLEST_TEXT = 8;
const FEWEST_LETTERS = 5; // a name cut shorter than this says nothing

Object.assign(Graph.prototype, {
  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  },

  draw() {
    if (!this.width) return;
    const { context } = this;
    context.setTransform(this.dots, 0, 0, this.dots, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    this.draw_box(0);
    if (this.selected > 0) this.draw_ties(this.selected);
    this.draw_map();
    this.report.moved();
  },

  font(size, bold = false) {
    const font = `${bold ? 600 : 400} ${size}px ${this.colours.sans}`;
    if (this.context.font !== font) this.context.font = font;
  },

  // Width of a text in units of its size; measured once, for that costs more than drawing it.
  wide(text, bold) {
    const known_widths = this.widths[Number(bold)];
    let width = known_widths.get(text);
    if (width === undefined) {
      this.font(100, bold);
      width = this.context.measureText(text).width / 100;
      known_widths.set(text, width);
    }
    return width;
  },

  // The largest size, down to what can be read, at which a text fits.
  fitted(text, width, most, bold = false) {
    return Math.max(SMALLEST_TEXT, Math.min(most, width / this.wide(text, bold)));
  },

  // As much of a text as fits, or nothing where that would say nothing.
  clipped(text, width, size, bold = false) {
    const room = width / size;
    const whole = this.wide(text, bold);
    if (whole <= room) return text;
    let most = Math.floor(text.length * room / whole);
    while (most >= FEWEST_LETTERS && this.wide(`${text.slice(0, most)}…`, bold) > room) most--;
    return most < FEWEST_LETTERS ? "" : `${text.slice(0, most)}…`;
  },

  draw_box(at) {
    const [x, y, w, h] = this.on_screen(at);
    if (x > this.width || y > this.height || x + w < 0 || y + h < 0 || w < 0.6) return;
    const { context, scene, colours } = this;
    const radius = Math.min(6, h / 8);
    const fill = colours.fill(at);
    context.beginPath();
    if (h < 5) context.rect(x, y, w, h);
    else context.roundRect(x, y, w, h, radius);
    if (this.open(at)) {
      context.fillStyle = at > 0 ? colours.wash : colours.paper;
      context.fill();
      this.draw_title(at, x, y, w, fill);
      // Behind a box that fills the screen no line is seen, and very long ones cost seconds.
      if (scene.lines[at] && !scene.kids[at].some((kid) => this.fills(kid))) this.draw_lines(at);
      for (const kid of scene.kids[at]) this.draw_box(kid);
    } else {
      context.fillStyle = fill;
      context.fill();
      this.draw_label(at, x, y, w, h, fill);
    }
    if (h >= 5 && at > 0) {
      const marked = scene.marked[at];
      context.lineWidth = at === this.selected ? 3 : at === this.hovered ? 2 : marked ? 2.5 : 1;
      context.strokeStyle = at === this.selected ? colours.focus
        : at === this.hovered ? colours.ink : marked ? colours.mark : scene.kids[at].length ? colours.neutral : colours.rule;
      context.beginPath();
      context.roundRect(x, y, w, h, radius);
      context.stroke();
    } else if (at === this.selected) {
      context.strokeStyle = colours.focus;
      context.lineWidth = 3;
      context.strokeRect(x - 3, y - 3, w + 6, h + 6);
    }
  },

  fills(at) {
    const [x, y, w, h] = this.on_screen(at);
    return x <= 0 && y <= 0 && x + w >= this.width && y + h >= this.height;
  },

  draw_title(at, x, y, w, fill) {
    const strip = TITLE * this.scene.outside[at] * this.view.zoom;
    if (strip < TITLE_AT || at === 0) return;
    // The title of a box that is larger than the screen stays in sight.
    const right = Math.min(x + w, this.width);
    x = Math.max(x, 0);
    w = right - x;
    const { context, colours } = this;
    const size = Math.min(13, Math.max(8, 0.55 * strip));
    const height = Math.min(strip, TITLE);
    const bar = Math.min(4, 0.2 * strip);
    context.fillStyle = fill;
    context.beginPath();
    context.roundRect(x, y, w, bar, [bar, bar, 0, 0]);
    context.fill();
    const title = this.clipped(this.scene.title(at), w - 16, size, true);
    this.font(size, true);
    context.fillStyle = colours.ink;
    context.textBaseline = "middle";
    context.textAlign = "left";
    context.fillText(title, x + 8, y + (bar + height) / 2);
    const value = colours.value(at);
    if (this.wide(title, true) * size + this.wide(value, false) * (size - 1) < w - 30) {
      this.font(size - 1);
      context.fillStyle = colours.muted;
      context.textAlign = "right";
      context.fillText(value, x + w - 8, y + (bar + height) / 2);
    }
  },

  draw_label(at, x, y, w, h, fill) {
    if (h < 11 || w < 22) return;
    const { context, scene, colours } = this;
    context.fillStyle = colours.text_on(fill);
    context.textBaseline = "middle";
    context.textAlign = "center";
    const op = scene.boxes.op[at];
    const two = h >= 30;
    const title = scene.title(at);
    const bold = op < 0 || scene.kids[at].length > 0;
    const size = this.fitted(title, w - 10, Math.min(bold ? 14 : 12, two ? 0.32 * h : 0.62 * h), bold);
    const name = this.clipped(title, w - 10, size, bold);
    this.font(size, bold);
    const middle = x + w / 2;
    context.fillText(name, middle, y + (two ? 0.5 * h - Math.min(0.15 * h, 0.8 * size) : h / 2));
    if (!two) return;
    let small = Math.max(SMALLEST_TEXT, Math.min(12, size - 1));
    const value = known(colours.value(at)) && colours.value(at) !== "?" ? colours.value(at) : "";
    const what = op < 0 ? `${scene.held[at]} ops` : scene.word("opcode", op);
    const shape = op < 0 || value ? [] : [scene.word("shape", op)];
    // As much as there is room for.
    const fits = (text) => text && this.wide(text, false) * small <= w - 8;
    const texts = [...shape, value && `${what} · ${value}`, value, what];
    let second = texts.find(fits);
    if (!second) {
      small = SMALLEST_TEXT;
      second = texts.find(fits);
    }
    this.font(small);
    if (second) context.fillText(second, middle, y + h / 2 + (name ? Math.min(0.2 * h, size) : 0));
  },

  draw_lines(at) {
    const { scene, view, context, colours } = this;
    const unit = scene.inside[at] * view.zoom;
    if (unit * 44 < 4) return;
    const shape = scene.raw.shapes[scene.boxes.shape[at]];
    const kids = scene.kids[at];
    const left = (scene.x[at] + scene.outside[at] * shape.left - view.x) * view.zoom;
    const top = (scene.y[at] + scene.outside[at] * shape.top - view.y) * view.zoom;
    const tips = [];
    const labels = [];
    context.beginPath();
    for (let line = 0; line < shape.lines.length; line += 3) {
      const [source, target, bends] = [shape.lines[line], shape.lines[line + 1], shape.lines[line + 2]];
      const [sx, sy, sw, sh] = this.on_screen(kids[source]);
      const [tx, ty, tw] = this.on_screen(kids[target]);
      if (ty < 0 || sy + sh > this.height) continue;
      let [x, y] = [sx + sw / 2, sy + sh];
      context.moveTo(x, y);
      const lanes = shape.lanes[source];
      for (let bend = 0; bend < bends; bend++) {
        const nx = left + unit * lanes[3 * bend];
        const ny = top + unit * lanes[3 * bend + 1];
        const half = (y + ny) / 2;
        context.bezierCurveTo(x, half, nx, half, nx, ny);
        y = top + unit * lanes[3 * bend + 2];
        context.lineTo(nx, y);
        x = nx;
      }
      const ex = tx + tw / 2;
      const half = (y + ty) / 2;
      context.bezierCurveTo(x, half, ex, half, ex, ty);
      if (unit > 0.25) tips.push(ex, ty);
      if (unit > 0.6) labels.push([line / 3, ex, ty]);
    }
    context.strokeStyle = colours.neutral;
    context.lineWidth = Math.min(1.6, Math.max(0.5, unit));
    context.stroke();
    const size = Math.min(7, 7 * unit);
    context.fillStyle = colours.neutral;
    context.beginPath();
    for (let tip = 0; tip < tips.length; tip += 2) {
      context.moveTo(tips[tip], tips[tip + 1]);
      context.lineTo(tips[tip] - size / 2, tips[tip + 1] - size);
      context.lineTo(tips[tip] + size / 2, tips[tip + 1] - size);
    }
    context.fill();
    this.draw_shapes(at, labels, unit);
  },

  // The shape of what runs along a line, between the rows, where it writes over no box and no
  // other shape.
  draw_shapes(at, labels, unit) {
    const { context, scene, colours } = this;
    const size = 10;
    const written = [];
    const boxes = scene.kids[at].map((kid) => this.on_screen(kid));
    const meets = ([x, y, w, h], [ox, oy, ow, oh]) => x < ox + ow && ox < x + w && y < oy + oh && oy < y + h;
    for (const [line, x, y] of labels) {
      if (x < 0 || x > this.width || y < 0 || y > this.height) continue;
      const op = scene.lines[at][2 * line];
      const values = scene.lines[at][2 * line + 1];
      const more = values > 1 ? ` and ${values - 1} more` : "";
      const text = this.clipped(scene.word("shape", op), 190, size) + more;
      const rank = written.filter(([, , , , tip]) => Math.abs(tip - x) < 1).length;
      const place = [x + 6, y - 6 - size - 12 * rank, this.wide(text, false) * size, size + 3, x];
      if (12 * (rank + 1) > 34 * unit || [...boxes, ...written].some((other) => meets(place, other))) continue;
      written.push(place);
      this.font(size);
      context.textAlign = "left";
      context.textBaseline = "alphabetic";
      context.lineJoin = "round";
      context.lineWidth = 3;
      context.strokeStyle = at > 0 ? colours.wash : colours.paper;
      context.strokeText(text, x + 6, y - 6 - 12 * rank);
      context.fillStyle = colours.muted;
      context.fillText(text, x + 6, y - 6 - 12 * rank);
    }
  },

  // From the selected op straight to what it reads and what reads it, wherever that stands.
  draw_ties(at) {
    const { context, scene, colours } = this;
    const op = scene.boxes.op[at];
    if (op < 0) return;
    const [x, y, w, h] = this.on_screen(at);
    const tie = (other, colour, up) => {
      const [ox, oy, ow, oh] = this.on_screen(scene.box_of_op[other]);
      const [fx, fy] = up ? [ox + ow / 2, oy + oh] : [x + w / 2, y + h];
      const [tx, ty] = up ? [x + w / 2, y] : [ox + ow / 2, oy];
      const bend = Math.max(24, Math.abs(ty - fy) / 2);
      context.strokeStyle = colour;
      // Of a line that leads far away every dash is drawn, out of sight too: seconds for nothing.
      const near = Math.abs(tx - fx) + Math.abs(ty - fy) < 3 * (this.width + this.height);
      context.setLineDash(up || !near ? [] : [7, 4]);
      context.beginPath();
      context.moveTo(fx, fy);
      context.bezierCurveTo(fx, fy + bend, tx, ty - bend, tx, ty);
      context.stroke();
    };
    context.lineWidth = 1.8;
    for (const other of new Set(scene.ops.absolute[op])) tie(other, colours.focus, true);
    for (const other of scene.users[op].slice(0, 200)) tie(other, colours.output, false);
    context.setLineDash([]);
  },

  // Of the map of a group of such a width and height.
  map_width(w, h) { return Math.min(MAP.width, 0.2 * this.width, MAP.share * this.height * w / h); },

  // Where one is in the group that one looks into.
  draw_map() {
    const { context, scene, colours } = this;
    const at = this.current();
    const [x, y, w, h] = this.on_screen(at);
    if (x >= -1 && y >= -1 && x + w <= this.width + 1 && y + h <= this.height + 1) return;
    const mw = this.map_width(w, h);
    const scale = mw / w;
    const mh = h * scale;
    const [left, top] = [this.width - mw - MAP.margin, MAP.margin];
    context.fillStyle = colours.paper;
    context.fillRect(left - 3, top - 3, mw + 6, mh + 6);
    context.strokeStyle = colours.rule;
    context.lineWidth = 1;
    context.strokeRect(left - 3, top - 3, mw + 6, mh + 6);
    for (const kid of scene.kids[at]) {
      const [kx, ky, kw, kh] = this.on_screen(kid);
      context.fillStyle = colours.fill(kid);
      context.fillRect(left + (kx - x) * scale, top + (ky - y) * scale, Math.max(1, kw * scale), Math.max(1, kh * scale));
    }
    const [vx, vy] = [Math.max(0, -x) * scale, Math.max(0, -y) * scale];
    const vw = Math.min(mw - vx, (this.width - Math.max(0, x)) * scale);
    const vh = Math.min(mh - vy, (this.height - Math.max(0, y)) * scale);
    context.strokeStyle = colours.focus;
    context.lineWidth = 2;
    context.strokeRect(left + vx, top + vy, Math.max(2, vw), Math.max(2, vh));
  },
});
