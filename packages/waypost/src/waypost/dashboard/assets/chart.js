// A small live chart: a line over the last minutes, its newest value in words beside it.

import { h, replace, s } from "./dom.js";
import { number } from "./words.js";

const WIDTH = 240;
const HEIGHT = 44;
const SAMPLES = 180;

export class Chart {
  constructor(title, unit) {
    this.values = [];
    this.unit = unit;
    this.value = h("span", { class: "value" }, "–");
    this.peak = h("span", { class: "peak" });
    this.area = s("path", { class: "area" });
    this.line = s("path", { class: "line" });
    const drawing = s("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.line);
    this.element = h("figure", { class: "rate" },
      h("figcaption", null, h("span", { class: "name" }, title), this.peak), h("p", { class: "now" }, this.value, h("span", { class: "unit" }, unit)), drawing);
  }

  fill(values) {
    this.values = values.slice(-SAMPLES);
    this.draw();
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > SAMPLES) this.values.shift();
    this.draw();
  }

  draw() {
    const known = this.values.filter((value) => value !== null);
    const newest = this.values.at(-1);
    replace(this.value, newest === null || newest === undefined ? "–" : number(newest));
    const peak = Math.max(0, ...known);
    this.peak.textContent = known.length ? `peak ${number(peak)} in 3 min` : "no nameserver counts here";
    const most = Math.max(1, peak) * 1.1;
    const step = WIDTH / (SAMPLES - 1);
    const from = WIDTH - (this.values.length - 1) * step;
    const points = this.values.map((value, index) => `${(from + index * step).toFixed(1)},${(HEIGHT - 1 - ((value ?? 0) / most) * (HEIGHT - 3)).toFixed(1)}`);
    const path = points.length ? `M${points.join("L")}` : "";
    this.line.setAttribute("d", path);
    this.area.setAttribute("d", path ? `${path}L${WIDTH},${HEIGHT}L${from.toFixed(1)},${HEIGHT}Z` : "");
  }
}
