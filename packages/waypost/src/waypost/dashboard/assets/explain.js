// Why is this answer what it is? One name, one verdict, its reasons.

import { get } from "./api.js";
import { remember } from "./app.js";
import { h, replace, section } from "./dom.js";
import { atMost, whenQuiet } from "./pager.js";
import { answerWord, reasons, reply } from "./verdict.js";
import { badge, change, short, when } from "./words.js";

const TYPES = ["", "A", "AAAA", "SRV", "CNAME", "API"];

export async function showExplain(root, { query }) {
  const names = h("datalist", { id: "names" });
  const name = h("input", { id: "name", name: "name", list: "names", autocomplete: "off", spellcheck: "false", placeholder: "worker.secure-api.local", required: true, value: query.get("name") ?? "", "aria-keyshortcuts": "/" });
  const type = h("select", { id: "type", "aria-label": "Record type" }, TYPES.map((each) => h("option", { value: each, selected: each === (query.get("type") ?? "") }, each || "its own type")));
  const told = h("div", { class: "told", "aria-live": "polite" });
  const form = h("form", { class: "tools ask", role: "search" }, h("label", { for: "name" }, "Name"), name, names, type, h("button", { type: "submit", class: "primary" }, "Explain"));
  let shown = null;

  async function load() {
    if (!name.value.trim()) return;
    remember({ name: name.value.trim(), type: type.value });
    try {
      shown = await get("explain", { name: name.value.trim(), type: type.value });
      show(shown);
    } catch (refusal) {
      shown = null;
      replace(told, h("p", { class: "problem", role: "alert" }, refusal.message));
    }
  }

  function show(explanation) {
    const [state, word] = answerWord(explanation);
    const service = explanation.recent.find((entry) => entry.service)?.service;
    replace(told,
      h("div", { class: "columns" },
        h("div", { class: "wide" },
          section("Verdict", { id: "verdict" }, h("p", { class: "reply" }, badge(state, word), h("code", null, ` ${explanation.name} ${explanation.type}`), explanation.ttl_s === null ? "" : h("span", { class: "muted" }, ` may be kept for ${explanation.ttl_s} s`)), reasons(explanation)),
          section("Instances", { id: "instances" }, explanation.instances.length ? table(explanation) : h("p", { class: "muted" }, "There are none."))),
        h("div", { class: "side" },
          explanation.type === "API" ? null : section("DNS now", { id: "dns" }, reply(explanation.dns, explanation)),
          section("What changed", { id: "recent" }, explanation.recent.length
            ? h("ol", { class: "feed" }, explanation.recent.map((entry) => change({ ...entry, service_id: null, service }, { withSubject: Boolean(entry.instance) })))
            : h("p", { class: "muted" }, "Nothing that is kept.")))));
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); load(); });
  type.addEventListener("change", load);
  name.addEventListener("input", whenQuiet(async () => {
    const fresh = await get("names", { begin: name.value.trim() });
    replace(names, fresh.items.map((each) => h("option", { value: each })));
  }));
  replace(root, h("h1", { tabindex: "-1" }, "Why is this answer what it is?"), form, told);
  await load();
  const again = atMost(load, 1000);
  return {
    title: "Explain",
    revision: null,
    changes(data) { if (shown && data.items.some((entry) => shown.name.endsWith(`${entry.service}.${entry.namespace}`.toLowerCase()))) again(); },
    reset: again,
  };
}

function table(explanation) {
  const more = explanation.instances_total - explanation.instances.length;
  return [h("div", { class: "scroll" }, h("table", null,
    h("caption", { class: "sr" }, "Instances, those that are left out first"),
    h("thead", null, h("tr", null, ["Instance", "State", "Handed out", "Why"].map((word) => h("th", { scope: "col" }, word)))),
    h("tbody", null, explanation.instances.map((each) => h("tr", { class: each.state },
      h("th", { scope: "row" }, h("span", { title: each.id }, short(each.id)), h("span", { class: "in" }, each.address ? `${each.address}${each.port ? `:${each.port}` : ""}` : "")),
      h("td", null, badge(each.state)),
      h("td", null, each.in_answer ? "yes" : "no"),
      h("td", null, each.reason, each.since ? h("span", { class: "in" }, when(each.since)) : null)))))),
  more > 0 ? h("p", { class: "muted" }, `and ${more} more`) : null];
}
