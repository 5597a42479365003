// Words and figures as people read them. The words themselves are in english.toml.

import words from "./words.js";

/** The text at `key`, such as "pool.mount", with `{name}` replaced by `values.name`. */
export function say(key, values = {}) {
  const text = key.split(".").reduce((place, part) => place?.[part], words);
  if (typeof text !== "string") throw new Error(`No text for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** As say, of a text that exists, or else `fallback`: for words of plugins and newer agents. */
export function sayIf(key, fallback) {
  const text = key.split(".").reduce((place, part) => place?.[part], words);
  return typeof text === "string" ? text : fallback;
}

/** The text at `key` for so many. */
export function count(key, number, values = {}) {
  return say(`${key}.${number === 1 ? "one" : "other"}`, { ...values, number: number.toLocaleString("en") });
}

const POOL = "/api/v1/pools/[^/\\s?]+";
const REQUESTS = [
  [`DELETE ${POOL}/mount`, "unmount"],
  [`POST ${POOL}/mount(?: with "[^"]+": (?:true|false))?`, "mount"],
  ["DELETE /api/v1/pools/metadata/[^\\s.,;]+", "forget"],
  [`POST ${POOL}/import`, "import"],
  [`GET ${POOL}/outputs`, "outputs"],
  [`GET ${POOL}/processes`, "processes"],
  ["GET /api/v1/pools/importable", "importable"],
  [`DELETE ${POOL}(?:\\?[^\\s.,;]+)?`, "delete"],
  ["GET /api/v1/operations", "operations"],
  ["GET /api/v1/drives", "drives"],
  ["DELETE /api/v1/drives/[^/\\s]+/protection", "unprotect"],
].map(([pattern, name]) => [new RegExp(pattern, "g"), name]);

/** A text of the API, with the buttons and pages of the dashboard in place of requests. */
export function plainly(text) {
  return REQUESTS.reduce((worded, [pattern, name]) => worded?.replace(pattern, () => say(`request.${name}`)), text);
}

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** In powers of 1000, as drives are sold. */
export function bytes(number) {
  if (number === null || number === undefined) return "–";
  let unit = 0;
  let value = number;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : value >= 9.95 ? 1 : 2;
  return `${Number(value.toFixed(digits)).toLocaleString("en")} ${UNITS[unit]}`;
}

const DAY = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export const day = (text) => (text ? DAY.format(new Date(text)) : "–");
export const moment = (text) => (text ? MOMENT.format(new Date(text)) : "–");

/** Minutes as "3 h 20 min". */
export function span(minutes) {
  const whole = Math.max(1, Math.round(minutes));
  const hours = Math.floor(whole / 60);
  return hours ? say("time.hours", { hours, minutes: whole % 60 }) : say("time.minutes", { minutes: whole });
}

export const percent = (number) => `${Math.floor(number)} %`;

export const list = (items) => new Intl.ListFormat("en").format(items);
