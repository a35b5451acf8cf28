// How things are said and drawn: states by shape, colour and word; times, numbers and rates.

import { h, s } from "./dom.js";

export const STATES = {
  healthy: "Healthy",
  unknown: "Unchecked",
  unhealthy: "Unhealthy",
  expired: "Expired",
  guarded: "Guarded",
  drained: "Drained",
};

const MEANING = {
  healthy: "It passes its checks, and is handed out.",
  unknown: "Nothing checks it; it is handed out.",
  unhealthy: "It fails its checks, and is not handed out.",
  expired: "It did not renew its lease, and is not handed out.",
  guarded: "It is not well, and is handed out because nobody else is (fail-open).",
  drained: "It is kept, and not handed out, until the drain ends.",
};

/** Return the outline of a state, around (0, 0), about as large as a circle of radius r. */
export function shape(state, r) {
  switch (state) {
    case "unhealthy": return s("path", { d: `M0 ${-1.15 * r}L${1.15 * r} ${0.9 * r}H${-1.15 * r}Z` });
    case "expired": return s("path", { d: `M0 ${-1.2 * r}L${1.2 * r} 0L0 ${1.2 * r}L${-1.2 * r} 0Z` });
    case "guarded": return s("path", { d: `M0 ${-1.15 * r}L${r} ${-0.7 * r}V${0.1 * r}Q${r} ${0.9 * r} 0 ${1.25 * r}Q${-r} ${0.9 * r} ${-r} ${0.1 * r}V${-0.7 * r}Z` });
    case "drained": return s("circle", { r: 0.8 * r, class: "hollow" });
    case "unknown": return s("rect", { x: -0.85 * r, y: -0.85 * r, width: 1.7 * r, height: 1.7 * r, rx: 0.3 * r });
    default: return s("circle", { r });
  }
}

/** Return a small picture of a state. */
export function icon(state) {
  return s("svg", { class: `icon ${state}`, viewBox: "-8 -8 16 16", width: 14, height: 14, "aria-hidden": "true" }, shape(state, 6));
}

/** Return a state as picture and word. */
export function badge(state, word) {
  return h("span", { class: `badge ${state}`, title: MEANING[state] }, icon(state), word ?? STATES[state] ?? state);
}

/** Return the state that a service is shown as. */
export function stateOf(service) {
  if (service.guarded) return "guarded";
  if (service.severity >= 2) return "unhealthy";
  if (service.drained) return "drained";
  if (!service.total) return "unknown";
  if (!service.checked) return "unknown";
  return "healthy";
}

/** Return how a service is, in a word. */
export function wordOf(service) {
  if (service.guarded) return "Guarded";
  if (service.severity === 4) return "Down";
  if (service.severity >= 2) return "Failing";
  if (!service.total) return "Empty";
  if (service.drained) return service.drained === service.total ? "Drained" : "Draining";
  return service.checked ? "Healthy" : "Unchecked";
}

/** Return the share of well instances as a bar with its numbers. */
export function bar(service) {
  const parts = [["well", service.well], ["failing", service.unhealthy + service.expired], ["drained", service.drained]];
  const track = h("span", { class: "bar", "aria-hidden": "true" });
  for (const [name, count] of parts) {
    if (!count) continue;
    const part = h("span", { class: `part ${name}` });
    part.style.flexGrow = String(count);
    track.append(part);
  }
  return h("span", { class: "share" }, track,
    h("span", { class: "numbers" }, `${number(service.well)}`, h("span", { class: "of" }, ` / ${number(service.total)}`), h("span", { class: "sr" }, " well")));
}

export const number = (value) => value.toLocaleString("en");

export function rate(octets) {
  if (octets === null || octets === undefined) return "";
  if (octets < 1000) return `${Math.round(octets)} B/s`;
  return octets < 1e6 ? `${(octets / 1e3).toFixed(1)} kB/s` : `${(octets / 1e6).toFixed(1)} MB/s`;
}

/** Return how long ago an instant was, in words. */
export function ago(text, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

export function span(text, now = Date.now()) {
  return ago(text, now).replace(" ago", "").replace("just now", "a moment");
}

/** Return an instant that says how long ago it was, and exactly on hover; it is kept true by ``refreshTimes``. */
export function when(text, style = "ago") {
  if (!text) return h("span", { class: "muted" }, "–");
  const told = h("time", { datetime: text, title: text.replace("T", " "), "data-style": style });
  told.textContent = said(text, style, Date.now());
  return told;
}

function said(text, style, now) {
  if (style === "span") return span(text, now);
  if (style !== "clock") return ago(text, now);
  const at = new Date(text), lately = now - at.getTime() < 20 * 3600_000;
  return at.toLocaleString(undefined, lately ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

export function refreshTimes(root = document) {
  const now = Date.now();
  for (const each of root.querySelectorAll("time[data-style]")) {
    const fresh = said(each.dateTime, each.dataset.style, now);
    if (each.textContent !== fresh) each.textContent = fresh;
  }
}

export const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

/** Return a change as an entry of a list. */
export function change(entry, { withSubject = true } = {}) {
  const to = entry.instance ? instanceLink(entry.service_id, entry.instance) : entry.service_id ? serviceLink(entry.service_id) : null;
  const subject = [entry.service || "registry", entry.instance ? h("span", { class: "of" }, ` ${short(entry.instance)}`) : null];
  const kind = kindOf(entry);
  const cause = entry.cause.why ? `${entry.cause.call}: ${entry.cause.why}` : entry.cause.call;
  const who = entry.cause.by === "-" || entry.cause.by === "waypost" ? "" : ` by ${entry.cause.by}`;
  return h("li", { class: "change" }, icon(kind),
    h("div", null,
      withSubject && h("span", { class: "subject" }, to ? h("a", { href: to, title: entry.instance ?? "" }, subject) : subject, " "),
      h("span", { class: "what" }, entry.summary), " ",
      h("span", { class: "cause", title: `${cause}${who}` }, `${cause}${who}`)),
    h("div", { class: "at" }, when(entry.at), h("span", { class: "revision" }, `#${entry.revision}`)));
}

function kindOf(entry) {
  if (entry.change === "HealthChanged") return entry.health === "HEALTHY" ? "healthy" : "unhealthy";
  return { InstanceRegistered: "healthy", LeaseRenewed: "healthy", DrainEnded: "healthy", LeaseLapsed: "expired",
    DrainBegan: "drained", InstanceDeregistered: "drained", ServiceDeleted: "drained" }[entry.change] ?? "unknown";
}

/** Return an id short enough to be read: those of tasks are long, and told apart by their beginning. */
export const short = (id) => (id.length > 20 ? `${id.slice(0, 10)}…${id.slice(-4)}` : id);

export const serviceLink = (service) => `#/service/${encodeURIComponent(service)}`;
export const instanceLink = (service, instance) => `${serviceLink(service)}/${encodeURIComponent(instance)}`;
