// One instance: how it stands and why, its timeline, what its check found, and the end of its log.

import { actionButtons } from "./actions.js";
import { get } from "./api.js";
import { h, replace, section } from "./dom.js";
import { atMost } from "./pager.js";
import { badge, change, serviceLink, when } from "./words.js";

export async function showInstance(root, { arguments: [service, id] }) {
  const path = `services/${encodeURIComponent(service)}/instances/${encodeURIComponent(id)}`;
  let told = await get(path);
  const body = h("div");

  function show() {
    const { instance, standing, task } = told;
    const actions = instance ? [instance.drain ? "undrain" : "drain", "deregister", ...(task ? ["restart"] : [])] : [];
    const facts = instance ? [
      ["Address", instance.address ? `${instance.address}${instance.port ? `:${instance.port}` : ""}` : "none"],
      ["Weight", instance.weight],
      ["Registered", when(instance.registered)],
      ["Looked after by", task ? `this platform, pid ${task.pid ?? "–"}, ${task.restarts} restarts` : instance.supervised ? "a supervisor" : instance.lease_s ? `itself, every ${instance.lease_s} s` : "nobody"],
      instance.drain && ["Drained", [instance.drain.reason || "no reason given", instance.drain.until ? [", until ", when(instance.drain.until)] : ""]],
    ].filter(Boolean) : [];
    const attributes = Object.entries(told.attributes);
    replace(body,
      h("div", { class: "subject-head" }, instance ? badge(instance.state) : badge("drained", "Gone"), standing ? h("span", null, standing.reason, standing.since ? [" Since ", when(standing.since, "span"), "."] : "") : h("span", null, "It is not registered any more.")),
      actionButtons(actions, { service: told.service, instance, may_change: told.may_change }, again),
      h("div", { class: "columns" },
        h("div", { class: "wide" },
          section("Timeline", { id: "timeline" }, told.history_away ? h("p", { class: "problem" }, "The history cannot be read now: the database is away.") : null,
            h("ol", { class: "feed timeline" }, told.timeline.map((entry) => change(entry, { withSubject: false })))),
          told.log ? section("Log", { id: "log" }, h("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "The end of its log" }, told.log.join("\n") || "it has printed nothing")) : null),
        h("div", { class: "side" },
          section("Facts", { id: "facts" }, h("dl", { class: "pairs" }, facts.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]))),
          section("Check", { id: "check" }, told.check
            ? [h("p", { class: "muted" }, `${told.check.by}, `, when(told.check.at)), h("pre", { tabindex: "0", role: "region", "aria-label": "Output of the check" }, told.check.output || "it said nothing")]
            : h("p", { class: "muted" }, "No check has changed its health since it was registered.")),
          section("Attributes", { id: "attributes" }, h("dl", { class: "pairs" }, attributes.map(([name, value]) => [h("dt", null, h("code", null, name)), h("dd", null, value)]))))));
    const log = body.querySelector(".log");
    if (log) requestAnimationFrame(() => (log.scrollTop = log.scrollHeight));
  }

  const again = atMost(async () => {
    const held = document.activeElement?.closest("dialog") || window.getSelection()?.toString();
    if (held) return;  // nothing moves under a selection
    told = await get(path);
    show();
  }, 500);

  replace(root,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Services"), " / ", h("a", { href: `#/?namespace=${told.service.namespace_id}` }, told.service.namespace), " / ", h("a", { href: serviceLink(service) }, told.service.name)),
    h("h1", { tabindex: "-1", class: "id" }, id), body);
  show();
  return {
    title: `${id} of ${told.service.name}`,
    revision: told.revision,
    reset: again,
    changes(data) { if (data.items.some((entry) => entry.service_id === service && entry.instance === id) || data.more) again(); },
  };
}
