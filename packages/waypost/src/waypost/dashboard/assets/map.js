// The map: services with their instances around them, and who calls whom, as it happens.

import { get } from "./api.js";
import { remember } from "./app.js";
import { h, replace, s, section } from "./dom.js";
import { layOut, ringOf } from "./layout.js";
import { atMost } from "./pager.js";
import { badge, bar, instanceLink, number, rate, serviceLink, shape, stateOf, STATES, wordOf } from "./words.js";

const RADIUS = 56;
const BALANCER = "balancer";

export async function showMap(root, { query }) {
  const namespace = query.get("namespace") ?? "";
  const [first, overview] = await Promise.all([get("map", { namespace }), get("overview")]);
  let told = first;
  let edges = [];
  const drawing = s("svg", { class: "drawing", role: "group", "aria-label": "Map of services, told in the tables below" });
  const calls = h("tbody"), nodes = h("tbody");
  const note = h("p", { class: "muted", role: "status" });
  let places = new Map();
  let arcs = new Map();

  const select = h("select", { id: "namespace", "aria-label": "Namespace" }, h("option", { value: "" }, "All namespaces"),
    overview.namespaces.map((each) => h("option", { value: each.id, selected: each.id === namespace }, each.name)));
  select.addEventListener("change", () => { remember({ namespace: select.value }); window.dispatchEvent(new HashChangeEvent("hashchange")); });

  function draw() {
    const all = [...(told.balancer ? [{ id: BALANCER, name: "balancer", instances: [], balancer: true }] : []), ...told.nodes];
    const laid = layOut(all.map((each) => each.id), edges, RADIUS, drawing.parentElement?.clientWidth || 1000);
    places = laid.places;
    drawing.setAttribute("viewBox", `0 0 ${laid.width} ${laid.height}`);
    drawing.style.maxWidth = `${laid.width}px`;
    const lines = s("g", { class: "edges" });
    arcs = new Map();
    for (const edge of edges) {
      const arc = arcOf(edge);
      if (arc) { lines.append(arc.element); arcs.set(keyOf(edge), arc); }
    }
    replace(drawing, lines, all.map((each) => node(each)));
    showTables();
    const left = told.total - told.nodes.length;
    note.textContent = left > 0 ? `${number(left)} services are not drawn: those that fail come first. Choose a namespace.` : "";
  }

  function node(each) {
    const at = places.get(each.id);
    const group = s("g", { class: `node ${each.balancer ? "balancer" : stateOf(each)}`, transform: `translate(${at.x} ${at.y})`, "data-id": each.id });
    if (each.balancer) {
      group.append(s("rect", { class: "body", x: -34, y: -20, width: 68, height: 40, rx: 8 }), s("text", { y: 5 }, "balancer"));
      return group;
    }
    const ring = ringOf(each.instances.length, RADIUS);
    group.append(s("title", null, `${each.name}.${each.namespace}: ${wordOf(each)}, ${each.well} of ${each.total} well`),
      s("circle", { class: "body", r: RADIUS - 16 }));
    const link = s("a", { href: serviceLink(each.id), tabindex: "-1" }, s("text", { class: "name", y: -1 }, clipped(each.name)), s("text", { class: "count", y: 13 }, `${number(each.well)}/${number(each.total)}`));
    group.append(link);
    each.instances.forEach((instance, index) => {
      const [x, y] = ring[index];
      group.append(s("a", { href: instanceLink(each.id, instance.id), tabindex: "-1", class: `dot ${instance.state}`, transform: `translate(${x} ${y})`, "data-id": instance.id, "data-state": instance.state },
        s("title", null, `${instance.id}: ${STATES[instance.state]}${instance.address ? `, ${instance.address}` : ""}`), shape(instance.state, ring.size)));
    });
    if (each.total > each.instances.length) group.append(s("text", { class: "more", y: RADIUS + 18 }, `and ${number(each.total - each.instances.length)} more`));
    return group;
  }

  function arcOf(edge) {
    const from = places.get(edge.from), to = places.get(edge.to);
    if (!from || !to) return null;
    const line = s("path", { class: "edge" }), head = s("path", { class: "arrow" }), label = s("text", { class: "rate" });
    if (edge.from === edge.to) {
      line.setAttribute("d", `M${from.x - 18} ${from.y - RADIUS}C${from.x - 40} ${from.y - 100} ${from.x + 40} ${from.y - 100} ${from.x + 18} ${from.y - RADIUS}`);
      label.setAttribute("x", from.x); label.setAttribute("y", from.y - 92);
    } else {
      const dx = to.x - from.x, dy = to.y - from.y, length = Math.hypot(dx, dy) || 1;
      const [ux, uy] = [dx / length, dy / length], out = RADIUS + 9;
      const bend = 0.12 * length;
      const [sx, sy, ex, ey] = [from.x + ux * out, from.y + uy * out, to.x - ux * (out + 8), to.y - uy * (out + 8)];
      const [mx, my] = [(sx + ex) / 2 - uy * bend, (sy + ey) / 2 + ux * bend];
      line.setAttribute("d", `M${sx} ${sy}Q${mx} ${my} ${ex} ${ey}`);
      const [ax, ay] = [ex - mx, ey - my].map((part) => part / (Math.hypot(ex - mx, ey - my) || 1));
      head.setAttribute("d", `M${ex + ax * 8} ${ey + ay * 8}L${ex - ay * 5} ${ey + ax * 5}L${ex + ay * 5} ${ey - ax * 5}Z`);
      label.setAttribute("x", 0.25 * sx + 0.5 * mx + 0.25 * ex); label.setAttribute("y", 0.25 * sy + 0.5 * my + 0.25 * ey - 6);
    }
    const element = s("g", { class: "flow" }, line, head, label);
    const arc = { element, line, label };
    tell(arc, edge);
    return arc;
  }

  function tell(arc, edge) {
    const much = edge.requests_s ?? edge.octets_s / 200;
    arc.line.style.strokeWidth = String(1.2 + Math.min(4, Math.log10(1 + (much || 0))));
    arc.element.classList.toggle("failing", edge.errors_s > 0);
    arc.element.classList.toggle("still", !much);
    arc.label.textContent = words(edge);
  }

  function showTables() {
    const name = (id) => (id === BALANCER ? "balancer" : told.nodes.find((each) => each.id === id)?.name ?? id);
    replace(calls, edges.length ? edges.map((edge) => h("tr", null, h("th", { scope: "row" }, name(edge.from)), h("td", null, name(edge.to)), h("td", null, words(edge)), h("td", null, edge.connections === null ? "–" : number(edge.connections))))
      : h("tr", null, h("td", { colspan: 4, class: "none" }, "Nobody calls anybody that is known here right now.")));
    replace(nodes, told.nodes.map((each) => h("tr", { class: stateOf(each) }, h("th", { scope: "row" }, h("a", { href: serviceLink(each.id) }, each.name), h("span", { class: "in" }, each.namespace)), h("td", null, badge(stateOf(each), wordOf(each))), h("td", null, bar(each)))));
  }

  const again = atMost(async () => { told = await get("map", { namespace }); draw(); }, 300);
  const resized = new ResizeObserver(() => draw());

  replace(root, h("h1", { tabindex: "-1" }, "Map"),
    section("Services and their calls", { id: "map" }, h("div", { class: "tools" }, select, note), h("div", { class: "scroll" }, drawing),
      h("p", { class: "legend" }, Object.keys(STATES).map((state) => h("span", { class: state }, badge(state))))),
    h("div", { class: "columns" },
      section("Calls", { id: "calls", class: "wide" }, h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, ["From", "To", "Rate", "Connections"].map((word) => h("th", { scope: "col" }, word)))), calls)),
        h("p", { class: "muted" }, "Tasks call from their own address, so the kernel's list of connections tells who calls whom; requests are the balancer's own count.")),
      section("Nodes", { id: "nodes", class: "side" }, h("div", { class: "scroll" }, h("table", null, h("thead", null, h("tr", null, ["Service", "State", "Well"].map((word) => h("th", { scope: "col" }, word)))), nodes)))));
  draw();
  resized.observe(root);

  return {
    title: "Map",
    revision: first.revision,
    leave() { resized.disconnect(); },
    reset: again,
    traffic(data) {
      const before = edges.map(keyOf).join(" ");
      edges = data.edges;
      if (before !== edges.map(keyOf).join(" ")) { draw(); return; }
      for (const edge of edges) { const arc = arcs.get(keyOf(edge)); if (arc) tell(arc, edge); }
      showTables();
    },
    changes(data) {
      let changed = false;
      for (const entry of data.items) {
        const at = told.nodes.find((each) => each.id === entry.service_id);
        if (!at || !entry.instance) continue;
        changed = true;
        const index = at.instances.findIndex((each) => each.id === entry.instance);
        if (!entry.row) { if (index >= 0) at.instances.splice(index, 1); }
        else if (index >= 0) at.instances[index] = entry.row;
        else if (at.instances.length < 24) at.instances.push(entry.row);
      }
      for (const fresh of data.services) {
        const at = told.nodes.find((each) => each.id === fresh.id);
        if (at) { Object.assign(at, fresh); changed = true; } else again();
      }
      if (data.gone.length || data.more) again();
      else if (changed) draw();
    },
  };
}

const keyOf = (edge) => `${edge.from}>${edge.to}`;
const clipped = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);

function words(edge) {
  if (edge.requests_s !== null) return `${edge.requests_s < 10 ? edge.requests_s.toFixed(1) : number(Math.round(edge.requests_s))} req/s${edge.errors_s > 0 ? `, ${edge.errors_s.toFixed(1)} failing` : ""}`;
  return edge.octets_s === null ? "counting" : rate(edge.octets_s);
}
