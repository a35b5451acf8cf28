// The list of messages: the newest live, older ones and chosen states page by page.

import { call, follow } from "./api.js";
import { byId, el, keyed } from "./dom.js";
import { away, told } from "./time.js";
import { channel, count, messageBadge, meter } from "./words.js";

let newest = [];
let older = [];
let next = null;
let here = null;

export async function showMessages({ signal, line }) {
  here = { signal, line };
  newest = [];
  older = [];
  next = null;
  byId("status").onchange = () => showChosen();
  byId("older").onclick = more;
  showChosen();
}

function showChosen() {
  here.stop?.abort();
  here.stop = new AbortController();
  here.signal.addEventListener("abort", () => here.stop.abort(), { once: true });
  newest = [];
  older = [];
  next = null;
  byId("messages").replaceChildren();
  const status = byId("status").value;
  const { signal } = here.stop;
  const hear = (_, page) => {
    const oldest = page.items.at(-1)?.id;
    const pushed = newest.filter((each) => oldest && each.id < oldest); // out of the newest, but shown already
    if (older.length || pushed.length) older = merged([...pushed, ...older], page.items);
    else next = page.next;
    newest = page.items;
    draw();
  };
  if (!status) follow("/v1/overview/events", hear, { signal, line: here.line });
  else {
    here.line(null);
    poll(status, hear, signal);
  }
}

/** A chosen state is read anew whenever the newest messages move. */
function poll(status, hear, signal) {
  let first = true;
  const read = async () => {
    const page = await call("GET", `/v1/overview?limit=50&status=${encodeURIComponent(status)}`);
    if (signal.aborted) return;
    if (first || !older.length) {
      newest = [];
      older = [];
      first = false;
      hear("overview", page);
    }
  };
  follow("/v1/overview/events", () => read().catch(() => {}), { signal, line: here.line });
}

function merged(items, fresh) {
  const known = new Set(fresh.map((each) => each.id));
  return items.filter((each) => !known.has(each.id) && (known.add(each.id), true));
}

async function more() {
  const status = byId("status").value;
  const page = await call("GET", `/v1/overview?limit=50&cursor=${next}${status ? `&status=${encodeURIComponent(status)}` : ""}`);
  older = merged([...older, ...page.items], newest);
  next = page.next;
  draw();
}

function draw() {
  const items = [...newest, ...older];
  byId("older").hidden = next === null;
  if (!items.length) {
    byId("messages").replaceChildren(el("li", { class: "empty" }, "Nothing here yet. ", el("a", { href: "#write" }, "Write a message"), "."));
    return;
  }
  keyed(byId("messages"), items, (each) => each.id, drawItem);
}

function drawItem(child, item) {
  const total = item.tallies.reduce((sum, each) => sum + each.count, 0);
  const channels = [...new Set(item.tallies.map((each) => channel(each.channel).name))].join(", ");
  const at = item.status === "scheduled" ? `${told(item.send_at)}, ${away(item.send_at)}` : told(item.send_at);
  child.replaceChildren(
    el(
      "a",
      { class: "item", href: `#messages/${item.id}` },
      el("span", { class: "top" }, el("span", { class: "name" }, item.subject), messageBadge(item.status)),
      el("span", { class: "under" }, [
        el("span", {}, at),
        el("span", {}, `${count(total, "recipient")} by ${channels}`),
        item.schedule_id ? el("span", {}, "of a schedule") : null,
      ]),
      meter(item.tallies),
    ),
  );
}
