// All pools at a glance, and what runs now.

import { actions } from "./actions.js";
import { call } from "./api.js";
import { byId, h, KeyedList, morphChildren } from "./dom.js";
import { drives, follow, operations, pools, runningOn } from "./live.js";
import {
  act, advice, badges, bays, isShelved, mainButtons, makeup, may, needsAttention, progressOf, sync, usage,
} from "./parts.js";
import { start } from "./shell.js";
import { bytes, day, say, sayIf } from "./text.js";

const SECTIONS = ["attention", "pools", "shelved"];
const lists = Object.fromEntries(
  SECTIONS.map((name) => [name, new KeyedList(byId(`${name}-list`), card, (pool) => [pool.label, pool.poolGroupGuid])]),
);
const running = new KeyedList(byId("running-list"), operationRow, (operation) => [operation.startedAt, operation.id]);
const failed = new Map();
const byDrive = new Map();
let sought = "";

start(actions);
follow(update);
byId("search").addEventListener("input", (event) => {
  sought = event.target.value.trim().toLowerCase();
  showAll();
});

function update(changes) {
  noteFailures(changes);
  if (changes.all) showAll();
  else showSome(changes);
  showRunning(changes);
  showTiles();
}

function sectionOf(pool) {
  if (needsAttention(pool)) return "attention";
  return isShelved(pool) ? "shelved" : "pools";
}

function isSought(pool) {
  if (!sought) return true;
  const texts = [pool.label, pool.poolGroupGuid, ...pool.drives.flatMap((drive) => [drive.serial, drive.label ?? ""])];
  return texts.some((text) => text.toLowerCase().includes(sought));
}

function showAll() {
  const sections = Object.fromEntries(SECTIONS.map((name) => [name, new Map()]));
  byDrive.clear();
  for (const pool of [...pools.values(), ...failed.values()]) {
    for (const { serial } of pool.drives) byDrive.set(serial, pool.poolGroupGuid);
    if (isSought(pool)) sections[sectionOf(pool)].set(pool.poolGroupGuid, pool);
  }
  for (const name of SECTIONS) {
    void lists[name].fill(sections[name]);
    showCount(name, sections[name].size);
  }
}

/** Draw again the pools that changed, that something runs on, or whose drives changed. */
function showSome(changes) {
  const guids = new Set(changes.pool);
  for (const id of changes.operation) if (operations.has(id)) guids.add(operations.get(id).poolGroupGuid);
  for (const name of changes.drive) {
    const guid = byDrive.get(drives.get(name)?.serial);
    if (guid) guids.add(guid);
  }
  for (const guid of guids) {
    const pool = pools.get(guid) ?? failed.get(guid);
    const section = pool && isSought(pool) ? sectionOf(pool) : null;
    for (const name of SECTIONS) if (name !== section) lists[name].delete(guid);
    if (section) lists[section].set(guid, pool);
    for (const { serial } of pool?.drives ?? []) byDrive.set(serial, guid);
  }
  for (const name of SECTIONS) showCount(name, lists[name].size);
}

function showCount(name, size) {
  byId(name).hidden = size === 0;
  byId(`${name}-count`).textContent = size;
  byId("empty").hidden = pools.size + failed.size > 0;
}

function card(pool) {
  const guid = pool.poolGroupGuid;
  const operation = runningOn(guid);
  const titleId = `pool-${guid}`;
  const buttons = mainButtons(pool);
  const inside = h(
    "article",
    { class: "card", "aria-labelledby": titleId, "data-guid": guid },
    h(
      "div",
      { class: "card-head" },
      h("h3", { id: titleId }, h("a", { href: `/pools/${guid}` }, pool.label || guid)),
      badges(pool),
    ),
    h("p", { class: "muted meta" }, makeup(pool)),
    operation && progressOf(operation),
    sync(pool),
    advice(pool),
    usage(pool),
    isShelved(pool) && h("p", { class: "small" }, say("pool.shelved", { day: day(pool.createdAt), path: pool.mountPath ?? "–" })),
    bays(pool),
    buttons.length > 0 && h("div", { class: "buttons" }, buttons),
  );
  return h("li", {}, inside);
}

function operationRow(operation) {
  const pool = pools.get(operation.poolGroupGuid);
  const kind = sayIf(`kind.${operation.kind}`, operation.kind);
  return h(
    "li",
    { class: "operation" },
    h("p", {}, h("strong", {}, kind), " ", h("a", { href: `/pools/${operation.poolGroupGuid}` }, pool?.label ?? operation.poolGroupGuid)),
    progressOf(operation, { named: true }),
    may("admin") && act("cancel", operation.id),
  );
}

function showRunning(changes) {
  const now = new Map([...operations].filter(([, operation]) => operation.state === "running"));
  if (changes.all || changes.operation.size || changes.pool.size) void running.fill(now);
  byId("running").hidden = now.size === 0;
}

/** Pools whose creation failed are in no list: ask for them once an operation says so. */
async function noteFailures(changes) {
  const ended = [...changes.operation].some((id) => operations.get(id)?.state !== "running");
  if (!ended && !changes.all) return;
  const before = failed.size;
  const now = await call("GET", "/pools?state=failed");
  failed.clear();
  for (const pool of now) failed.set(pool.poolGroupGuid, pool);
  if (before || failed.size) showAll();
}

function showTiles() {
  const all = [...pools.values()];
  const mounted = all.filter((pool) => pool.state === "ready");
  const sum = (field) => mounted.reduce((total, pool) => total + (pool[field] ?? 0), 0);
  const free = [...drives.values()].filter((drive) => drive.available).length;
  const attention = all.filter(needsAttention).length + failed.size;
  const tiles = [
    ["pools", String(all.length), say("tile.mounted", { number: mounted.length })],
    ["attention", String(attention), say(attention ? "tile.look" : "tile.well"), attention ? "warn" : "good"],
    ["space", bytes(sum("available")), say("tile.used", { used: bytes(sum("used")), size: bytes(sum("size")) })],
    ["drives", String(drives.size), say("tile.free", { number: free })],
  ];
  morphChildren(
    byId("tiles"),
    tiles.map(([name, value, text, tone]) =>
      h("div", { class: "tile", "data-tone": tone }, h("dt", {}, say(`tile.${name}`)), h("dd", {}, h("strong", {}, value), h("span", {}, text))),
    ),
  );
}
