// The API's page, from its OpenAPI document: what there is, what it takes, and trying it from here.

import { call } from "./api.js";
import { byId, el, pressed } from "./dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const DEPTH = 5; // of a schema that is drawn
let api = null;

function resolved(schema = {}) {
  if (!schema.$ref) return schema;
  return schema.$ref.slice(2).split("/").reduce((place, step) => place?.[step], api) || {};
}

/** Return text with what stands in backquotes as code. */
function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

function kind(raw) {
  const schema = resolved(raw);
  if (schema.enum) return schema.enum.join(" | ");
  if (schema.const !== undefined) return String(schema.const);
  const either = schema.anyOf || schema.oneOf;
  if (either) return [...new Set(either.map(kind))].join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items)}`;
  return [schema.format || schema.type || "anything"].flat().join(" or ");
}

function limits(schema) {
  const names = { minLength: "at least", maxLength: "at most", minimum: "from", maximum: "to", maxItems: "at most" };
  const said = Object.entries(names).filter(([name]) => schema[name] !== undefined).map(([name, word]) => `${word} ${schema[name]}`);
  if (schema.default !== undefined && schema.default !== null) said.push(`default ${JSON.stringify(schema.default)}`);
  return said.length ? ` (${said.join(", ")})` : "";
}

/** Return the members of a schema as a list; of a list or a choice, those of its objects. */
function members(raw, depth = 0) {
  const schema = resolved(raw);
  const inner = [schema, ...(schema.anyOf || []), ...(schema.items ? [schema.items] : [])].map(resolved);
  const objects = inner.flatMap((each) => (each.items ? [each, resolved(each.items)] : [each])).filter((each) => each.properties);
  if (!objects.length || depth >= DEPTH) return null;
  return el(
    "ul",
    { class: "schema" },
    objects.flatMap((object) =>
      Object.entries(object.properties).map(([name, value]) => {
        const own = { ...resolved(value), ...value };
        const needed = (object.required || []).includes(name) ? el("span", { class: "quiet" }, " required") : "";
        return el("li", {}, el("b", {}, name), " ", kind(value), limits(own), needed, own.description ? el("div", { class: "quiet" }, prose(own.description)) : "", members(value, depth + 1));
      }),
    ),
  );
}

function json(content) {
  const type = Object.keys(content || {})[0];
  return type ? { type, ...content[type] } : null;
}

function operation(path, method, said) {
  const body = json(said.requestBody?.content);
  const taken = said.parameters || [];
  const made = el("details", { class: "item operation", "data-words": `${method} ${path} ${said.summary} ${said.description || ""}`.toLowerCase() });
  made.append(el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()), el("code", {}, path), el("span", { class: "quiet" }, said.summary)));
  made.addEventListener("toggle", () => made.children.length > 1 || made.append(inside(path, method, said, taken, body)), { once: true });
  return made;
}

function inside(path, method, said, taken, body) {
  return el(
    "div",
    { class: "stack" },
    el("p", {}, prose(said.description || "")),
    taken.length
      ? el("div", {}, el("h3", {}, "Parameters"), el("ul", { class: "schema" }, taken.map((each) => {
          const schema = resolved(each.schema);
          return el("li", {}, el("b", {}, each.name), ` ${kind(each.schema)}${limits(schema)} in ${each.in}`, each.required ? el("span", { class: "quiet" }, " required") : "", each.description || schema.description ? el("div", { class: "quiet" }, prose(each.description || schema.description)) : "");
        })))
      : "",
    body ? el("div", {}, el("h3", {}, `Body, ${body.type}`), members(body.schema)) : "",
    el("div", {}, el("h3", {}, "Answers"), el("ul", { class: "schema" }, Object.entries(said.responses).map(([status, answer]) => {
      const content = json(answer.content);
      const fields = content && Number(status) < 300 ? members(content.schema) : null;
      return el("li", {}, el("b", {}, status), ` ${answer.description}`, fields);
    }))),
    trial(path, method, taken, body),
  );
}

/** Draw the form that sends one request, and its answer. */
function trial(path, method, taken, body) {
  if (path.endsWith("/events") || (body && body.type !== "application/json")) return "";
  const label = `${method}${path}`.replace(/\W+/g, "-");
  const inputs = taken.map((each) => ({ each, input: el("input", { id: `${label}-${each.name}`, spellcheck: "false" }) }));
  const example = resolved(body?.schema).example;
  const text = body ? el("textarea", { id: `${label}-body`, rows: 8, spellcheck: "false" }) : null;
  if (text) text.value = example ? JSON.stringify(example, null, 2) : "{}";
  const shown = el("div", { role: "status" });
  const send = pressed(el("button", { type: "button" }, `Send ${method.toUpperCase()}`), shown, async () => {
    const query = new URLSearchParams();
    const headers = {};
    let url = path;
    for (const { each, input } of inputs) {
      if (each.in === "path") url = url.replace(`{${each.name}}`, encodeURIComponent(input.value));
      else if (input.value && each.in === "query") query.set(each.name, input.value);
      else if (input.value && each.in === "header") headers[each.name] = input.value;
    }
    try {
      const answer = await call(method.toUpperCase(), `${url}${query.size ? `?${query}` : ""}`, { body: text ? JSON.parse(text.value) : undefined, headers });
      shown.replaceChildren(el("pre", { tabindex: 0 }, JSON.stringify(answer, null, 2) ?? "done"));
    } catch (error) {
      shown.replaceChildren(el("pre", { tabindex: 0 }, [error.message, ...(error.errors || []).map((each) => JSON.stringify(each))].join("\n")));
    }
  });
  return el(
    "details",
    { class: "more" },
    el("summary", {}, "Try it"),
    el("div", { class: "stack" }, [
      ...inputs.map(({ each, input }) => el("div", { class: "field" }, el("label", { for: input.id }, each.name), input)),
      text ? el("div", { class: "field" }, el("label", { for: text.id }, "Body"), text) : "",
      send,
      shown,
    ]),
  );
}

function draw() {
  byId("title").textContent = api.info.title;
  byId("summary").textContent = api.info.summary || "";
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((each) => methods[each])) {
      const tag = methods[method].tags?.[0] || "other";
      groups.set(tag, [...(groups.get(tag) || []), operation(path, method, methods[method])]);
    }
  }
  byId("operations").replaceChildren(...[...groups].map(([tag, made]) => el("section", { class: "group" }, el("h2", {}, tag), made)));
}

function find() {
  const words = byId("find").value.toLowerCase().split(/\s+/);
  for (const each of document.querySelectorAll(".operation")) each.hidden = !words.every((word) => each.dataset.words.includes(word));
  for (const each of document.querySelectorAll(".group")) each.hidden = !each.querySelector(".operation:not([hidden])");
}

byId("find").addEventListener("input", find);

try {
  api = await call("GET", "/openapi.json");
  draw();
  find(); // what was typed before there was anything to find
} catch (error) {
  byId("news").textContent = error.message;
}
