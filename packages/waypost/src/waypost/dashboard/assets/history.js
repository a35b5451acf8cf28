// What changed, when, who or what caused it, and why: newest first, and live.

import { get } from "./api.js";
import { remember } from "./app.js";
import { h, replace, section } from "./dom.js";
import { change } from "./words.js";

const PAGE = 60;
const MOST = 300;

export async function showHistory(root, { query }) {
  const service = query.get("service") ?? "";
  let wanted = query.get("filter") ?? "";
  const told = await get("changes", { service, limit: PAGE });
  let entries = told.items;
  let next = told.next;
  const feed = h("ol", { class: "feed timeline" });
  const more = h("button", { type: "button", onclick: older }, "Older");
  const count = h("span", { class: "muted", role: "status" });
  const search = h("input", { type: "search", id: "filter", placeholder: "Filter what is shown", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", value: wanted });
  search.addEventListener("input", () => { wanted = search.value; remember({ service, filter: wanted }); show(); });

  function fits(entry) {
    const text = wanted.trim().toLowerCase();
    return !text || [entry.namespace, entry.service, entry.instance, entry.change, entry.summary, entry.cause.call, entry.cause.why, entry.cause.by].some((part) => part && part.toLowerCase().includes(text));
  }

  function show() {
    const shown = entries.filter(fits);
    replace(feed, shown.length ? shown.map((entry) => change(entry)) : h("li", { class: "none" }, entries.length ? "Nothing of what is shown fits." : "Nothing has happened yet."));
    more.hidden = next === null || entries.length >= MOST;
    count.textContent = `${shown.length} changes${entries.length >= MOST ? ", as many as one page holds" : ""}`;
  }

  async function older() {
    const fresh = await get("changes", { service, limit: PAGE, before: next });
    entries = [...entries, ...fresh.items].slice(0, MOST);
    next = fresh.next;
    show();
  }

  replace(root, h("h1", { tabindex: "-1" }, "History"),
    section(service ? "Changes of one service" : "Changes", { id: "changes" },
      h("div", { class: "tools", role: "search" }, h("label", { class: "sr", for: "filter" }, "Filter the changes that are shown"), search, h("kbd", { title: "jumps to the filter" }, "/"), count,
        service ? h("a", { href: "#/history" }, "Of all services") : null),
      feed, h("p", null, more)));
  show();
  return {
    title: "History",
    revision: told.items[0]?.revision ?? 0,
    async reset() { const fresh = await get("changes", { service, limit: PAGE }); entries = fresh.items; next = fresh.next; show(); },
    changes(data) {
      const mine = data.items.filter((entry) => (!service || entry.service_id === service) && entry.revision > (entries[0]?.revision ?? 0));
      if (!mine.length || window.getSelection()?.toString()) return;
      entries = [...mine.reverse(), ...entries].slice(0, MOST);
      show();
    },
  };
}
