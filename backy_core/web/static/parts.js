// Pools and drives as they are drawn on every page.

import { h, icon } from "./dom.js";
import { driveOf, runningOn } from "./live.js";
import { bytes, count, percent, plainly, say, sayIf, span } from "./text.js";

const TONES = {
  active: "good",
  resync: "busy",
  recovering: "busy",
  check: "busy",
  reshape: "busy",
  rebuilding: "busy",
  spare: "calm",
  degraded: "warn",
  stale: "warn",
  inactive: "calm",
  disconnected: "calm",
  missing: "warn",
  diverged: "bad",
  failed: "bad",
  error: "bad",
  ready: "plain",
  unmounted: "calm",
  creating: "busy",
  free: "good",
  protected: "busy",
  unavailable: "warn",
};
const HARMED = new Set(["failed", "missing", "stale", "diverged"]);
const UNHEALTHY = new Set(["degraded", "failed"]);

export const may = (scope) => scope in document.body.dataset;

/** A shelved pool: none of its drives is plugged in. */
export const isShelved = (pool) =>
  pool.state === "unmounted" && !pool.drives.some((drive) => drive.isConnected);

export const needsAttention = (pool) =>
  ["error", "failed"].includes(pool.state) ||
  UNHEALTHY.has(pool.poolStatus) ||
  Boolean(pool.errorMessage) ||
  (pool.state === "ready" && pool.drives.some((drive) => HARMED.has(drive.status)));

/** Members that a pool is short of: the next step is to put them back or to replace them. */
export const harmedMembers = (pool) =>
  pool.drives.filter((drive) => HARMED.has(drive.status) || drive.status === "disconnected");

/** State and health: two things, two badges. */
export function badges(pool) {
  const health = pool.poolStatus;
  return h(
    "span",
    { class: "badges" },
    badge(pool.state, sayIf(`state.${pool.state}`, pool.state), "state"),
    health && badge(health, healthText(pool), "health"),
  );
}

function healthText(pool) {
  const text = sayIf(`health.${pool.poolStatus}`, pool.poolStatus);
  return pool.resyncPercentage === undefined ? text : `${text} ${percent(pool.resyncPercentage)}`;
}

export function badge(status, text, kind = "") {
  return h("span", { class: `badge ${kind}`.trim(), "data-tone": TONES[status] ?? "calm" }, text);
}

/** What a pool is made of, in one line. */
export function makeup(pool) {
  const parts = [pool.backend, pool.level, pool.filesystem].filter(Boolean);
  return [...parts, count("drives", pool.drives.length)].join(" · ");
}

export function usage(pool) {
  if (pool.state !== "ready" || !pool.size) return null;
  const used = { used: bytes(pool.used), size: bytes(pool.size), free: bytes(pool.available) };
  const share = pool.size ? (100 * pool.used) / (pool.used + pool.available || 1) : 0;
  return h(
    "div",
    { class: "usage" },
    h("progress", {
      max: 100,
      value: share.toFixed(1),
      "aria-label": say("pool.space"),
      "data-tone": share >= 90 ? "warn" : "plain",
    }),
    h("p", {}, h("span", {}, say("pool.used", used)), h("span", {}, say("pool.free", used))),
  );
}

/** The progress of a synchronisation, with what is left of it. */
export function sync(pool) {
  if (pool.resyncPercentage === undefined) return null;
  const left = pool.resyncTimeEstimate;
  const text = sayIf(`health.${pool.poolStatus}`, pool.poolStatus);
  return h(
    "div",
    { class: "usage" },
    h("progress", { max: 100, value: pool.resyncPercentage.toFixed(1), "aria-label": text, "data-tone": "busy" }),
    h(
      "p",
      {},
      h("span", {}, `${text} ${percent(pool.resyncPercentage)}`),
      left !== undefined && left !== null && h("span", {}, say("time.left", { span: span(left) })),
    ),
  );
}

/** The members of a pool as drives in their bays. */
export function bays(pool) {
  return h("ul", { class: "bays", "aria-label": say("pool.members") }, pool.drives.map((member) => bay(pool, member)));
}

/** The state of a member as people read it; before a pool exists, its members have none. */
export function memberState(pool, member) {
  if (["creating", "failed"].includes(pool.state)) return { status: "", text: "" };
  const status = isAbsent(member) && !HARMED.has(member.status) ? "disconnected" : member.status;
  return { status, text: sayIf(`member.${status}`, status) };
}

const isAbsent = (member) => member.isConnected === false || member.status === "disconnected";

function bay(pool, member) {
  const drive = driveOf(member.serial);
  const absent = isAbsent(member);
  const { status, text } = memberState(pool, member);
  return h(
    "li",
    { class: "bay", "data-tone": TONES[status] ?? "calm", "data-absent": absent },
    h("span", { class: "led", "aria-hidden": "true" }),
    h("span", { class: "bay-label" }, member.label ?? member.serial),
    h("span", { class: "bay-serial" }, member.label ? member.serial : (drive?.model ?? "")),
    h(
      "span",
      { class: "bay-foot" },
      h("span", {}, drive ? bytes(drive.size) : absent && status !== "disconnected" && say("drive.absent")),
      h("span", { class: "bay-status" }, text),
    ),
  );
}

/** What runs, with its true progress. */
export function progressOf(operation, { named = false } = {}) {
  const { step, steps, title, percent: done } = operation.progress;
  const kind = sayIf(`kind.${operation.kind}`, operation.kind);
  return h(
    "div",
    { class: "running", role: "group", "aria-label": kind },
    h(
      "p",
      {},
      !named && h("strong", {}, kind),
      h("span", { class: "step" }, steps ? say("operation.step", { step, steps, title }) : title),
      h("span", { class: "percent" }, percent(done)),
    ),
    h("progress", { max: 100, value: done, "aria-label": kind, "data-tone": "busy" }),
  );
}

/** A note with a tone, and the buttons of the next step. */
export function note(tone, text, ...buttons) {
  return h(
    "div",
    { class: "note", "data-tone": tone },
    icon("warn"),
    h("p", {}, text),
    buttons.length > 0 && h("div", { class: "buttons" }, buttons),
  );
}

/** A button that asks for `action` on the item with this `key`. */
export function act(action, key, { primary = false, text = null, more = {} } = {}) {
  return h(
    "button",
    { type: "button", class: primary ? "primary" : "", "data-action": action, "data-key": key, ...more },
    text ?? say(`action.${action}`),
  );
}

/** What to tell about a pool that is not well, with the button of the next step. */
export function advice(pool) {
  if (!needsAttention(pool) || runningOn(pool.poolGroupGuid)) return null;
  const harmed = harmedMembers(pool);
  const text = plainly(pool.errorMessage) ?? say("advice.degraded", { count: count("members", harmed.length) });
  const tone = ["error", "failed"].includes(pool.state) || pool.poolStatus === "failed" ? "bad" : "warn";
  return note(tone, text, ...nextSteps(pool, harmed));
}

function nextSteps(pool, harmed) {
  const guid = pool.poolGroupGuid;
  if (pool.state === "failed") {
    return may("admin") ? [act("retry", guid, { primary: true }), act("forget-failed", guid)] : [];
  }
  const steps = [];
  if (may("admin") && harmed.length && pool.state === "ready" && pool.poolStatus !== "failed") {
    const text = say("action.replace-member", { name: harmed[0].label ?? harmed[0].serial });
    steps.push(act("add", guid, { primary: true, text, more: { "data-serial": harmed[0].serial } }));
  }
  if (may("operate") && ["error", "unmounted"].includes(pool.state)) {
    steps.push(act("mount", guid, { primary: true, text: say("action.mount-again") }));
  }
  return steps;
}

/** The buttons of a pool that everybody looks for. */
export function mainButtons(pool) {
  if (!may("operate") || runningOn(pool.poolGroupGuid)) return [];
  const guid = pool.poolGroupGuid;
  if (pool.state === "ready") return [act("unmount", guid)];
  if (pool.state === "unmounted" && !isShelved(pool) && !pool.errorMessage) {
    return [act("mount", guid, { primary: true })];
  }
  return [];
}
