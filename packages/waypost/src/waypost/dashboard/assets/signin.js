// The door: an access key and its secret for a session.

import { post } from "./api.js";
import { h, replace } from "./dom.js";

export function showSignIn(main, done) {
  const id = h("input", { id: "key-id", name: "id", autocomplete: "username", spellcheck: "false", required: true });
  const secret = h("input", { id: "key-secret", name: "secret", type: "password", autocomplete: "current-password", required: true });
  const problem = h("p", { class: "problem", role: "alert" });
  const form = h("form", { class: "card sign-in" },
    h("h1", { tabindex: "-1" }, "Sign in"),
    h("p", null, "This registry takes calls only from those who have an access key. You see what your key may read."),
    h("label", { for: "key-id" }, "Access key id"), id,
    h("label", { for: "key-secret" }, "Secret"), secret,
    problem,
    h("button", { type: "submit", class: "primary" }, "Sign in"));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    try {
      await post("sign-in", { id: id.value.trim(), secret: secret.value });
      await done();
    } catch (refusal) {
      problem.textContent = refusal.message;
      secret.value = "";
      secret.focus();
    }
  });
  replace(main, form);
  document.title = "Sign in · Waypost";
  id.focus();
}
