// One pool: its members, what runs, its outputs, and what can be done to it.

import { actions } from "./actions.js";
import { ApiError, call, of } from "./api.js";
import { byId, h, morphChildren } from "./dom.js";
import { driveOf, follow, followOutputs, operations, pools, runningOn } from "./live.js";
import { act, advice, badge, badges, bays, isShelved, mainButtons, makeup, may, memberState, progressOf, sync, usage } from "./parts.js";
import { start } from "./shell.js";
import { bytes, moment, say } from "./text.js";

const MOST_LINES = 2000;
const guid = decodeURIComponent(location.pathname.split("/")[2]).toLowerCase();
let lines = [];
let reading = false;

start(actions);
follow(update);
followOutputs((outputs) => {
  if (outputs.poolGroupGuid !== guid || reading) return;
  if (outputs.offset === 0) lines = [];
  lines.push(...outputs.lines);
  showLines();
});

function update(changes) {
  const operationChanged = [...changes.operation].some((id) => operations.get(id)?.poolGroupGuid === guid);
  const drivesChanged = changes.drive.size > 0;
  if (!changes.all && !changes.pool.has(guid) && !operationChanged && !drivesChanged) return;
  // outputs are those of an operation: without one, none are kept
  if (changes.all && [...operations.values()].some((one) => one.poolGroupGuid === guid)) void readOutputs();
  void show();
}

async function show() {
  const pool = pools.get(guid) ?? (await ended());
  document.title = `${pool?.label || say("pool.unknown")} · Backy`;
  morphChildren(byId("pool"), pool ? whole(pool) : [nothing()]);
}

/** A pool that is not in the list: its creation failed, or it was deleted a short while ago. */
async function ended() {
  for (const state of ["failed", "deleted"]) {
    const listed = await call("GET", `/pools?state=${state}`);
    const pool = listed.find((one) => one.poolGroupGuid === guid);
    if (pool) return pool;
  }
  return null;
}

function nothing() {
  return h("div", { class: "empty" }, h("h1", {}, say("pool.unknown")), h("p", { class: "muted" }, guid), h("a", { href: "/" }, say("pool.back")));
}

function whole(pool) {
  const operation = runningOn(guid);
  return [
    h(
      "div",
      { class: "head" },
      h("h1", {}, pool.label || guid),
      badges(pool),
      h("div", { class: "buttons" }, mainButtons(pool), otherButtons(pool)),
    ),
    operation && h("section", { class: "panel", "aria-label": say("pool.running") }, progressOf(operation), may("admin") && h("div", { class: "buttons" }, act("cancel", operation.id))),
    advice(pool),
    h("section", { class: "panel", "aria-labelledby": "space-title" }, h("h2", { id: "space-title" }, say("pool.storage")), h("p", { class: "muted meta" }, makeup(pool)), sync(pool), usage(pool), isShelved(pool) && h("p", {}, say("pool.shelved_means")), bays(pool)),
    pool.drives.length > 0 && members(pool),
    facts(pool),
  ].filter(Boolean);
}

function otherButtons(pool) {
  if (!may("admin") || runningOn(guid) || !["ready", "unmounted", "error"].includes(pool.state)) return [];
  return [
    act("rename", guid),
    pool.state === "ready" && act("add", guid),
    act("forget", guid),
    act("delete", guid, { more: { class: "danger-quiet" } }),
  ].filter(Boolean);
}

function members(pool) {
  const heads = ["label", "serial", "model", "size", "node", "status"].map((name) => h("th", { scope: "col" }, say(`drive.${name}`)));
  const rows = pool.drives.map((member) => {
    const drive = driveOf(member.serial);
    const { status, text } = memberState(pool, member);
    const cells = [member.label ?? "–", member.serial, drive?.model ?? "–", drive ? bytes(drive.size) : "–", drive?.path ?? "–"];
    return h("tr", {}, cells.map((cell) => h("td", {}, cell)), h("td", {}, text && badge(status, text)));
  });
  return h(
    "section",
    { class: "panel", "aria-labelledby": "members-title" },
    h("h2", { id: "members-title" }, say("pool.members")),
    h("div", { class: "scroll", tabindex: 0, role: "group", "aria-labelledby": "members-title" }, h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows))),
  );
}

function facts(pool) {
  const opensOn = pool.opensOn;
  const tools = Object.entries(opensOn?.tools ?? {}).map(([name, version]) => `${name} ${version}`);
  const pairs = [
    ["mount_path", pool.mountPath],
    ["device", pool.mdDeviceName],
    ["created", pool.createdAt && moment(pool.createdAt)],
    ["portability", pool.portability],
    ["opens_on", opensOn && [`Linux ${opensOn.kernel}`, ...tools].join(", ")],
    ["guid", guid],
    ["stale", pool.staleBecause],
  ].filter(([, value]) => value);
  return h(
    "section",
    { class: "panel", "aria-labelledby": "facts-title" },
    h("h2", { id: "facts-title" }, say("pool.facts")),
    h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, say(`pool.${name}`)), h("dd", {}, value)))),
  );
}

async function readOutputs() {
  reading = true;
  try {
    lines = (await call("GET", `${of(guid)}/outputs`)).outputs;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    lines = [];
  } finally {
    reading = false;
  }
  showLines();
}

function showLines() {
  const text = byId("outputs-text");
  const atEnd = text.scrollTop + text.clientHeight >= text.scrollHeight - 8;
  lines = lines.slice(-MOST_LINES);
  byId("outputs").hidden = lines.length === 0;
  text.textContent = lines.join("\n");
  if (atEnd) text.scrollTop = text.scrollHeight;
}
