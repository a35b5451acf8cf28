// Where nodes stand: callers left of whom they call, in columns; those that nobody calls and who call nobody, in rows.

const SPACING = 330;  // between columns, at most
const CALLS = 36;  // more between rows, where calls lead from one to the next

/** Return the place of each node and the size of the whole. */
export function layOut(ids, edges, radius, width) {
  const cell = radius * 2 + (width < 640 ? 40 : 64);
  const known = new Set(ids);
  const real = edges.filter((edge) => known.has(edge.from) && known.has(edge.to) && edge.from !== edge.to);
  const depth = depths(ids, real);
  const columns = [];
  for (const id of ids) {
    if (!depth.has(id)) continue;
    (columns[depth.get(id)] ??= []).push(id);
  }
  const layers = columns.filter(Boolean);
  const apart = ids.filter((id) => !depth.has(id));
  const wide = Math.max(cell, Math.min(width, 1400));
  const places = new Map();
  const standing = layers.length * cell > wide;  // too narrow for columns: callers stand above whom they call
  const top = standing ? inRows(layers, cell, wide, 0, places, CALLS) : inColumns(layers, cell, wide, places);
  const perRow = Math.max(1, Math.floor(wide / cell));
  const rows = [];
  for (let index = 0; index < apart.length; index += perRow) rows.push(apart.slice(index, index + perRow));
  const bottom = inRows(rows, cell, wide, top, places);
  return { places, width: wide, height: Math.max(cell, bottom) };
}

/** Return how far each node that calls or is called stands from the first caller; a call that closes a circle is left out. */
function depths(ids, edges) {
  const called = new Map();
  for (const edge of edges) called.set(edge.from, [...(called.get(edge.from) ?? []), edge.to]);
  const targets = new Set(edges.map((edge) => edge.to));
  const joined = ids.filter((id) => called.has(id) || targets.has(id));
  const onward = [];  // the calls that close no circle
  const state = new Map();
  const order = [];
  function visit(id) {
    state.set(id, "open");
    for (const target of called.get(id) ?? []) {
      if (state.get(target) === "open") continue;
      onward.push([id, target]);
      if (!state.has(target)) visit(target);
    }
    state.set(id, "done");
    order.unshift(id);
  }
  for (const id of [...joined.filter((each) => !targets.has(each)), ...joined]) if (!state.has(id)) visit(id);
  const depth = new Map(joined.map((id) => [id, 0]));
  for (const id of order) for (const [from, to] of onward) if (from === id) depth.set(to, Math.max(depth.get(to), depth.get(id) + 1));
  return depth;
}

/** Place each layer as a column; return where the last one ends. */
function inColumns(layers, cell, wide, places) {
  const span = Math.min(wide, cell + (layers.length - 1) * SPACING);
  const tallest = Math.max(0, ...layers.map((layer) => layer.length));
  layers.forEach((layer, index) => {
    const x = layers.length > 1 ? (wide - span) / 2 + cell / 2 + (index * (span - cell)) / (layers.length - 1) : wide / 2;
    layer.forEach((id, row) => places.set(id, { x: Math.round(x), y: Math.round(cell / 2 + (row + (tallest - layer.length) / 2) * cell) }));
  });
  return tallest * cell;
}

/** Place each layer as a row, or as several where one has no room; return where the last one ends. */
function inRows(layers, cell, wide, top, places, gap = 0) {
  const most = Math.max(1, Math.floor(wide / cell));
  let y = top;
  for (const layer of layers) {
    for (let first = 0; first < layer.length; first += most) {
      const row = layer.slice(first, first + most);
      const step = Math.min(wide / row.length, SPACING), from = (wide - step * row.length) / 2;
      row.forEach((id, index) => places.set(id, { x: Math.round(from + (index + 0.5) * step), y: Math.round(y + cell / 2) }));
      y += cell + gap;
    }
  }
  return y;
}

/** Return places on a ring around a node, and how large what stands there may be. */
export function ringOf(count, radius) {
  const size = count > 16 ? 4.2 : 5.4;
  const ring = Array.from({ length: count }, (_, index) => {
    const angle = (index / count) * 2 * Math.PI - Math.PI / 2;
    return [Math.round(Math.cos(angle) * radius * 10) / 10, Math.round(Math.sin(angle) * radius * 10) / 10];
  });
  ring.size = size;
  return ring;
}
