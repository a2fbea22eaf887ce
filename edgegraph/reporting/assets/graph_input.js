// Mouse and keys of the graph.
const KEYS = [
  ["arrow keys", "to the box beside, above or below in the same group"],
  ["Enter", "into the box, or to fit it"], ["Escape", "out to what is around it"],
  ["i, o", "to an input, to an output; again for the next"],
  ["+, −", "nearer, farther"], ["Shift and arrow keys", "move the view"], ["0", "the whole graph"],
];

Object.assign(Graph.prototype, {
  listen() {
    const { canvas } = this;
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = { x: event.offsetX, y: event.offsetY, moved: false };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (held && event.buttons) {
        const [dx, dy] = [held.x - event.offsetX, held.y - event.offsetY];
        if (!held.moved && Math.hypot(dx, dy) < 4) return;
        held = { x: event.offsetX, y: event.offsetY, moved: true };
        this.pan(dx, dy);
        return;
      }
      this.hover(this.hit(event.offsetX, event.offsetY));
    });
    canvas.addEventListener("pointerup", (event) => {
      if (held && !held.moved) {
        const at = this.hit(event.offsetX, event.offsetY);
        this.report.select(at > 0 ? at : -1, "graph");
      }
      held = null;
    });
    canvas.addEventListener("pointerleave", () => this.hover(-1));
    canvas.addEventListener("dblclick", (event) => {
      const at = this.hit(event.offsetX, event.offsetY);
      if (at >= 0) this.look_at(at);
    });
    canvas.addEventListener("wheel", (event) => {
      // The page goes on scrolling over the graph until one works in it.
      if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const lines = event.deltaMode ? 30 : 1;
      this.zoom_by(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => { if (this.key(event)) event.preventDefault(); });
    new ResizeObserver(() => {
      const fresh = !this.width;
      this.resize();
      if (fresh) this.look_at(0, false);
    }).observe(canvas);
  },

  hover(at) {
    if (at === this.hovered) return;
    this.hovered = at;
    this.canvas.style.cursor = at > 0 ? "pointer" : "grab";
    this.report.hover(at);
    this.redraw();
  },

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) {
      if (event.shiftKey) this.pan(80 * arrow[0], 80 * arrow[1]);
      else this.step(arrow);
      return true;
    }
    const act = {
      "+": () => this.zoom_by(1.35), "=": () => this.zoom_by(1.35), "-": () => this.zoom_by(1 / 1.35),
      0: () => this.look_at(0), Enter: () => this.enter(), Escape: () => this.leave(),
      i: () => this.walk("i"), o: () => this.walk("o"),
    }[event.key];
    if (act) act();
    return Boolean(act);
  },

  choose(at) { if (at > 0) this.report.select(at, "keys"); },

  // The nearest sibling in a direction; what lies straight ahead counts more than what is aside.
  step([dx, dy]) {
    const { scene, selected } = this;
    if (selected <= 0) {
      this.choose(scene.kids[this.current()][0] ?? -1);
      return;
    }
    const middle = (at) => [scene.x[at] + scene.w[at] / 2, scene.y[at] + scene.h[at] / 2];
    const [x, y] = middle(selected);
    let best = [Infinity, -1];
    for (const at of scene.kids[scene.boxes.parent[selected]]) {
      const [ox, oy] = middle(at);
      const ahead = dx * (ox - x) + dy * (oy - y);
      const aside = Math.abs(dx * (oy - y)) + Math.abs(dy * (ox - x));
      if (at !== selected && ahead > 1e-9 * scene.outside[at] && (dy || aside <= 4 * ahead)) {
        const far = ahead + 2 * aside;
        if (far < best[0]) best = [far, at];
      }
    }
    this.choose(best[1]);
  },

  enter() {
    const { scene, selected } = this;
    if (selected > 0 && !scene.kids[selected].length) {
      this.look_at(selected);
      return;
    }
    const group = selected > 0 ? selected : 0;
    this.look_at(group, false);
    this.choose(scene.kids[group][0]);
  },

  leave() {
    const { scene } = this;
    const around = this.selected > 0 ? scene.boxes.parent[this.selected] : scene.boxes.parent[this.current()];
    if (around > 0) this.choose(around);
    else this.report.select(-1, "keys");
    this.look_at(around > 0 ? scene.boxes.parent[around] : 0);
  },

  // Again and again from where one began, so that all inputs can be reached.
  walk(key) {
    const { scene } = this;
    const again = this.walked && this.walked.key === key && this.walked.last === this.selected;
    const from = again ? this.walked.from : this.selected;
    const op = from > 0 ? scene.boxes.op[from] : -1;
    if (op < 0) return;
    const ways = key === "i" ? inputs_of(scene, op) : scene.users[op];
    if (!ways.length) {
      this.report.say(key === "i" ? "no inputs" : "no outputs");
      return;
    }
    const number = again ? (this.walked.number + 1) % ways.length : 0;
    const last = scene.box_of_op[ways[number]];
    this.walked = { key, from, number, last };
    this.choose(last);
  },
});

function inputs_of(scene, op) {
  const read = [...new Set(scene.ops.absolute[op])];
  return scene.ops.outer[op] >= 0 ? [...read, scene.ops.outer[op]] : read;
}
