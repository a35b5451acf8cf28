// Where nodes stand: callers left of whom they call, in columns; those that nobody calls and who call nobody, in rows.

const SPACING = 330;  // between columns, at most

/** Return the place of each node and the size of the whole. */
export function layOut(ids, edges, radius, width) {
  const cell = radius * 2 + 64;
  const known = new Set(ids);
  const real = edges.filter((edge) => known.has(edge.from) && known.has(edge.to) && edge.from !== edge.to);
  const depth = new Map();
  const joined = new Set(real.flatMap((edge) => [edge.from, edge.to]));
  for (const id of ids) if (joined.has(id)) depth.set(id, 0);
  // Longest paths, with an end where calls go in a circle.
  for (let round = 0; round < Math.min(joined.size, 6); round += 1) {
    for (const edge of real) {
      const reached = depth.get(edge.from) + 1;
      if (reached > depth.get(edge.to) && reached <= round + 1) depth.set(edge.to, reached);
    }
  }
  const columns = [];
  for (const id of ids) {
    if (!depth.has(id)) continue;
    (columns[depth.get(id)] ??= []).push(id);
  }
  const full = columns.filter(Boolean);
  const apart = ids.filter((id) => !depth.has(id));
  const wide = Math.max(cell, Math.min(width, 1400));
  const span = Math.min(Math.max(wide, full.length * cell), cell + (full.length - 1) * SPACING);
  const places = new Map();
  const tallest = Math.max(0, ...full.map((column) => column.length));
  full.forEach((column, index) => {
    column.forEach((id, row) => {
      const x = full.length > 1 ? cell / 2 + (Math.max(wide, full.length * cell) - span) / 2 + (index * (span - cell)) / (full.length - 1) : wide / 2;
      places.set(id, { x: Math.round(x), y: Math.round(cell / 2 + (row + (tallest - column.length) / 2) * cell) });
    });
  });
  const top = tallest * cell;
  const perRow = Math.max(1, Math.floor(wide / cell));
  apart.forEach((id, index) => {
    const row = Math.floor(index / perRow), inRow = Math.min(perRow, apart.length - row * perRow);
    const step = Math.min(wide / inRow, SPACING), from = (wide - step * inRow) / 2;
    places.set(id, { x: Math.round(from + step / 2 + (index % perRow) * step), y: Math.round(top + cell / 2 + row * cell) });
  });
  return {
    places,
    width: Math.max(wide, full.length * cell),
    height: Math.max(cell, top + Math.ceil(apart.length / perRow) * cell),
  };
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
