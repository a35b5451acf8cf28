// What the API's words are to a reader. Each state has a tone, which is a colour and a shape.

import { el } from "./dom.js";

export const CHANNELS = {
  webhook: { name: "Webhook", asks: "Webhook URLs", like: "https://example.com/hook" },
  email: { name: "Email", asks: "Email addresses", like: "ada@example.com" },
  sms: { name: "SMS", asks: "Numbers for SMS", like: "+34600123456" },
  slack: { name: "Slack", asks: "Slack conversations", like: "#general" },
  apprise: { name: "Apprise", asks: "Apprise entries", like: "team" },
  whatsapp: { name: "WhatsApp", asks: "Numbers for WhatsApp", like: "+34600123456" },
  facebook: { name: "Facebook", asks: "Facebook pages", like: "1234567890" },
  instagram: { name: "Instagram", asks: "Instagram accounts", like: "1234567890" },
  linkedin: { name: "LinkedIn", asks: "LinkedIn authors", like: "urn:li:organization:123" },
};

export function channel(name) {
  return CHANNELS[name] || { name, asks: `Addresses for ${name}`, like: "" };
}

const MESSAGE = {
  scheduled: ["wait", "Waits for its time"],
  in_progress: ["move", "On its way"],
  completed: ["good", "Arrived"],
  partially_failed: ["bad", "Arrived in part"],
  failed: ["bad", "Failed"],
  cancelled: ["still", "Cancelled"],
};

const DELIVERY = {
  scheduled: ["wait", "Waits for its time"],
  queued: ["move", "About to leave"],
  sending: ["move", "Being sent"],
  accepted: ["good", "Handed over"],
  delivered: ["good", "Delivered"],
  retry_wait: ["wait", "Will be tried again"],
  unknown: ["bad", "Nobody knows"],
  dead: ["bad", "Failed"],
  suppressed: ["still", "Not to be written to"],
  expired: ["bad", "Too late"],
  cancelled: ["still", "Cancelled"],
  bounced: ["bad", "Came back"],
};

const SCHEDULE = {
  active: ["good", "Active"],
  paused: ["wait", "Paused"],
  completed: ["still", "Ended"],
};

const badge = (table) => (status) => {
  const [tone, words] = table[status] || ["still", status];
  return el("span", { class: `badge ${tone}` }, words);
};

export const messageBadge = badge(MESSAGE);
export const deliveryBadge = badge(DELIVERY);
export const scheduleBadge = badge(SCHEDULE);

export const REPEATABLE = new Set(["dead", "unknown", "retry_wait"]);
export const OPEN = new Set(["scheduled", "queued", "sending", "retry_wait"]);

export function count(number, one, many = `${one}s`) {
  return `${number} ${number === 1 ? one : many}`;
}

/** Return a bar of how many deliveries stand where; `tallies` are [{status, count}]. */
export function meter(tallies) {
  const total = tallies.reduce((sum, each) => sum + each.count, 0) || 1;
  const tones = { good: 0, bad: 0, still: 0, move: 0, wait: 0 };
  for (const each of tallies) tones[(DELIVERY[each.status] || ["still"])[0]] += each.count;
  const bar = el("svg", { class: "meter", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  bar.append(el("rect", { class: "none", width: 100, height: 1 }));
  let x = 0;
  for (const [tone, number] of Object.entries(tones)) {
    if (number) bar.append(el("rect", { class: tone, x, width: (number * 100) / total, height: 1 }));
    x += (number * 100) / total;
  }
  return bar;
}
