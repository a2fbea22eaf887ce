// What a box's colour says. Ramps differ in lightness, so that they hold for every eye and in
// grey; the few colours of words are Okabe and Ito's.
const RAMPS = {
  light: ["#eef3f6", "#bcd7e6", "#74aed0", "#2b7cad", "#0a4268"],
  dark: ["#232b32", "#284a60", "#2f749b", "#66acd5", "#d9effb"],
};
const SOURCE_COLOURS = {
  measured: "#009e73", "split by layers": "#56b4e9", "split by roofline": "#0072b2",
  "split by counts": "#cc79a7", estimated: "#e69f00",
};
const MODES = {
  time: { name: "time", unit: seconds, of: (scene, at) => scene.time[at] },
  flops: { name: "FLOPs", unit: (v) => si(v, "FLOP"), of: (scene, at) => scene.flops[at] },
  bytes: { name: "bytes moved", unit: (v) => si(v, "B"), of: (scene, at) => scene.bytes[at] },
  intensity: { name: "intensity", unit: (v) => `${ratio(v)} FLOP/B`, of: (scene, at) => scene.intensity(at) },
  bound: { name: "bound", words: BOUNDS, of: (scene, at) => scene.bound[at] },
  efficiency: { name: "share of its roof", unit: percent, linear: true, of: (scene, at) => scene.efficiency(at) },
  source: { name: "source of the time", words: SOURCES, of: (scene, at) => scene.source[at] },
};

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const lightness = (hex) => {
  const [r, g, b] = channels(hex);
  return 0.299 * r + 0.587 * g + 0.114 * b;
};

function mixed(ramp, share) {
  const place = Math.min(0.9999, Math.max(0, share)) * (ramp.length - 1);
  const [from, to] = [channels(ramp[Math.floor(place)]), channels(ramp[Math.floor(place) + 1])];
  const part = place % 1;
  return `#${from.map((c, n) => Math.round(c + (to[n] - c) * part).toString(16).padStart(2, "0")).join("")}`;
}

class Colours {
  constructor(scene, mode) {
    this.scene = scene;
    this.mode = MODES[mode];
    const style = getComputedStyle(document.documentElement);
    const read = (name) => style.getPropertyValue(`--${name}`).trim();
    this.paper = read("paper");
    this.ink = read("ink");
    this.muted = read("muted");
    this.neutral = read("neutral");
    this.rule = read("rule");
    this.wash = read("wash");
    this.focus = read("focus");
    this.output = read("overhead");
    this.mark = read("overhead");
    this.sans = read("sans");
    this.ramp = RAMPS[lightness(this.paper) > 128 ? "light" : "dark"];
    this.unknown = lightness(this.paper) > 128 ? "#e4e7ea" : "#2c3238";
    this.words = Object.fromEntries((this.mode.words || []).map((word) =>
      [word, BOUNDS.includes(word) ? read(word) : SOURCE_COLOURS[word]]));
    this.fills = new Array(scene.count);
    if (!this.mode.words) this.range();
  }

  // Ops decide where the ramp begins and ends; what is around them takes the last colour.
  range() {
    let [low, high] = [Infinity, 0];
    for (let at = 1; at < this.scene.count; at++) {
      const value = this.mode.of(this.scene, at);
      if (value > 0) {
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
    if (this.mode.linear) [low, high] = [0, 1];
    this.high = high;
    this.low = this.mode.linear ? low : Math.max(low, high / 1e4);
  }

  share(value) {
    if (this.mode.linear) return value;
    if (value <= this.low) return 0;
    if (this.high <= this.low) return 1;
    return Math.log(value / this.low) / Math.log(this.high / this.low);
  }

  fill(at) {
    return (this.fills[at] ??= this.colour(this.mode.of(this.scene, at)));
  }

  colour(value) {
    if (!known(value)) return this.unknown;
    return this.mode.words ? this.words[value] ?? this.unknown : mixed(this.ramp, this.share(value));
  }

  text_on(fill) { return lightness(fill) > 140 ? "#14191e" : "#ffffff"; }

  value(at) {
    const value = this.mode.of(this.scene, at);
    if (!known(value)) return this.mode.words ? "" : "?";
    if (this.mode.words) return value;
    return value === 0 ? "" : this.mode.unit(value); // what takes nothing needs no figure
  }

  legend() {
    const parts = [];
    const patch = (colour, text) => {
      const mark = element("i", { class: "patch" });
      mark.style.background = colour;
      return element("span", { class: "key" }, mark, text);
    };
    if (this.mode.words) {
      const used = new Set(this.scene.boxes.kind.map((_, at) => this.mode.of(this.scene, at)));
      for (const word of this.mode.words) if (used.has(word)) parts.push(patch(this.words[word], word));
    } else if (this.high > 0) {
      const bar = element("i", { class: "ramp" });
      bar.style.background = `linear-gradient(to right, ${this.ramp.join(",")})`;
      const least = this.mode.linear ? "" : "≤ ";
      parts.push(element("span", { class: "key" }, least + this.mode.unit(this.low), bar, this.mode.unit(this.high)));
    }
    parts.push(patch(this.unknown, this.mode.words ? "none" : "unknown"));
    return parts;
  }
}
