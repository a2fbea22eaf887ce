// Numbers as the rest of the page writes them; unknown is "?", never 0.
const known = (value) => value !== null && value !== undefined && !Number.isNaN(value);

function digits(value) {
  if (value === 0) return "0";
  if (Math.abs(value) >= 99.95) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
}

function si(value, unit = "") {
  if (!known(value)) return "?";
  for (const [scale, prefix] of [[1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= 0.9995 * scale) return `${digits(value / scale)} ${prefix}${unit}`;
  }
  return `${digits(value)} ${unit}`.trimEnd();
}

function seconds(value) {
  if (!known(value)) return "?";
  for (const [scale, unit] of [[1, "s"], [1e-3, "ms"], [1e-6, "µs"]]) {
    if (Math.abs(value) >= 0.9995 * scale) return `${digits(value / scale)} ${unit}`;
  }
  return value === 0 ? "0 s" : `${digits(value / 1e-9)} ns`;
}

function percent(value) {
  if (!known(value)) return "?";
  if (value === 0 || value >= 0.0095) return `${Math.round(100 * value)} %`;
  return value < 0.0005 ? "<0.1 %" : `${(100 * value).toFixed(1)} %`;
}

const ratio = (value) => (known(value) ? digits(value) : "?");

// All text of the page comes through here, so that markup in a name stays text.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
