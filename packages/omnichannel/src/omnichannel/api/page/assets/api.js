// Calls of the API: with the reader's key where one is asked for, refusals as errors, streams that take up where they broke.

import { byId } from "./dom.js";

const KEPT = "omnichannel.key"; // in this tab's own storage: gone when the tab is closed
let asking = null;

export class Refused extends Error {
  /** The API's answer to a request that it did not carry out: a problem document (RFC 9457). */
  constructor(status, problem) {
    super(problem.detail || `The publisher answered ${status}.`);
    this.status = status;
    this.errors = problem.errors || [];
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The publisher cannot be reached just now.");
  }
}

/** Call the API, and return what it answers. Throws Refused or Unreachable. */
export async function call(method, path, { body, headers = {} } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  const response = await request(path, { method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text().catch(() => {
    throw new Unreachable();
  });
  return text ? JSON.parse(text) : null;
}

/** Follow a stream of events until `signal` is aborted or an event `end` comes. `hear` gets each event's name and data. */
export async function follow(path, hear, { signal, line = () => {} }) {
  let lastId = null;
  while (!signal.aborted) {
    let pause = 1000;
    try {
      const headers = { accept: "text/event-stream", ...(lastId ? { "last-event-id": lastId } : {}) };
      const response = await request(path, { headers, signal });
      line(true);
      for await (const event of events(response.body)) {
        lastId = event.id || lastId;
        if (event.name === "end") return;
        hear(event.name, JSON.parse(event.data));
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status === 404) throw error;
      if (error instanceof Refused) pause = 5000; // too many watch, or the database is away
    }
    if (signal.aborted) return;
    line(false);
    await new Promise((go) => setTimeout(go, pause));
  }
}

async function request(path, options) {
  for (;;) {
    const key = sessionStorage.getItem(KEPT);
    const headers = { accept: "application/json", ...options.headers, ...(key ? { authorization: `Bearer ${key}` } : {}) };
    let response;
    try {
      response = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Unreachable();
    }
    if (response.status === 401) {
      await askForKey(key);
      continue;
    }
    if (!response.ok) throw new Refused(response.status, await response.json().catch(() => ({})));
    return response;
  }
}

/** Wait for a key other than the one that was refused. However many calls need it, the reader is asked once. */
function askForKey(refused) {
  if (sessionStorage.getItem(KEPT) !== refused) return Promise.resolve();
  asking ??= new Promise((given) => {
    const dialog = byId("key-dialog");
    byId("key-error").textContent = refused ? "This key is not known, or no longer holds." : "";
    byId("key").value = "";
    dialog.onclose = () => asking && dialog.showModal(); // Escape leads nowhere: nothing can be shown without a key
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      const key = byId("key").value.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) {
        byId("key-error").textContent = "A key has letters, digits and underscores only.";
        return;
      }
      sessionStorage.setItem(KEPT, key);
      asking = null;
      dialog.close();
      given();
    };
    dialog.showModal();
  });
  return asking;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const event = parse(rest.slice(0, end));
      rest = rest.slice(end + 2);
      if (event.data) yield event;
    }
  }
}

function parse(block) {
  const event = { name: "message", data: "", id: null };
  for (const each of block.split("\n")) {
    const colon = each.indexOf(": ");
    const value = each.slice(colon + 2);
    if (each.startsWith("event: ")) event.name = value;
    else if (each.startsWith("data: ")) event.data += value;
    else if (each.startsWith("id: ")) event.id = value;
  }
  return event;
}
