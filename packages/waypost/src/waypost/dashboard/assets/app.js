// The page's frame: which view is shown, who is signed in, and whom the stream's events reach.

import { Refused, me, post, whoAmI } from "./api.js";
import { h, replace } from "./dom.js";
import { Live } from "./live.js";
import { refreshTimes } from "./words.js";
import { showOverview } from "./overview.js";

const main = document.getElementById("main");
const lamp = document.getElementById("live");
const lampWord = document.getElementById("live-word");
const WORDS = { live: "Live", reconnecting: "Reconnecting", paused: "Paused", connecting: "Connecting" };

const ROUTES = [
  [/^\/$/, "overview", async () => showOverview],
  [/^\/map$/, "map", async () => (await import("./map.js")).showMap],
  [/^\/history$/, "history", async () => (await import("./history.js")).showHistory],
  [/^\/explain$/, "explain", async () => (await import("./explain.js")).showExplain],
  [/^\/service\/([^/]+)$/, "overview", async () => (await import("./service.js")).showService],
  [/^\/service\/([^/]+)\/([^/]+)$/, "overview", async () => (await import("./instance.js")).showInstance],
];

let view = null;  // what the shown view hears by
let first = true;
let turn = 0;
let unheard = [];  // events that came while a view was fetched

const live = new Live((name, data) => {
  if (view) view[name]?.(data);
  else if (unheard.length < 200) unheard.push([name, data]);
}, (how) => {
  if (lamp.dataset.how === how) return;
  lamp.dataset.how = how;
  lampWord.textContent = WORDS[how];
  lamp.setAttribute("aria-pressed", String(how === "paused"));
});

lamp.addEventListener("click", () => live.toggle());
document.getElementById("sign-out").addEventListener("click", async () => {
  await post("sign-out", {});
  live.stop();
  await start();
});

function place() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  return { path: path || "/", query: new URLSearchParams(query) };
}

/** Note a filter in the address, so that it can be shared and gone back to. */
export function remember(query) {
  const given = Object.entries(query).filter(([, value]) => value);
  const text = given.length ? `?${new URLSearchParams(given)}` : "";
  history.replaceState(null, "", `#${place().path}${text}`);
}

async function show() {
  const mine = ++turn;
  const { path, query } = place();
  if (path === "main" || path === "") return;
  const found = ROUTES.map(([pattern, name, load]) => [pattern.exec(path), name, load]).find(([match]) => match);
  view?.leave?.();
  view = null;
  unheard = [];
  for (const link of document.querySelectorAll("#views a")) {
    if (link.dataset.view === found?.[1]) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (!found) {
    replace(main, h("h1", null, "There is no such view"), h("p", null, h("a", { href: "#/" }, "To the overview")));
    return;
  }
  try {
    const shower = await found[2]();
    const root = h("div", { class: `view ${found[1]}` });
    const shown = await shower(root, { arguments: found[0].slice(1).map(decodeURIComponent), query });
    if (mine !== turn) { shown.leave?.(); return; }
    view = shown;
    replace(main, root);
    document.title = `${shown.title} · Waypost`;
    if (!first) main.querySelector("h1")?.focus();
    first = false;
    for (const [name, data] of unheard) if (!(data.revision <= shown.revision)) shown[name]?.(data);
    unheard = [];
    live.follow(shown.revision, found[1] === "map");
  } catch (problem) {
    if (mine === turn) await explain(problem);
  }
}

async function explain(problem) {
  if (problem instanceof Refused && problem.status === 401) {
    live.stop();
    await whoAmI();
    const { showSignIn } = await import("./signin.js");
    showSignIn(main, start);
    return;
  }
  replace(main,
    h("h1", { tabindex: "-1" }, problem.status === 404 || problem.status === 400 ? "It is not there" : "This could not be loaded"),
    h("p", { role: "alert" }, problem.message || String(problem)),
    h("p", null, h("button", { type: "button", onclick: show }, "Try again"), " ", h("a", { href: "#/" }, "To the overview")));
}

async function start() {
  try {
    await whoAmI();
    document.getElementById("sign-out").hidden = !(me.keys && me.signed_in);
    await show();
  } catch (problem) {
    await explain(problem);
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select, dialog *");
  if (event.key === "Escape" && event.target instanceof HTMLInputElement && event.target.type === "search") {
    event.target.value = "";
    event.target.dispatchEvent(new Event("input", { bubbles: true }));
    event.target.blur();
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") {
    const field = main.querySelector("input[type=search], input[name=name]");
    if (field) { event.preventDefault(); field.focus(); field.select(); }
  }
});
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
window.addEventListener("hashchange", show);
setInterval(() => refreshTimes(), 1000);
// A page in the background lets its stream go after a while: a browser has but six connections to one server.
let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  if (document.hidden) { hiding = setTimeout(() => live.rest(), 30_000); return; }
  live.wake();
  refreshTimes();
});
start();
