// Why a name is answered as it is, in sentences, and the answer itself.

import { h } from "./dom.js";
import { when } from "./words.js";

const WORDS = {
  answered: ["healthy", "Answered"],
  empty: ["unhealthy", "Empty (no data)"],
  unknown: ["unhealthy", "Unknown (no such name)"],
  refused: ["drained", "Not ours"],
  stale: ["expired", "Stale"],
};

export function answerWord(explanation) {
  return WORDS[explanation.answer] ?? ["unknown", explanation.answer];
}

/** Return the reasons as a list; the instants in them are shown as how long ago they were. */
export function reasons(explanation) {
  return h("ul", { class: "reasons" }, explanation.because.map((sentence) => h("li", null, dated(sentence))));
}

const INSTANT = /\d{4}-\d\d-\d\dT[\d:.]+Z/;

function dated(sentence) {
  const found = INSTANT.exec(sentence);
  if (!found) return sentence;
  return [sentence.slice(0, found.index).replace(/ at $/, " "), when(found[0]), dated(sentence.slice(found.index + found[0].length))];
}

/** Return what the nameserver answered, as it wrote it. */
export function reply(dns, explanation) {
  if (!dns) {
    const said = explanation.rcode ? `${explanation.rcode}${explanation.ttl_s === null ? "" : `, TTL ${explanation.ttl_s} s`}` : "by the API alone";
    return h("p", { class: "muted" }, `No nameserver was asked; it would answer: ${said}.`);
  }
  if (dns.problem) return h("p", { class: "problem" }, dns.problem);
  return [
    h("p", { class: "reply" }, h("strong", null, dns.rcode), ` · TTL ${dns.ttl_s ?? "–"} s · ${dns.took_ms} ms from ${dns.server}`),
    h("pre", { tabindex: "0", role: "region", "aria-label": "Records" }, dns.records.join("\n") || "no records"),
  ];
}
