// What can be done, each behind a dialog that says what it will do.

import { me, post } from "./api.js";
import { h } from "./dom.js";
import { number, short } from "./words.js";

const WORDS = {
  drain: ["Drain", "It stays registered, and is no longer handed out by DNS, DiscoverInstances and the balancer."],
  undrain: ["End the drain", "It is handed out again, if it is well."],
  deregister: ["Deregister", "It is taken out of the registry. Its process goes on, and may register again."],
  restart: ["Restart", "New tasks start before the old ones are withdrawn, drained and stopped."],
  scale: ["Scale", "Tasks are started, or withdrawn, drained and stopped, until there are so many."],
};

/** Return buttons for an instance or a service; none where nothing may be changed. */
export function actionButtons(names, target, done) {
  if (!me.write || !target.may_change || !names.length) return null;
  const said = h("p", { class: "said", role: "status" });
  return h("div", { class: "actions" },
    names.map((name) => h("button", { type: "button", class: name === "deregister" ? "danger" : "", onclick: (event) => confirm(name, target, event.currentTarget, said, done) }, `${WORDS[name][0]}…`)),
    said);
}

/** Return what an action will leave, in words. */
function effect(name, { service, instance }) {
  if (!instance || !["drain", "deregister"].includes(name)) return "";
  const well = ["healthy", "unknown", "guarded"].includes(instance.state) ? service.well - 1 : service.well;
  const total = name === "deregister" ? service.total - 1 : service.total;
  return `That leaves ${number(Math.max(0, well))} well of ${number(total)}.${well <= 0 ? " Nobody would be left to hand out." : ""}`;
}

function confirm(name, target, opener, said, done) {
  const [title, words] = WORDS[name];
  const subject = target.instance ? target.instance.id : target.service.name;
  const reason = h("input", { id: "reason", maxlength: 200, autocomplete: "off" });
  const count = name === "scale" ? h("input", { id: "count", type: "number", min: 0, max: 1000, required: true, value: target.service.total }) : null;
  const problem = h("p", { class: "problem", role: "alert" });
  const cancel = h("button", { type: "button" }, "Cancel");
  const go = h("button", { type: "submit", class: name === "deregister" ? "danger" : "primary" }, title);
  const form = h("form", null,
    h("h2", { id: "dialog-title" }, `${title}: ${short(subject)}`),
    h("p", { id: "dialog-words" }, words, " ", h("strong", null, effect(name, target))),
    count && [h("label", { for: "count" }, "Tasks"), count],
    ["drain", "undrain", "deregister"].includes(name) && [h("label", { for: "reason" }, "Reason, for the history"), reason],
    problem, h("div", { class: "choices" }, cancel, go));
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-words" }, form);
  const close = () => { dialog.close(); };
  cancel.addEventListener("click", close);
  dialog.addEventListener("close", () => { dialog.remove(); if (opener.isConnected) opener.focus(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    go.disabled = true;
    problem.textContent = "";
    const body = { service: target.service.id };
    if (target.instance) body.instance = target.instance.id;
    if (reason.value.trim()) body.reason = reason.value.trim();
    if (count) body.count = Number(count.value);
    if (name === "scale" || name === "restart") said.textContent = `${title} is under way…`;
    try {
      const promise = post(`actions/${name}`, body);
      if (name === "scale" || name === "restart") { close(); promise.then((answer) => finished(answer), (refusal) => (said.textContent = refusal.message)); return; }
      finished(await promise);
      close();
    } catch (refusal) {
      problem.textContent = refusal.message;
      go.disabled = false;
    }
  });
  function finished(answer) { said.textContent = answer.done; done?.(); }
  document.body.append(dialog);
  dialog.showModal();
  (count ?? (["drain", "undrain", "deregister"].includes(name) ? reason : cancel)).focus();
}
