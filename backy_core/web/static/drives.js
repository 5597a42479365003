// Every drive: free, in pools, protected, unavailable and why, and members that are not plugged in.

import { actions } from "./actions.js";
import { byId, h, icon, KeyedList } from "./dom.js";
import { drives, follow, pools } from "./live.js";
import { act, badge, may } from "./parts.js";
import { start } from "./shell.js";
import { bytes, say, sayIf } from "./text.js";

const ORDER = ["free", "unavailable", "protected", "pool", "absent"];
const TONES = { free: "good", pool: "plain", protected: "busy", unavailable: "warn", absent: "calm" };
const list = new KeyedList(byId("drives"), row, (item) => [ORDER.indexOf(item.kind), item.serial, item.key]);
let filter = "all";
let sought = "";

start(actions);
follow(show);
byId("filters").addEventListener("change", (event) => {
  filter = event.target.value;
  show();
});
byId("search").addEventListener("input", (event) => {
  sought = event.target.value.trim().toLowerCase();
  show();
});

function show() {
  const all = [...connected(), ...absent()];
  for (const place of document.querySelectorAll("[data-count]")) {
    const kind = place.dataset.count;
    place.textContent = all.filter((item) => kind === "all" || item.kind === kind).length;
  }
  const shown = all.filter((item) => (filter === "all" || item.kind === filter) && isSought(item));
  void list.fill(new Map(shown.map((item) => [item.key, item])));
  byId("empty").hidden = shown.length > 0;
}

function kindOf(drive) {
  if (drive.poolGroupGuid) return "pool";
  if (drive.protected) return "protected";
  return drive.available ? "free" : "unavailable";
}

function connected() {
  return [...drives.values()].map((drive) => {
    const pool = pools.get(drive.poolGroupGuid);
    const member = pool?.drives.find((one) => one.serial === drive.serial);
    return { key: drive.name, kind: kindOf(drive), serial: drive.serial, drive, pool, member };
  });
}

/** Members that pools remember and that are not plugged in. */
function absent() {
  const present = new Set([...drives.values()].map((drive) => drive.serial));
  return [...pools.values()].flatMap((pool) =>
    pool.drives
      .filter((member) => !present.has(member.serial))
      .map((member) => ({ key: `absent ${member.serial}`, kind: "absent", serial: member.serial, drive: null, pool, member })),
  );
}

function isSought(item) {
  if (!sought) return true;
  const { drive, pool, member } = item;
  const texts = [item.serial, drive?.model, drive?.name, drive?.["id-link"], pool?.label, member?.label];
  return texts.some((text) => text?.toLowerCase().includes(sought));
}

function row(item) {
  const { drive, member, pool, kind, serial } = item;
  const title = [drive?.vendor, drive?.model].filter(Boolean).join(" ");
  const summary = h(
    "summary",
    {},
    h("span", { class: "led", "data-tone": TONES[kind], "aria-hidden": "true" }),
    h("span", { class: "drive-name" }, h("strong", {}, serial), h("span", { class: "muted" }, title || member?.label || "")),
    h("span", { class: "drive-size" }, drive ? bytes(drive.size) : "–"),
    h("span", { class: "drive-node muted" }, drive?.path ?? ""),
    h("span", { class: "drive-use" }, use(item)),
    badgeOf(item),
  );
  const buttons = drive ? buttonsOf(drive) : [];
  return h(
    "li",
    { class: "drive", "data-kind": kind },
    h(
      "details",
      {},
      summary,
      h(
        "div",
        { class: "drive-body" },
        reason(item),
        drive && details(drive),
        pool && h("p", {}, say("drive.member_of"), " ", h("a", { href: `/pools/${pool.poolGroupGuid}` }, pool.label)),
        buttons.length > 0 && h("div", { class: "buttons" }, buttons),
      ),
    ),
  );
}

/** The pool and the place in it, or the reason why the drive cannot be taken. */
function use({ drive, pool, member }) {
  if (pool) return [pool.label, member?.label].filter(Boolean).join(" · ");
  return drive?.unavailableBecause ?? "";
}

function badgeOf({ kind, member, drive }) {
  const status = kind === "pool" && member ? member.status : kind;
  const text = kind === "pool" && member ? sayIf(`member.${status}`, status) : say(`kind_of_drive.${kind}`);
  return h("span", { class: "badges" }, drive?.protected && icon("lock"), badge(kind === "pool" ? status : kind, text));
}

function reason({ drive, kind, pool }) {
  if (kind === "absent") return h("p", {}, say("drive.absent_means", { label: pool.label }));
  return drive.unavailableBecause && h("p", {}, drive.unavailableBecause);
}

function details(drive) {
  const pairs = [
    [say("drive.path"), drive.path],
    [say("drive.link"), drive["id-link"]],
    [say("drive.identified"), say(`identified.${drive.identifiedBy}`)],
    [say("drive.content"), drive.fstype],
    [say("drive.sectors"), say("drive.sector_size", { size: drive.sectorSize })],
    [say("drive.mounted"), drive.mountpoint],
  ].filter(([, value]) => value);
  return [
    h("dl", { class: "facts" }, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    drive.children.length > 0 && h("div", {}, h("h2", {}, say("drive.on_it")), tree(drive.children)),
  ];
}

function tree(devices) {
  return h(
    "ul",
    { class: "tree" },
    devices.map((device) =>
      h(
        "li",
        {},
        h("code", {}, device.name),
        ` ${[device.type, bytes(device.size), device.fstype, device.mountpoint].filter(Boolean).join(" · ")}`,
        device.children.length > 0 && tree(device.children),
      ),
    ),
  );
}

function buttonsOf(drive) {
  return [
    may("operate") && act("blink", drive.serial),
    may("admin") && act(drive.protected ? "unprotect" : "protect", drive.serial),
  ].filter(Boolean);
}
