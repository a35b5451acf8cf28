// What has been written so far, as the API is asked for it.

import { byId, el } from "./dom.js";
import { instantOf, isZone } from "./time.js";
import { channel } from "./words.js";

const field = (name) => byId(`addresses-${name}`);

export const when = () => document.querySelector('input[name="when"]:checked').value;

export const chosen = () => [...document.querySelectorAll('#channels input:checked')].map((box) => box.value);

/** Return the recipients, each with the channel that it was written under. */
export function recipients() {
  return chosen().flatMap((name) => {
    const lines = field(name).value.split("\n").map((each) => each.trim());
    return [...new Set(lines.filter(Boolean))].map((address) => ({ channel: name, address }));
  });
}

function variants() {
  const own = {};
  for (const name of chosen()) {
    const subject = byId(`variant-subject-${name}`).value.trim();
    const body = byId(`variant-body-${name}`).value;
    if (subject || body) own[name] = { subject: subject || byId("subject").value.trim(), body: body || byId("body").value };
  }
  return own;
}

/** Return what is said and to whom. */
export function content() {
  const said = { subject: byId("subject").value.trim(), body: byId("body").value };
  const to = recipients();
  if (to.length) said.recipients = to;
  if (byId("audience").value) said.audience = byId("audience").value;
  const own = variants();
  if (Object.keys(own).length) said.variants = own;
  if (byId("urgent").checked) said.urgent = true;
  if (byId("ordered").checked) said.ordered = true;
  return said;
}

/** Return the instant that is asked for; null: there is none yet, or the clocks skip it. */
export function instant() {
  const [date, time, zone] = [byId("date").value, byId("time").value, byId("zone").value.trim()];
  return date && time && isZone(zone) ? instantOf(date, time, zone) : null;
}

/** Return the message. */
export function message() {
  const asked = content();
  const at = when() === "later" ? instant() : null;
  if (at) asked.send_at = at.toISOString();
  const patience = Number(byId("expires").value);
  if (patience) asked.expires_at = new Date((at ? at.getTime() : Math.ceil(Date.now() / 60000) * 60000) + patience * 1000).toISOString();
  return asked;
}

/** Return when a schedule recurs. */
export function recurrence() {
  const zone = byId("zone").value.trim();
  const rhythm = byId("rhythm").value;
  if (rhythm === "cron") return { cron: byId("cron").value.trim(), zone };
  const [hour, minute] = (byId("at").value || "09:00").split(":").map(Number);
  const days = { day: "* * *", weekdays: "* * MON-FRI", week: `* * ${byId("weekday").value}`, month: `${byId("monthday").value} * *` };
  return { cron: `${minute} ${hour} ${days[rhythm]}`, zone };
}

/** Return the schedule. */
export function schedule() {
  const asked = { ...recurrence(), message: content() };
  const patience = Number(byId("expires").value);
  if (patience) asked.expires_after_s = patience;
  return asked;
}

/** Draw the fields of a chosen channel. */
export function addressField(name) {
  const is = channel(name);
  return el(
    "div",
    { class: "field", id: `field-${name}` },
    el("label", { for: `addresses-${name}` }, `${is.asks} `, el("span", { class: "quiet" }, "one a line")),
    el("textarea", { id: `addresses-${name}`, rows: 2, placeholder: is.like, spellcheck: "false", "aria-describedby": `addresses-${name}-error` }),
    el("p", { class: "error", id: `addresses-${name}-error` }),
    el(
      "details",
      { class: "more" },
      el("summary", {}, `Say it differently on ${is.name}`),
      el("div", { class: "stack" }, [
        el("div", { class: "field" }, el("label", { for: `variant-subject-${name}` }, `Subject on ${is.name}`), el("input", { id: `variant-subject-${name}`, maxlength: 500 })),
        el("div", { class: "field" }, el("label", { for: `variant-body-${name}` }, `Message on ${is.name}`), el("textarea", { id: `variant-body-${name}`, rows: 4 })),
      ]),
    ),
  );
}
