// What each channel would make of the message: a dry run, drawn.

import { el } from "./dom.js";
import { told } from "./time.js";
import { channel, count } from "./words.js";

const SHOWN = 8; // addresses of a channel that are named

/** Draw a dry run's answer. */
export function drawPreview(place, answer) {
  const groups = new Map();
  for (const each of answer.deliveries) groups.set(each.channel, [...(groups.get(each.channel) || []), each]);
  place.replaceChildren(...[...groups].map(([name, deliveries]) => group(name, deliveries)));
}

function group(name, deliveries) {
  const [first] = deliveries;
  const title = first.text === null || !first.text.startsWith(first.subject) ? el("strong", {}, first.subject) : null;
  return el(
    "section",
    { class: "shown", "data-channel": name },
    el("h3", {}, channel(name).name, el("span", { class: "quiet" }, count(deliveries.length, "recipient"))),
    el("div", { class: "bubble", tabindex: 0, role: "group", "aria-label": `As ${channel(name).name} shows it` }, title, first.text ?? first.body),
    el("ul", {}, [
      ...first.notes.map((note) => el("li", { class: "badge wait" }, note)),
      name === "sms" ? el("li", { class: "quiet" }, `Takes ${count(first.sms_segments, "SMS", "SMS")}.`) : null,
      ...deliveries.slice(0, SHOWN).map(address),
      deliveries.length > SHOWN ? el("li", { class: "quiet" }, `and ${count(deliveries.length - SHOWN, "other")}`) : null,
    ]),
  );
}

function address(each) {
  if (each.problem) return el("li", {}, el("span", { class: "badge bad" }, "Cannot be sent"), ` ${each.problem}.`);
  const held = each.held_until ? `: quiet hours hold it until ${told(each.held_until)}.` : "";
  return el("li", {}, el("span", { class: "badge good" }, "Ready"), ` ${each.address}${held}`);
}
