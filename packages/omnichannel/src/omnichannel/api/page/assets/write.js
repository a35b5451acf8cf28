// Writing: the form, its preview as one writes, and sending once however often the button is pressed.

import { call, Refused } from "./api.js";
import { byId, el } from "./dom.js";
import { addressField, chosen, content, instant, message, recipients, recurrence, schedule, when } from "./draft.js";
import { drawPreview } from "./preview.js";
import { HERE, away, isZone, told, tomorrow, zones } from "./time.js";
import { channel, count } from "./words.js";

const PAUSE_MS = 350; // after the last key, before the preview is asked for
const SENDING = "omnichannel.sending"; // the request under way and its key: a reload in between sends nothing twice
const BUTTON = { now: "Send now", later: "Send at that time", repeat: "Start the schedule" };

let ready = false;
let waiting = 0;
let asked = 0;

export function showWriting({ question }) {
  if (!ready) prepare();
  ready = true;
  if (question === "repeat") document.querySelector('input[name="when"][value="repeat"]').checked = true;
  arrange();
}

function prepare() {
  const form = byId("form");
  byId("zones").append(...zones().map((zone) => el("option", { value: zone })));
  byId("zone").value = HERE;
  byId("monthday").append(...Array.from({ length: 31 }, (_, day) => el("option", { value: day + 1 }, `${day + 1}`)));
  Object.assign(byId("date"), { value: tomorrow().date, min: new Date().toISOString().slice(0, 10) });
  byId("time").value = tomorrow().time;
  form.addEventListener("input", () => {
    arrange();
    later();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  drawNothing();
  load();
}

/** Ask which channels and audiences there are. */
async function load() {
  try {
    const { items } = await call("GET", "/v1/channels");
    const usable = items.filter((each) => each.configured);
    const absent = items.filter((each) => !each.configured).map((each) => channel(each.name).name);
    byId("channels").replaceChildren(
      ...usable.map((each) =>
        el("label", {}, el("input", { type: "checkbox", value: each.name, on: { change: arrangeChannels } }), el("span", {}, channel(each.name).name)),
      ),
    );
    if (absent.length) byId("channels").after(el("p", { class: "quiet absent" }, `Not set up here: ${absent.join(", ")}.`));
    const audiences = (await call("GET", "/v1/audiences?limit=200")).items;
    byId("audience-field").hidden = !audiences.length;
    byId("audience").append(...audiences.map((each) => el("option", { value: each.name }, `${each.name} (${count(each.members, "member")})`)));
  } catch (error) {
    byId("channels").replaceChildren(
      el("p", { class: "error" }, error.message),
      el("button", { type: "button", on: { click: load } }, "Ask again"),
    );
  }
}

function arrangeChannels() {
  const place = byId("addresses");
  for (const box of document.querySelectorAll("#channels input")) {
    let field = byId(`field-${box.value}`);
    if (!field && box.checked) place.append((field = addressField(box.value)));
    if (field) field.hidden = !box.checked;
  }
  place.append(...chosen().map((name) => byId(`field-${name}`)));
}

/** Show the fields that the chosen time needs, and what they mean. */
function arrange() {
  const time = when();
  const rhythm = byId("rhythm").value;
  byId("later").hidden = time !== "later";
  byId("repeat").hidden = byId("runs").hidden = time !== "repeat";
  byId("zone-field").hidden = time === "now";
  byId("weekday-field").hidden = rhythm !== "week";
  byId("monthday-field").hidden = rhythm !== "month";
  byId("cron-field").hidden = rhythm !== "cron";
  byId("at-field").hidden = rhythm === "cron";
  byId("send").textContent = BUTTON[time];
  byId("zone-says").textContent = time === "now" ? "" : zoneSays(time);
  if (time === "repeat") showRuns();
}

function zoneSays(time) {
  const zone = byId("zone").value.trim();
  if (!isZone(zone)) return "No such time zone. Choose one of the list, such as Europe/Madrid.";
  if (time === "repeat") return `Now it is ${told(Date.now(), zone)} there.`;
  if (!byId("date").value || !byId("time").value) return "Choose a date and a time.";
  const at = instant();
  if (!at) return "The clocks go forward over that time there: it does not exist on that day.";
  if (at < Date.now()) return "That has passed: it would be sent at once.";
  return `${told(at, zone)} there, ${told(at, "UTC")} UTC, ${away(at)}.`;
}

async function showRuns() {
  const turn = (showRuns.turn = (showRuns.turn || 0) + 1);
  try {
    const { items } = await call("POST", "/v1/schedules/preview", { body: { ...recurrence(), count: 5 } });
    if (turn !== showRuns.turn) return;
    byId("runs").replaceChildren(...items.map((run) => el("li", {}, `${told(run.at, byId("zone").value.trim())}, ${away(run.at)}`)));
  } catch (error) {
    if (turn !== showRuns.turn) return;
    byId("runs").replaceChildren(el("li", { class: "error" }, error.errors?.[0]?.detail || error.message));
  }
}

function later() {
  clearTimeout(waiting);
  waiting = setTimeout(preview, PAUSE_MS);
}

function drawNothing() {
  byId("preview").replaceChildren(el("p", { class: "empty" }, "Write a subject and a message, and choose a channel: here you see what each one makes of it."));
  byId("ready").textContent = "";
}

async function preview() {
  const draft = when() === "repeat" ? content() : message();
  const turn = (asked += 1);
  if (!draft.subject || !draft.body || !(draft.recipients || draft.audience)) return drawNothing();
  try {
    const answer = await call("POST", "/v1/messages", { body: draft, headers: { prefer: "dry-run" } });
    if (turn !== asked) return;
    drawPreview(byId("preview"), answer);
    const wrong = answer.deliveries.filter((each) => each.problem).length;
    const good = answer.deliveries.length - wrong;
    byId("ready").textContent = wrong ? `${count(wrong, "address", "addresses")} cannot be sent to.` : `Ready for ${count(good, "recipient")}.`;
  } catch (error) {
    if (turn === asked) byId("ready").textContent = error.errors?.length ? sentence(error.errors[0], draft) : error.message;
  }
}

async function send() {
  const button = byId("send");
  if (button.getAttribute("aria-disabled") === "true") return;
  clear();
  const missing = incomplete();
  if (missing.length) return refuse(missing);
  const repeating = when() === "repeat";
  const body = repeating ? schedule() : message();
  button.setAttribute("aria-disabled", "true");
  try {
    if (repeating) {
      await call("POST", "/v1/schedules", { body });
      location.hash = "#schedules";
    } else {
      const sending = kept(body);
      const made = await call("POST", "/v1/messages", { body: sending.body, headers: { "idempotency-key": sending.key } });
      location.hash = `#messages/${made.id}`;
    }
    sessionStorage.removeItem(SENDING);
    renew();
  } catch (error) {
    if (error instanceof Refused && error.status === 422) sessionStorage.removeItem(SENDING); // nothing was kept
    const found = error instanceof Refused && error.errors.length ? error.errors : [{ detail: `${error.message} Nothing is lost: press the button again, and it is sent once.` }];
    refuse(found.map((each) => ({ ...placed(each.pointer || ""), text: sentence(each, repeating ? body.message : body) })));
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

/** Return what to send and under which key: the same again for the same words, until it has been answered. */
function kept(body) {
  const words = JSON.stringify({ ...body, expires_at: undefined }); // counted from now, so it moves while one waits
  const before = JSON.parse(sessionStorage.getItem(SENDING) || "null");
  if (before?.words === words) return before;
  const random = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is for https alone
  const key = `page-${[...random].map((each) => each.toString(16).padStart(2, "0")).join("")}`;
  const sending = { words, body, key };
  sessionStorage.setItem(SENDING, JSON.stringify(sending));
  return sending;
}

function incomplete() {
  const found = [];
  if (!byId("subject").value.trim()) found.push({ id: "subject", text: "The subject is missing." });
  if (!byId("body").value) found.push({ id: "body", text: "The message is empty." });
  if (!recipients().length && !byId("audience").value) {
    const [name] = chosen();
    found.push(name ? { id: `addresses-${name}`, text: "It goes to nobody yet: write an address." } : { text: "Choose at least one channel." });
  }
  if (when() === "later" && !instant()) found.push({ id: "zone", text: zoneSays("later") });
  return found;
}

/** Return the field that a JSON pointer of the API is about. */
function placed(pointer) {
  const path = pointer.replace(/^\/message/, "");
  if (path === "/subject" || path === "/body") return { id: path.slice(1) };
  const place = /^\/recipients\/(\d+)/.exec(path);
  const to = place && recipients()[Number(place[1])];
  return to ? { id: `addresses-${to.channel}` } : {};
}

function sentence(error, draft) {
  const place = /recipients\/(\d+)/.exec(error.pointer || "");
  const to = place && draft.recipients?.[Number(place[1])];
  if (to && error.detail.includes(to.address)) return `${channel(to.channel).name}: ${error.detail}.`;
  const where = (error.pointer || "").split("/").filter((each) => each && each !== "message").join(" ");
  return where ? `${where}: ${error.detail}.` : error.detail;
}

function refuse(found) {
  const notice = byId("refusal");
  notice.replaceChildren(el("strong", {}, "Not sent."), el("ul", {}, found.map((each) => el("li", {}, each.text))));
  notice.hidden = false;
  for (const { id, text } of found) {
    if (!id) continue;
    byId(id).setAttribute("aria-invalid", "true");
    if (byId(`${id}-error`)) byId(`${id}-error`).textContent = text;
  }
  const first = found.find((each) => each.id);
  (first ? byId(first.id) : notice).focus();
}

function clear() {
  byId("refusal").hidden = true;
  for (const each of document.querySelectorAll("#form [aria-invalid]")) each.removeAttribute("aria-invalid");
  for (const each of document.querySelectorAll("#form .error")) each.textContent = "";
}

/** Make room for the next message; who it went to stays, as it often goes to the same. */
function renew() {
  byId("subject").value = byId("body").value = "";
  document.querySelector('input[name="when"][value="now"]').checked = true;
  arrange();
  drawNothing();
}
