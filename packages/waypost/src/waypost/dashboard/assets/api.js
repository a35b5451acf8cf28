// What the registry is asked, and how it refuses.

export class Refused extends Error {
  constructor(status, type, message) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

export const me = { keys: false, signed_in: false, who: null, write: false, platform: false, proof: null };

async function answered(response) {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refused(response.status, body.__type ?? "", body.Message ?? `The registry answered ${response.status}.`);
}

/** Return what is at a path below /ui/api, with parameters that are not empty. */
export async function get(path, query = {}, signal = undefined) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = given.length ? `?${new URLSearchParams(given)}` : "";
  return answered(await fetch(`/ui/api/${path}${text}`, { signal }));
}

export async function post(path, body) {
  const headers = { "content-type": "application/json", "x-waypost-proof": me.proof ?? "" };
  return answered(await fetch(`/ui/api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function whoAmI() {
  Object.assign(me, await get("me"));
  return me;
}
