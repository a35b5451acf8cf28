// Times in the reader's words, and from a clock's reading in a zone to the instant that it means.

export const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

export function zones() {
  const known = Intl.supportedValuesOf ? Intl.supportedValuesOf("timeZone") : [];
  return known.includes("UTC") ? known : ["UTC", ...known];
}

export function isZone(zone) {
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone !== "";
  } catch {
    return false;
  }
}

/** Return an instant as a date and a time on a zone's clock. */
export function told(instant, zone = HERE) {
  const format = { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat("en-GB", { ...format, timeZone: zone }).format(new Date(instant));
}

/** Return how far an instant is from now, in one unit. */
export function away(instant, now = Date.now()) {
  const seconds = (new Date(instant) - now) / 1000;
  const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const size = Math.abs(seconds);
  if (size < 45) return seconds > 5 ? "in a moment" : "just now";
  if (size < 3600) return words.format(Math.round(seconds / 60), "minute");
  if (size < 86400) return words.format(Math.round(seconds / 3600), "hour");
  return words.format(Math.round(seconds / 86400), "day");
}

/** Return a zone's reading at an instant, as milliseconds of a clock that runs in UTC. */
function reading(instant, zone) {
  const format = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-US", { ...format, timeZone: zone }).formatToParts(instant).map((part) => [part.type, Number(part.value)]),
  );
  return Date.UTC(parts.year, parts.month - 1, parts.day, parts.hour, parts.minute, parts.second);
}

/**
 * Return the instant at which a zone's clock shows this date ("2030-01-31") and time ("09:00").
 *
 * null: the clocks go forward over it. Where they show it twice, the first.
 */
export function instantOf(date, time, zone) {
  const wanted = Date.parse(`${date}T${time}:00Z`);
  const DAY = 86400000;
  const offsets = [wanted - DAY, wanted + DAY].map((near) => reading(near, zone) - near); // before and after a change
  const found = offsets.map((offset) => wanted - offset).filter((instant) => reading(instant, zone) === wanted);
  return found.length ? new Date(Math.min(...found)) : null;
}

/** Return tomorrow at nine on a zone's clock, as values for a date's and a time's field. */
export function tomorrow(zone = HERE) {
  const shown = new Date(reading(Date.now() + 86400000, zone));
  return { date: shown.toISOString().slice(0, 10), time: "09:00" };
}
