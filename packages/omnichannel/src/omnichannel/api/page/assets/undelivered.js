// What has failed for good or whose outcome nobody knows: why, and sending it again.

import { call } from "./api.js";
import { byId, el, keyed, pressed, sure } from "./dom.js";
import { channel, count, deliveryBadge } from "./words.js";
import { tell } from "./message.js";

let shown = [];
let next = null;
let ready = false;

export async function showUndelivered() {
  if (!ready) prepare();
  ready = true;
  byId("undelivered-news").textContent = "";
  await read(null);
}

function prepare() {
  const news = byId("undelivered-news");
  pressed(byId("replay"), news, async () => {
    const text = "Each is sent anew. One whose outcome nobody knows may then arrive twice.";
    if (!(await sure(`Send ${count(shown.length, "delivery", "deliveries")} again?`, text, "Send again"))) return;
    const ids = shown.slice(0, 1000).map((each) => each.id);
    const done = await call("POST", "/v1/dead-letters/replay", { body: { ids } });
    await read(null);
    news.textContent = `${count(done.replayed, "delivery is", "deliveries are")} on the way again.`;
  });
  byId("older-undelivered").onclick = () => read(next);
}

async function read(cursor) {
  try {
    const page = await call("GET", `/v1/dead-letters?limit=50${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    shown = cursor ? [...shown, ...page.items] : page.items;
    next = page.next;
  } catch (error) {
    byId("undelivered-news").textContent = error.message;
    return;
  }
  byId("older-undelivered").hidden = next === null;
  byId("replay").hidden = !shown.length;
  if (shown.length) keyed(byId("undelivered"), shown, (each) => each.id, drawItem);
  else byId("undelivered").replaceChildren(el("li", { class: "empty" }, "Nothing. Everything that was sent has arrived or is on its way."));
}

function drawItem(child, item) {
  child.className = "item";
  const news = byId("undelivered-news");
  const again = el("button", { type: "button", "aria-label": `Send to ${item.address} again` }, "Send again");
  pressed(again, news, async () => {
    await call("POST", `/v1/deliveries/${item.id}/retry`);
    await read(null);
    news.textContent = `${item.address} is on the way again.`;
  });
  const details = el("details", {}, el("summary", {}, "What happened"), el("div", { class: "told" }));
  details.addEventListener("toggle", () => details.open && tell(details, item.id));
  child.replaceChildren(
    el("div", { class: "top" }, el("span", { class: "name" }, `${channel(item.channel).name}: ${item.address}`), deliveryBadge(item.status)),
    el("div", { class: "under" }, el("span", {}, count(item.attempts, "attempt")), el("a", { href: `#messages/${item.message_id}` }, "The message")),
    ...(item.last_error ? [el("p", { class: "said" }, item.last_error)] : []),
    el("div", { class: "buttons" }, again),
    details,
  );
}
