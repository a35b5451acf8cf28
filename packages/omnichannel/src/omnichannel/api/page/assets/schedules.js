// Schedules: what comes again, when next, and holding it or ending it.

import { call } from "./api.js";
import { byId, el, keyed, pressed, sure } from "./dom.js";
import { away, told } from "./time.js";
import { channel, count, scheduleBadge } from "./words.js";

const EVERY_MS = 5000; // next runs pass, and others act too

let shown = [];
let next = null;

export async function showSchedules({ signal }) {
  shown = [];
  byId("schedules-news").textContent = "";
  byId("older-schedules").onclick = () => read(next);
  await read(null);
  const timer = setInterval(() => shown.length <= 20 && read(null), EVERY_MS);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

async function read(cursor) {
  try {
    const page = await call("GET", `/v1/schedules?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    const items = await Promise.all(page.items.map(withRuns));
    shown = cursor ? [...shown, ...items] : items;
    next = page.next;
    draw();
  } catch (error) {
    byId("schedules-news").textContent = error.message;
  }
}

async function withRuns(schedule) {
  const goesOn = schedule.state === "active";
  return { ...schedule, runs: goesOn ? (await call("GET", `/v1/schedules/${schedule.id}/preview?count=3`)).items : [] };
}

function draw() {
  byId("older-schedules").hidden = next === null;
  if (!shown.length) {
    byId("schedules").replaceChildren(el("li", { class: "empty" }, "Nothing comes again yet. ", el("a", { href: "#write?repeat" }, "Write a message that does"), "."));
    return;
  }
  keyed(byId("schedules"), shown, (each) => each.id, drawItem);
}

function drawItem(child, item) {
  child.className = "item";
  const to = item.message.recipients;
  const channels = [...new Set(to.map((each) => channel(each.channel).name))].join(", ");
  const buttons = [];
  if (item.state === "active") buttons.push(act(item, "Pause", async () => call("POST", `/v1/schedules/${item.id}/pause`)));
  if (item.state === "paused") buttons.push(act(item, "Resume", async () => call("POST", `/v1/schedules/${item.id}/resume`)));
  if (item.state !== "completed") buttons.push(act(item, "End", () => end(item), "danger"));
  child.replaceChildren(
    el("div", { class: "top" }, el("span", { class: "name" }, item.message.subject), scheduleBadge(item.state)),
    el("div", { class: "under" }, [
      el("span", {}, el("code", {}, item.cron), ` on the clock of ${item.zone}`),
      el("span", {}, [to.length ? `${count(to.length, "recipient")} by ${channels}` : "", item.message.audience ? ` audience ${item.message.audience}` : ""].join("")),
    ]),
    item.runs.length ? el("ol", { class: "runs", "aria-label": "The next times" }, item.runs.map((run) => el("li", {}, `${told(run.at, item.zone)}, ${away(run.at)}`))) : "",
    el("div", { class: "buttons" }, buttons),
  );
}

function act(item, word, done, style = "") {
  const button = el("button", { type: "button", class: style, "aria-label": `${word}: ${item.message.subject}` }, word);
  return pressed(button, byId("schedules-news"), async () => {
    if ((await done()) === false) return;
    byId("schedules-news").textContent = `${item.message.subject}: done.`;
    await read(null);
  });
}

async function end(item) {
  const yes = await sure("End this schedule?", `“${item.message.subject}” is not sent any more. What it has sent stays.`, "End it");
  return yes ? call("DELETE", `/v1/schedules/${item.id}`) : false;
}
