// The page's sections, one at a time, by the address's hash: so links, the back button and bookmarks work.

import { byId } from "./dom.js";
import { showMessage } from "./message.js";
import { showMessages } from "./messages.js";
import { showSchedules } from "./schedules.js";
import { showUndelivered } from "./undelivered.js";
import { showWriting } from "./write.js";

const VIEWS = {
  write: [showWriting, "Write"],
  messages: [showMessages, "Messages"],
  message: [showMessage, "Message"],
  schedules: [showSchedules, "Schedules"],
  undelivered: [showUndelivered, "Undelivered"],
};
let leave = new AbortController();
let first = true;

function line(there) {
  byId("line").textContent = there === null ? "" : there ? "Live" : "Reconnecting …";
  byId("line").classList.toggle("away", there === false);
}

function route() {
  const [where, question = ""] = location.hash.slice(1).split("?");
  const [section, id] = where.split("/");
  const view = section === "messages" && id ? "message" : section in VIEWS && section !== "message" ? section : "write";
  leave.abort();
  leave = new AbortController();
  line(null);
  for (const each of document.querySelectorAll("[data-view]")) each.hidden = each.dataset.view !== view;
  for (const link of document.querySelectorAll(".bar nav a")) {
    const here = link.hash === `#${view === "message" ? "messages" : view}`;
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const [show, title] = VIEWS[view];
  document.title = `${title} · Omnichannel`;
  if (!first) {
    scrollTo(0, 0);
    byId("main").focus({ preventScroll: true });
  }
  first = false;
  show({ signal: leave.signal, id, question, line });
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});
addEventListener("hashchange", route);
route();
