// One message: what it says, how each delivery stands as it moves, why, and what can be done about it.

import { call, follow } from "./api.js";
import { byId, el, keyed, pressed, sure } from "./dom.js";
import { away, told } from "./time.js";
import { OPEN, REPEATABLE, channel, count, deliveryBadge, messageBadge } from "./words.js";

const AT_FIRST = 50; // deliveries that are drawn

let current = null;
let shown = AT_FIRST;
let ready = false;

export async function showMessage({ signal, id, line }) {
  current = { id, signal, line, message: null };
  shown = AT_FIRST;
  if (!ready) prepare();
  ready = true;
  byId("message-title").textContent = "Message";
  byId("message-news").textContent = "";
  for (const each of ["message-facts", "message-says", "deliveries"]) byId(each).replaceChildren();
  watch();
  try {
    drawContent(await call("GET", `/v1/messages/${encodeURIComponent(id)}/content`));
  } catch (error) {
    if (!signal.aborted) byId("message-news").textContent = error.message;
  }
}

function prepare() {
  const news = byId("message-news");
  pressed(byId("message-cancel"), news, async () => {
    const open = current.message.deliveries.filter((each) => OPEN.has(each.status)).length;
    const text = `${count(open, "delivery", "deliveries")} will not be sent. What a worker is sending at this moment is finished.`;
    if (!(await sure("Cancel this message?", text, "Cancel it"))) return;
    const done = await call("POST", `/v1/messages/${current.id}/cancel`);
    news.textContent = `${count(done.cancelled, "delivery", "deliveries")} cancelled${done.in_flight ? `, ${done.in_flight} on the way` : ""}.`;
    draw(done.message);
  });
  pressed(byId("message-retry"), news, async () => {
    const done = await call("POST", `/v1/messages/${current.id}/retry`);
    news.textContent = `${count(done.retried, "delivery is", "deliveries are")} tried again.`;
    watch();
  });
  byId("more-deliveries").onclick = () => {
    shown += 200;
    draw(current.message);
  };
}

/** Follow the message until it has ended; after a retry it is followed anew. */
function watch() {
  const { id, signal, line } = current;
  current.stop?.abort();
  const stop = (current.stop = new AbortController());
  signal.addEventListener("abort", () => stop.abort(), { once: true });
  follow(`/v1/messages/${encodeURIComponent(id)}/events`, (_, message) => draw(message), { signal: stop.signal, line })
    .then(() => stop.signal.aborted || line(null))
    .catch((error) => {
      byId("message-news").textContent = error.message;
    });
}

function drawContent(content) {
  byId("message-title").textContent = content.subject;
  document.title = `${content.subject} · Omnichannel`;
  const own = Object.entries(content.variants).map(([name, words]) => bubble(`On ${channel(name).name}`, words));
  byId("message-says").replaceChildren(bubble("", content), ...own);
}

function bubble(title, words) {
  const label = title || "The message";
  return el(
    "section",
    { class: "shown" },
    title ? el("h3", {}, title) : null,
    el("div", { class: "bubble", tabindex: 0, role: "group", "aria-label": label }, el("strong", {}, words.subject), words.body),
  );
}

function draw(message) {
  current.message = message;
  byId("message-facts").replaceChildren(
    messageBadge(message.status),
    el("span", {}, message.status === "scheduled" ? `Leaves ${told(message.send_at)}, ${away(message.send_at)}` : `Sent ${told(message.send_at)}`),
    el("span", {}, count(message.deliveries.length, "recipient")),
    ...(message.template ? [el("span", {}, `Template ${message.template}`)] : []),
    ...(message.schedule_id ? [el("a", { href: "#schedules" }, "Of a schedule")] : []),
  );
  byId("message-cancel").hidden = !message.deliveries.some((each) => OPEN.has(each.status));
  byId("message-retry").hidden = !message.deliveries.some((each) => REPEATABLE.has(each.status));
  byId("more-deliveries").hidden = message.deliveries.length <= shown;
  keyed(byId("deliveries"), message.deliveries.slice(0, shown), (each) => each.id, drawDelivery);
}

function drawDelivery(child, delivery) {
  child.className = "item";
  child.dataset.status = delivery.status;
  const was = child.querySelector("details");
  const details = was || history(delivery.id);
  const again = REPEATABLE.has(delivery.status) ? retryButton(delivery) : null;
  child.replaceChildren(
    el("div", { class: "top" }, el("span", { class: "name" }, `${channel(delivery.channel).name}: ${delivery.address}`), deliveryBadge(delivery.status)),
    el("div", { class: "under" }, delivery.attempts ? count(delivery.attempts, "attempt") : "not tried yet"),
    ...(delivery.last_error ? [el("p", { class: "said" }, delivery.last_error)] : []),
    ...(again ? [el("div", { class: "buttons" }, again)] : []),
    details,
  );
  if (details.open) tell(details, delivery.id);
}

function retryButton(delivery) {
  const button = el("button", { type: "button", "aria-label": `Try ${delivery.address} again now` }, "Try again now");
  return pressed(button, byId("message-news"), async () => {
    await call("POST", `/v1/deliveries/${delivery.id}/retry`);
    byId("message-news").textContent = `${delivery.address} is tried again.`;
    watch();
  });
}

function history(id) {
  const details = el("details", {}, el("summary", {}, "What happened"), el("div", { class: "told" }));
  details.addEventListener("toggle", () => details.open && tell(details, id));
  return details;
}

/** Say why the delivery stands where it does, and what was answered to each attempt. */
export async function tell(details, id) {
  const place = details.querySelector(".told");
  try {
    const [why, record] = await Promise.all([call("GET", `/v1/deliveries/${id}/why`), call("GET", `/v1/deliveries/${id}`)]);
    place.replaceChildren(
      el("p", {}, why.summary, why.next_at && why.reason !== "in_flight" ? ` Next: ${told(why.next_at)}.` : ""),
      el("ol", { class: "attempts" }, record.history.map(attempt)),
    );
  } catch (error) {
    place.replaceChildren(el("p", { class: "error" }, error.message));
  }
}

function attempt(each) {
  return el(
    "li",
    {},
    el("div", {}, el("strong", {}, `Attempt ${each.number}: ${each.outcome || "under way"}`)),
    el("div", { class: "quiet" }, `${told(each.started_at)}, by ${each.worker}`),
    each.detail ? el("div", {}, each.detail) : null,
    each.provider_id ? el("div", { class: "mono" }, each.provider_id) : null,
  );
}
