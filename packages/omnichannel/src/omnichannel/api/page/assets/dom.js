// Elements from values. Text goes in as text: nothing here reads markup.

export const byId = (id) => document.getElementById(id);

const SVG = new Set(["svg", "rect", "title"]);

/** Make an element: `on` holds its listeners, every other attribute is set as it is; false and null leave it out. */
export function el(name, attributes = {}, ...children) {
  const made = SVG.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Bring a list to its items: what stays keeps its element, so that focus and open details survive news. */
export function keyed(list, items, keyOf, draw) {
  const kept = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const item of items) {
    const key = keyOf(item);
    const told = JSON.stringify(item);
    let child = kept.get(key);
    kept.delete(key);
    if (!child) child = el("li", { "data-key": key });
    if (child.told !== told) {
      keepingFocus(child, () => draw(child, item));
      child.told = told;
    }
    const next = place ? place.nextSibling : list.firstChild;
    if (next !== child) list.insertBefore(child, next);
    place = child;
  }
  for (const gone of kept.values()) gone.remove();
}

/** Redraw an element without taking the focus away from what stands at the same place afterwards. */
function keepingFocus(element, redraw) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const label = focused?.getAttribute("aria-label");
  redraw();
  if (!focused || element.contains(document.activeElement)) return;
  const named = label && element.querySelector(`[aria-label="${CSS.escape(label)}"]`);
  (focused.isConnected ? focused : named || element.querySelector("a, button, summary"))?.focus();
}

/** Ask before something that cannot be taken back. */
export function sure(title, text, yes) {
  const dialog = byId("sure-dialog");
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = text;
  byId("sure-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  byId("sure-no").focus();
  return new Promise((decide) => {
    dialog.addEventListener("close", () => decide(dialog.returnValue === "yes"), { once: true });
  });
}

/** Run what a button does, once at a time, and say in `news` what went wrong. */
export function pressed(button, news, act) {
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await act();
    } catch (error) {
      news.textContent = error.message;
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return button;
}
