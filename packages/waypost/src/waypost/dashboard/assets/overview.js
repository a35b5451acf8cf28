// The first screen: is anything wrong, and since when; then every service, failing ones first.

import { get } from "./api.js";
import { remember } from "./app.js";
import { Chart } from "./chart.js";
import { h, replace, section } from "./dom.js";
import { Pager, atMost, whenQuiet } from "./pager.js";
import { badge, bar, change, icon, number, plural, serviceLink, stateOf, when, wordOf } from "./words.js";

const PAGE = 50;
const FEED = 14;

export async function showOverview(root, { query }) {
  const filter = { text: query.get("filter") ?? "", namespace: query.get("namespace") ?? "" };
  const pager = new Pager(PAGE, "services", () => load());
  const ask = () => get("services", { filter: filter.text, namespace: filter.namespace, offset: pager.offset, limit: PAGE });
  const [overview, listed, changes] = await Promise.all([
    get("overview"), ask(), get("changes", { limit: FEED }).catch(() => ({ items: [] })),
  ]);

  const verdict = h("div", { class: "verdict" });
  const facts = h("dl", { class: "facts" });
  const charts = [new Chart("DNS queries", "/s"), new Chart("Registrations", "/s"), new Chart("Changes", "/s")];
  charts.forEach((chart, index) => chart.fill(overview.samples.map((sample) => sample[index])));
  const feed = h("ol", { class: "feed" });
  const body = h("tbody");
  let rows = new Map();

  const search = h("input", { type: "search", id: "filter", placeholder: "Filter by name", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false", value: filter.text });
  search.addEventListener("input", whenQuiet(() => { filter.text = search.value; noted(); }));
  const select = h("select", { id: "namespace", "aria-label": "Namespace" },
    h("option", { value: "" }, "All namespaces"),
    overview.namespaces.map((each) => h("option", { value: each.id, selected: each.id === filter.namespace }, `${each.name} (${number(each.services)})`)));
  select.addEventListener("change", () => { filter.namespace = select.value; noted(); });

  function noted() {
    pager.offset = 0;
    remember({ filter: filter.text, namespace: filter.namespace });
    load();
  }

  let order = 0;
  async function load() {
    const mine = ++order;
    const fresh = await ask();
    if (mine === order) showRows(fresh);
  }
  const reload = atMost(load, 1000);

  function showRows(fresh) {
    rows = new Map(fresh.items.map((each) => [each.id, row(each)]));
    replace(body, rows.size ? [...rows.values()] : h("tr", null, h("td", { colspan: 4, class: "none" }, nothing())));
    pager.show(fresh.total, fresh.items.length);
  }

  function nothing() {
    if (filter.text || filter.namespace) return "No service has such a name.";
    return ["Nothing is registered yet. ", h("code", null, "waypost register --help"), " says how to begin."];
  }

  function showTotals(totals) {
    const wrong = totals.failing_services;
    const node = warnings(totals.node);
    const state = totals.dark_services ? "unhealthy" : totals.guarded_services ? "guarded" : wrong || node.length ? "unhealthy" : totals.drained ? "drained" : "healthy";
    const words = wrong
      ? [`${plural(wrong, "service")} ${wrong === 1 ? "is" : "are"} failing`, totals.since ? [" since ", when(totals.since, "clock"), h("span", { class: "long" }, " for ", when(totals.since, "span"))] : ""]
      : node.length ? "The registry needs a look" : totals.instances ? "All is well" : "Nothing is registered";
    const more = [
      totals.dark_services && `${plural(totals.dark_services, "service")} ${totals.dark_services === 1 ? "has" : "have"} nobody to hand out`,
      totals.guarded_services && `${plural(totals.guarded_services, "service")} ${totals.guarded_services === 1 ? "lives" : "live"} on failing instances (fail-open)`,
      ...node,
    ].filter(Boolean);
    const key = JSON.stringify([wrong, node, totals.since, totals.instances, more, state]);
    if (verdict.dataset.key !== key) {
      verdict.dataset.key = key;
      verdict.className = `verdict ${state}`;
      replace(verdict, icon(state), h("div", null, h("p", { class: "headline", role: "status" }, words), more.length ? h("p", { class: "more" }, more.join(" · ")) : null));
    }
    const told = [["Namespaces", totals.namespaces], ["Services", totals.services], ["Instances", totals.instances],
      ["Failing", totals.unhealthy + totals.expired], ["Drained", totals.drained]];
    replace(facts, told.map(([name, value]) => h("div", { class: name === "Failing" && value ? "bad" : "" }, h("dt", null, name), h("dd", null, number(value)))));
  }

  let newest = changes.items[0]?.revision ?? 0;
  function unseen(items) {
    const fresh = items.filter((entry) => entry.revision > newest);
    newest = Math.max(newest, ...fresh.map((entry) => entry.revision));
    return fresh;
  }

  replace(root,
    h("h1", { class: "sr", tabindex: "-1" }, "Overview"),
    h("div", { class: "lead" }, verdict, facts),
    h("div", { class: "rates", role: "group", "aria-label": "Rates" }, charts.map((chart) => chart.element)),
    h("div", { class: "columns" },
      section("Services", { id: "services", class: "wide" },
        h("div", { class: "tools", role: "search" }, h("label", { class: "sr", for: "filter" }, "Filter services by name"), search, select, h("kbd", { title: "jumps to the filter" }, "/")),
        h("div", { class: "scroll" }, h("table", { class: "services" },
          h("caption", { class: "sr" }, "Services, failing ones first"),
          h("thead", null, h("tr", null, h("th", { scope: "col" }, "Service"), h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "Well"), h("th", { scope: "col", class: "since" }, "Wrong since"))),
          body)),
        pager.element),
      section("What happens", { id: "feed", class: "side" }, feed, h("p", { class: "onward" }, h("a", { href: "#/history" }, "All of the history")))));
  showTotals(overview.totals);
  showRows(listed);
  replace(feed, changes.items.map((entry) => change(entry)));

  return {
    title: "Overview",
    revision: overview.revision,
    pulse(sample) { [sample.queries, sample.registrations, sample.changes].forEach((value, index) => charts[index].add(value)); },
    async reset() {
      reload();
      const [fresh, past] = await Promise.all([get("overview"), get("changes", { limit: FEED })]);
      showTotals(fresh.totals);
      newest = past.items[0]?.revision ?? newest;
      replace(feed, past.items.map((entry) => change(entry)));
    },
    changes(data) {
      showTotals(data.totals);
      for (const entry of unseen(data.items).slice(-FEED)) feed.prepend(change(entry));
      while (feed.children.length > FEED) feed.lastChild.remove();
      let moved = data.gone.length > 0 || data.others > 0 || data.items.some((entry) => entry.change.startsWith("Service"));
      for (const service of data.services) {
        const present = rows.get(service.id);
        if (!present || Number(present.dataset.severity) !== service.severity) moved = true;
        if (!present) continue;
        const fresh = row(service);
        if (present.contains(document.activeElement)) {
          [...fresh.cells].slice(1).forEach((cell, index) => present.cells[index + 1].replaceWith(cell));  // the focus stays
          present.dataset.severity = service.severity;
          continue;
        }
        present.replaceWith(fresh);
        rows.set(service.id, fresh);
      }
      if (moved) reload();
    },
  };
}

function row(service) {
  const state = stateOf(service);
  return h("tr", { class: state, "data-id": service.id, "data-severity": service.severity },
    h("th", { scope: "row" }, h("a", { href: serviceLink(service.id) }, service.name), h("span", { class: "in" }, service.namespace)),
    h("td", null, badge(state, wordOf(service))),
    h("td", null, bar(service)),
    h("td", { class: "since" }, service.severity >= 2 ? when(service.since) : ""));
}

function warnings(node) {
  return [
    node.database_away && "its database is away: reads and DNS go on, writes do not",
    node.prober_doubts && "the prober takes a mass failure for its own, and changes nothing",
    node.leases_doubted && "over half of all leases lapsed at once: nothing is removed",
    node.nameserver_lag === null ? null : node.nameserver_lag > 100 && `the nameserver is ${number(node.nameserver_lag)} revisions behind`,
  ].filter(Boolean);
}
