// Pages of a long list: only one page is in the document, and the registry cuts it.

import { h, replace } from "./dom.js";
import { number } from "./words.js";

export class Pager {
  constructor(size, what, turn) {
    this.size = size;
    this.what = what;
    this.offset = 0;
    this.total = 0;
    const button = (name, by) => h("button", { type: "button", onclick: () => { this.offset = Math.max(0, this.offset + by * size); turn(); } }, name);
    this.back = button("Previous", -1);
    this.on = button("Next", +1);
    this.word = h("span", { role: "status" });
    this.element = h("nav", { class: "pager", "aria-label": `Pages of ${what}` }, this.back, this.word, this.on);
  }

  show(total, shown) {
    this.total = total;
    const last = this.offset + shown;
    replace(this.word, total ? `${number(this.offset + 1)}–${number(last)} of ${number(total)} ${this.what}` : `no ${this.what}`);
    this.back.disabled = this.offset === 0;
    this.on.disabled = last >= total;
    this.back.hidden = this.on.hidden = total <= this.size && this.offset === 0;
  }
}

/** Return a function that calls ``work`` once things have been quiet for a while. */
export function whenQuiet(work, ms = 150) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(work, ms); };
}

/** Return a function that calls ``work`` at most so often, and never twice at once; the last call is not lost. */
export function atMost(work, ms = 500) {
  let busy = false, wanted = false;
  const go = async () => {
    if (busy) { wanted = true; return; }
    busy = true;
    try { await work(); } catch (problem) { console.warn(problem); }
    setTimeout(() => { busy = false; if (wanted) { wanted = false; go(); } }, ms);
  };
  return go;
}
