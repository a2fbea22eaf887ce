// The graph on a canvas: what is looked at, how near, and what stands at a place of the screen.
const OPEN_AT = 12; // a group opens when the boxes in it are so many pixels high
const TITLE = 24;
const TITLE_AT = 13;
const FAREST = 0.5;
const NEAREST = 320; // pixels that an op may be high
const FIT_MARGIN = 14;
const MUCH = 1.25; // less is not worth losing the whole from sight
const MAP = { width: 110, share: 0.6, margin: 10 };
const READABLE = [150, 40]; // pixels that a child should be wide or high when one looks into a group

class Graph {
  constructor(canvas, scene, report) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.scene = scene;
    this.report = report;
    this.view = { x: 0, y: 0, zoom: 1 };
    this.selected = -1;
    this.hovered = -1;
    this.mode = "time";
    this.asked = false;
    this.widths = [new Map(), new Map()];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.recolour();
    this.listen();
    this.resize();
    this.look_at(0, false);
  }

  recolour(mode = this.mode) {
    this.mode = mode;
    this.colours = new Colours(this.scene, mode);
    this.redraw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    if (!clientWidth || !clientHeight) return;
    const first = !this.width;
    const [width, height] = [this.width, this.height];
    this.width = clientWidth;
    this.height = clientHeight;
    this.dots = devicePixelRatio || 1;
    this.canvas.width = Math.round(clientWidth * this.dots);
    this.canvas.height = Math.round(clientHeight * this.dots);
    if (!first && (width !== clientWidth || height !== clientHeight)) {
      this.view.x += (width - clientWidth) / 2 / this.view.zoom;
      this.view.y += (height - clientHeight) / 2 / this.view.zoom;
    }
    this.draw();
  }

  // Views

  fitting(at) {
    const { scene } = this;
    const kids = scene.kids[at];
    const room = this.width - 2 * FIT_MARGIN;
    let zoom = Math.min(room / scene.w[at], (this.height - 2 * FIT_MARGIN) / scene.h[at]);
    if (!kids.length) zoom = Math.min(zoom, 90 / scene.h[at]);
    const view = { x: scene.x[at] + scene.w[at] / 2, y: scene.y[at] + scene.h[at] / 2 };
    if (kids.length) {
      const widths = kids.map((kid) => scene.w[kid]).sort((a, b) => a - b);
      const readable = Math.max(READABLE[0] / widths[widths.length >> 1], READABLE[1] / scene.typical[at]);
      // The map of what is out of sight stands beside the boxes, not on them.
      const map = this.map_width(scene.w[at], scene.h[at]) + MAP.margin;
      const top = Math.min(...kids.map((kid) => scene.y[kid]));
      const head = kids.filter((kid) => scene.y[kid] < top + this.height / readable);
      const left = Math.min(...head.map((kid) => scene.x[kid]));
      const right = Math.max(...head.map((kid) => scene.x[kid] + scene.w[kid]));
      const wanted = Math.min((room - map) / (right - left), readable);
      if (wanted > MUCH * zoom) {
        // A long chain would be a thread: begin at its head, large enough to read.
        zoom = wanted;
        view.x = (left + right) / 2 + map / 2 / zoom;
        view.y = top + (this.height / 2 - 2 * FIT_MARGIN) / zoom;
      }
    }
    return { x: view.x - this.width / 2 / zoom, y: view.y - this.height / 2 / zoom, zoom };
  }

  look_at(at, moving = true) { if (this.width) this.go(this.fitting(at), moving); }

  // Brings a box into sight, with what is around it.
  show(at) {
    if (!this.width) return;
    const around = this.scene.boxes.parent[at];
    const view = this.fitting(around < 0 ? at : around);
    const zoom = Math.max(view.zoom, 46 / this.scene.h[at]);
    if (zoom > view.zoom) {
      view.x = this.scene.x[at] + this.scene.w[at] / 2 - this.width / 2 / zoom;
      view.y = this.scene.y[at] + this.scene.h[at] / 2 - this.height / 2 / zoom;
      view.zoom = zoom;
    } else {
      const y = (this.scene.y[at] - view.y) * zoom;
      if (y < 0 || y + this.scene.h[at] * zoom > this.height) {
        view.y = this.scene.y[at] + this.scene.h[at] / 2 - this.height / 2 / zoom;
      }
    }
    this.go(view);
  }

  visible(at) {
    const [x, y, w, h] = this.on_screen(at);
    return h >= 14 && x + w > 0 && y + h > 0 && x < this.width && y < this.height &&
      this.scene.above(this.scene.boxes.parent[at]).every((box) => this.open(box));
  }

  go(view, moving = true) {
    cancelAnimationFrame(this.motion);
    if (!moving || this.calm.matches) {
      this.view = view;
      this.draw();
      return;
    }
    const from = { ...this.view };
    const start = performance.now();
    const middle = (v, zoom) => [v.x + this.width / 2 / zoom, v.y + this.height / 2 / zoom];
    const [fx, fy] = middle(from, from.zoom);
    const [tx, ty] = middle(view, view.zoom);
    const step = (now) => {
      const part = Math.min(1, Math.max(0, (now - start) / 260));
      const eased = part * part * (3 - 2 * part);
      const zoom = from.zoom * (view.zoom / from.zoom) ** eased;
      // The middle moves as the zoom does, so that near and far the pace looks the same.
      const near = Math.abs(view.zoom / from.zoom - 1) < 1e-3 ? eased
        : (1 / zoom - 1 / from.zoom) / (1 / view.zoom - 1 / from.zoom);
      const [x, y] = [fx + (tx - fx) * near, fy + (ty - fy) * near];
      this.view = { x: x - this.width / 2 / zoom, y: y - this.height / 2 / zoom, zoom };
      this.draw();
      if (part < 1) this.motion = requestAnimationFrame(step);
      else this.view = view;
    };
    this.motion = requestAnimationFrame(step);
  }

  zoom_by(factor, x = this.width / 2, y = this.height / 2) {
    const { view, scene } = this;
    const low = FAREST * Math.min(this.width / scene.w[0], this.height / scene.h[0]);
    this.smallest ??= scene.outside.reduce((a, b) => Math.min(a, b), Infinity);
    const zoom = Math.min(NEAREST / OP_HEIGHT / this.smallest, Math.max(low, view.zoom * factor));
    cancelAnimationFrame(this.motion);
    this.view = { x: view.x + x / view.zoom - x / zoom, y: view.y + y / view.zoom - y / zoom, zoom };
    this.redraw();
  }

  pan(dx, dy) {
    cancelAnimationFrame(this.motion);
    this.view = { ...this.view, x: this.view.x + dx / this.view.zoom, y: this.view.y + dy / this.view.zoom };
    this.redraw();
  }

  on_screen(at) {
    const { scene, view } = this;
    return [(scene.x[at] - view.x) * view.zoom, (scene.y[at] - view.y) * view.zoom,
      scene.w[at] * view.zoom, scene.h[at] * view.zoom];
  }

  open(at) {
    if (!this.scene.kids[at].length) return false;
    if (at === 0) return true;
    const title = TITLE * this.scene.outside[at] * this.view.zoom;
    // Not before its title can be read: until then its name stands in the middle.
    return this.scene.typical[at] * this.view.zoom >= OPEN_AT && title >= TITLE_AT;
  }

  // The innermost open box that fills the middle of the screen.
  current() {
    let at = 0;
    for (;;) {
      const inner = this.scene.kids[at].find((kid) => {
        const [x, y, w, h] = this.on_screen(kid);
        return this.open(kid) && w * h > 0.3 * this.width * this.height &&
          x < this.width / 2 && x + w > this.width / 2 && y < this.height / 2 && y + h > this.height / 2;
      });
      if (inner === undefined) return at;
      at = inner;
    }
  }

  hit(px, py) {
    const { scene, view } = this;
    const [x, y] = [view.x + px / view.zoom, view.y + py / view.zoom];
    const inside = (at) => x >= scene.x[at] && x < scene.x[at] + scene.w[at] &&
      y >= scene.y[at] && y < scene.y[at] + scene.h[at];
    let at = 0;
    if (!inside(at)) return -1;
    while (this.open(at)) {
      const inner = scene.kids[at].find(inside);
      if (inner === undefined) break;
      at = inner;
    }
    return at;
  }
}
