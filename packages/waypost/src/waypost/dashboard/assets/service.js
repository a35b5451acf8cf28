// One service: its instances as a grid, what is answered for it now and why, and the same for other programs.

import { actionButtons } from "./actions.js";
import { get } from "./api.js";
import { remember } from "./app.js";
import { questions } from "./ask.js";
import { copyButton, h, replace, section } from "./dom.js";
import { Pager, atMost, whenQuiet } from "./pager.js";
import { answerWord, reasons, reply } from "./verdict.js";
import { badge, bar, change, icon, instanceLink, short, stateOf, when, wordOf, STATES } from "./words.js";

const PAGE = 60;
const FEED = 20;

export async function showService(root, { arguments: [id], query }) {
  let wanted = query.get("filter") ?? "";
  const path = `services/${encodeURIComponent(id)}`;
  const pager = new Pager(PAGE, "instances", () => load());
  const ask = () => get(`${path}/instances`, { filter: wanted, offset: pager.offset, limit: PAGE });
  let [told, listed, changes] = await Promise.all([
    get(path), ask(), get("changes", { service: id, limit: FEED }).catch(() => ({ items: [], next: null })),
  ]);
  let service = told.service;
  let tiles = new Map();

  const head = h("div", { class: "subject-head" });
  const grid = h("ul", { class: "grid" });
  const why = h("div"), answer = h("div"), discovered = h("div"), ends = h("div");
  const feed = h("ol", { class: "feed" }, changes.items.map((entry) => change(entry)));

  const search = h("input", { type: "search", id: "filter", placeholder: "Filter by instance id", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", value: wanted });
  search.addEventListener("input", whenQuiet(() => { wanted = search.value; pager.offset = 0; remember({ filter: wanted }); load(); }));

  function showHead() {
    replace(head, badge(stateOf(service), wordOf(service)), bar(service),
      service.severity >= 2 && service.since ? h("span", { class: "muted" }, "since ", when(service.since, "clock"), ", for ", when(service.since, "span")) : null,
      h("span", { class: "muted" }, [service.records.join(", ") || "API alone", told.details.routing, `check: ${told.details.check}`].filter(Boolean).join(" · ")));
  }

  function showAnswers() {
    const [state, word] = answerWord(told.explanation);
    replace(why, badge(state, word), h("span", { class: "muted" }, ` ${told.explanation.type}`), reasons(told.explanation));
    replace(answer, reply(told.dns, told.explanation));
    const text = JSON.stringify(told.discovered, null, 2);
    replace(discovered, copyButton(text, "the answer of DiscoverInstances"), h("pre", { class: "tall", tabindex: "0", role: "region", "aria-label": "Answer of DiscoverInstances" }, text));
    const waiting = told.tasks.filter((task) => !["running"].includes(task.state));
    replace(ends, waiting.length ? [h("h3", null, "Tasks on their way"), h("ul", { class: "plain" }, waiting.map((task) => h("li", null,
      h("code", null, task.address), ` ${task.state}`, task.why ? h("span", { class: "muted" }, ` ${task.why}`) : null)))] : null);
  }

  function showTiles(fresh) {
    tiles = new Map(fresh.items.map((each) => [each.id, tile(id, each)]));
    replace(grid, tiles.size ? [...tiles.values()] : h("li", { class: "none" }, wanted ? "No instance has such an id." : "Nothing is registered in this service."));
    pager.show(fresh.total, fresh.items.length);
  }

  let newest = changes.items[0]?.revision ?? 0;
  let order = 0;
  async function load() {
    const mine = ++order;
    const fresh = await ask();
    if (mine === order) showTiles(fresh);
  }
  const reload = atMost(load, 500);
  const again = atMost(async () => { told = await get(path); service = told.service; showHead(); showAnswers(); }, 1000);

  replace(root,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Services"), " / ", h("a", { href: `#/?namespace=${service.namespace_id}` }, service.namespace)),
    h("h1", { tabindex: "-1" }, service.name), head,
    actionButtons(told.tasks.length ? ["scale", "restart"] : [], { service, may_change: told.may_change }, again),
    h("div", { class: "columns" },
      h("div", { class: "wide" },
        section("Instances", { id: "instances" },
          h("div", { class: "tools", role: "search" }, h("label", { class: "sr", for: "filter" }, "Filter instances by id"), search, h("kbd", { title: "jumps to the filter" }, "/")),
          legend(), grid, pager.element, ends),
        section("History", { id: "history" }, feed, changes.next ? h("p", { class: "onward" }, h("a", { href: `#/history?service=${encodeURIComponent(id)}` }, "All of its history")) : null)),
      h("div", { class: "side" },
        section("Why this answer", { id: "why" }, why, h("p", { class: "onward" }, h("a", { href: `#/explain?name=${encodeURIComponent(told.explanation.name)}` }, "Explain another type"))),
        section("DNS now", { id: "dns" }, answer),
        section("Ask it yourself", { id: "ask" }, questions(told.ask)),
        section("Cloud Map now", { id: "discovered" }, discovered))));
  showHead();
  showAnswers();
  showTiles(listed);

  return {
    title: `${service.name}.${service.namespace}`,
    revision: Math.min(told.revision, listed.revision),
    reset() { reload(); again(); },
    changes(data) {
      if (data.gone.includes(id)) { replace(head, badge("drained", "Deleted")); return; }
      const mine = data.items.filter((entry) => entry.service_id === id);
      const fresh = data.services.find((each) => each.id === id);
      if (!fresh && !mine.length) return;
      if (fresh) { service = fresh; showHead(); }
      let moved = data.more > 0;
      for (const entry of mine) {
        if (entry.revision > newest) { feed.prepend(change(entry)); newest = entry.revision; }
        const present = tiles.get(entry.instance);
        if (entry.row && present) {
          const held = present.contains(document.activeElement);
          const next = tile(id, { ...entry.row, registered: entry.change === "InstanceRegistered" ? entry.at : present.dataset.registered || null }, true);
          present.replaceWith(next);
          tiles.set(entry.instance, next);
          if (held) next.querySelector("a").focus();
        } else if (entry.instance && !entry.row && present) {
          present.classList.add("leaving");
          moved = true;
        } else if (entry.instance) {
          moved = true;
        }
      }
      while (feed.children.length > FEED) feed.lastChild.remove();
      if (moved) reload();
      again();
    },
  };
}

function legend() {
  return h("p", { class: "legend", "aria-hidden": "true" }, Object.entries(STATES).map(([state, word]) => h("span", { class: state }, icon(state), word)));
}

function tile(service, row, fresh = false) {
  const last = row.last;
  return h("li", { class: `tile ${row.state}${fresh ? " fresh" : ""}`, "data-id": row.id, "data-state": row.state, "data-registered": row.registered ?? "" },
    h("div", { class: "tile-head" }, badge(row.state), h("span", { class: "weight", title: "weight" }, `w ${row.weight}`)),
    h("a", { href: instanceLink(service, row.id), title: row.id }, short(row.id)),
    h("code", null, row.address ? `${row.address}${row.port ? `:${row.port}` : ""}` : "no address"),
    h("p", { class: "age" }, row.registered ? ["up ", when(row.registered, "span")] : "",
      last ? h("span", { class: "reason", title: last.cause }, ` · ${last.cause}`) : null));
}
