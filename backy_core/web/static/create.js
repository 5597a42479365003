// Making a pool: drives, level, then the plan step by step, then the pool appears as creating.

import { actions } from "./actions.js";
import { ApiError, call } from "./api.js";
import { capacity, keeps, levelFits, mixedSectors, mixedSizes } from "./capacity.js";
import { check, plan } from "./dialogs.js";
import { byId, h, morphChildren } from "./dom.js";
import { drives, follow } from "./live.js";
import { note } from "./parts.js";
import { remember } from "./requests.js";
import { start } from "./shell.js";
import { bytes, count, list, say } from "./text.js";

const chosen = new Map(); // by serial, in the order of choosing: the label that was typed, or null
let backends = [];
let level = null; // that a person chose
let planned = null; // the request that the shown plan is of

start(actions);
follow((changes) => {
  if (changes.all || changes.drive.size) showDrives();
});
void begin();

async function begin() {
  backends = (await call("GET", "/backends")).backends.filter((backend) => backend.toolsInstalled);
  byId("backend").replaceChildren(...backends.map((one) => h("option", { value: one.name, selected: one.default }, one.name)));
  chooseBackend();
  if (backends.length === 0) showProblem(say("create.no_backend"));
}

const backend = () => backends.find((one) => one.name === byId("backend").value);
const isErasable = (drive) => drive.unavailableCode === "DRIVE_NOT_EMPTY";
const chosenDrives = () => [...drives.values()].filter((drive) => chosen.has(drive.serial));
const erased = () => chosenDrives().filter(isErasable);

function chooseBackend() {
  level = null;
  const filesystems = backend()?.filesystems ?? [];
  byId("filesystem").replaceChildren(...filesystems.map((name) => h("option", { value: name }, name)));
  showLevels();
}

function showDrives() {
  for (const serial of [...chosen.keys()]) if (![...drives.values()].some((drive) => drive.serial === serial)) chosen.delete(serial);
  const all = [...drives.values()].filter((drive) => drive.available || isErasable(drive));
  const withErasable = byId("show-erasable").checked;
  const shown = all.filter((drive) => drive.available || withErasable || chosen.has(drive.serial));
  shown.sort((a, b) => b.available - a.available || b.size - a.size || a.serial.localeCompare(b.serial));
  morphChildren(byId("choices"), shown.map(choice));
  for (const input of byId("choices").querySelectorAll("[data-label]")) {
    const label = chosen.get(input.dataset.label);
    if (label === null) input.value = defaultLabel(input.dataset.label);
  }
  byId("no-drives").hidden = shown.length > 0;
  byId("show-erasable-row").hidden = !all.some(isErasable);
  showComparison();
  showLevels();
}

function choice(drive) {
  const id = `drive-${drive.name}`;
  const name = [drive.vendor, drive.model].filter(Boolean).join(" ");
  const about = isErasable(drive) ? drive.unavailableBecause : [name, drive.path].filter(Boolean).join(" · ");
  const isChosen = chosen.has(drive.serial);
  return h(
    "li",
    { class: "choice" },
    h("input", { type: "checkbox", id, checked: isChosen, "data-serial": drive.serial }),
    h("label", { class: "drive-name", for: id }, h("strong", {}, drive.serial), h("span", { class: "muted" }, about)),
    h("span", { class: "drive-size" }, bytes(drive.size)),
    isChosen &&
      h("input", {
        "aria-label": say("create.drive_label", { serial: drive.serial }),
        "data-label": drive.serial,
        value: chosen.get(drive.serial) ?? defaultLabel(drive.serial),
        autocomplete: "off",
      }),
  );
}

function defaultLabel(serial) {
  const name = byId("label").value.trim() || say("create.unnamed");
  return `${name}-${[...chosen.keys()].indexOf(serial) + 1}`;
}

function showComparison() {
  const of = chosenDrives();
  const notes = [];
  const mixed = mixedSizes(of);
  if (mixed) notes.push(note("warn", say("create.mixed_sizes", { small: bytes(mixed.least), large: bytes(mixed.most) })));
  const sectors = mixedSectors(of);
  if (sectors) notes.push(note("warn", say("create.mixed_sectors", { sizes: list(sectors.map(String)) })));
  if (erased().length) notes.push(note("bad", say("create.holds_data", { serials: erased().map((drive) => drive.serial).join(", ") })));
  if (of.length) notes.unshift(h("p", { class: "muted" }, count("create.chosen", of.length)));
  morphChildren(byId("comparison"), notes);
}

function showLevels() {
  const of = chosenDrives();
  const levels = backend()?.levels ?? [];
  const taken = takenLevel();
  const fields = levels.map((one) => {
    const fits = levelFits(one, of.length);
    return h(
      "label",
      { class: "level" },
      h("input", { type: "radio", name: "level", value: one.name, checked: one.name === taken, disabled: of.length > 0 && !fits }),
      h("strong", {}, h("span", {}, one.name), fits && of.length > 0 && h("span", {}, say("create.about", { size: bytes(capacity(one, of)) }))),
      h("span", {}, of.length > 0 && !fits ? needs(one) : keepsText(one, of.length)),
    );
  });
  const legend = byId("levels").firstElementChild;
  morphChildren(byId("levels"), [legend.cloneNode(true), ...fields]);
}

/** The chosen level, or else the first one that fits, rather one with protection. */
function takenLevel() {
  const number = chosen.size;
  const levels = backend()?.levels ?? [];
  const fitting = levels.filter((one) => levelFits(one, number));
  if (fitting.some((one) => one.name === level)) return level;
  return (fitting.find((one) => keeps(one, number) > 0) ?? fitting[0] ?? levels[0])?.name;
}

function needs(one) {
  if (one.maxDrives === null) return say("create.needs", { least: one.minDrives });
  return say("create.needs_between", { least: one.minDrives, most: one.maxDrives });
}

function keepsText(one, number) {
  const lost = keeps(one, number || Math.max(2, one.minDrives));
  return lost ? count("create.survives", lost) : say("create.survives_none");
}

function request() {
  const body = {
    label: byId("label").value.trim(),
    driveSerials: [...chosen.keys()],
    driveLabels: Object.fromEntries([...chosen].map(([serial, label]) => [serial, label ?? defaultLabel(serial)])),
    backend: byId("backend").value,
    level: takenLevel(),
    portability: byId("portability").value,
    wipe: erased().length > 0,
  };
  if (byId("filesystem").value) body.filesystem = byId("filesystem").value;
  if (byId("mount-path").value.trim()) body.mountPath = byId("mount-path").value.trim();
  return body;
}

async function showPlan() {
  byId("problem").hidden = true;
  const body = request();
  const missing = !body.label ? "label" : body.driveSerials.length === 0 ? "choices" : null;
  if (missing) {
    showProblem(say(missing === "label" ? "create.no_label" : "create.no_drive"));
    (missing === "label" ? byId("label") : byId("choices").querySelector("input"))?.focus();
    return;
  }
  try {
    const reply = await call("POST", "/pools?dryRun=true", body);
    planned = body;
    drawPlan(reply.plan);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    showProblem(error.whole);
  }
}

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = false;
}

function drawPlan({ steps, opensOn }) {
  const consent = check(say("create.consent"), { id: "consent" });
  const parts = [
    h("h3", {}, say("create.replaced")),
    h("ul", { class: "erased" }, chosenDrives().map(replaced)),
    h("h3", {}, say("create.steps")),
    plan(steps),
    opensOn && h("p", { class: "muted small" }, say("create.opens_on", { kernel: opensOn.kernel })),
    planned.wipe && consent.row,
  ].filter(Boolean);
  byId("plan-body").replaceChildren(...parts);
  byId("carry-out").disabled = planned.wipe;
  consent.input.addEventListener("change", () => {
    byId("carry-out").disabled = !consent.input.checked;
  });
  byId("plan").hidden = false;
  byId("plan").focus();
  byId("plan").scrollIntoView({ block: "start" });
}

function replaced(drive) {
  const what = [drive.serial, drive.model, bytes(drive.size)].filter(Boolean).join(" · ");
  return h("li", {}, what, isErasable(drive) && [" ", h("strong", {}, drive.unavailableBecause)]);
}

/** What was planned is no longer what would be done. */
function dropPlan() {
  planned = null;
  byId("plan").hidden = true;
}

async function carryOut() {
  byId("carry-out").disabled = true;
  try {
    const { poolGroupGuid } = await call("POST", "/pools", planned);
    remember(poolGroupGuid, planned);
    location.assign(`/pools/${poolGroupGuid}`);
  } catch (error) {
    byId("carry-out").disabled = false;
    if (!(error instanceof ApiError)) throw error;
    dropPlan();
    showProblem(error.whole);
    byId("problem").scrollIntoView({ block: "center" });
  }
}

byId("create").addEventListener("submit", (event) => {
  event.preventDefault();
  void showPlan();
});
byId("carry-out").addEventListener("click", carryOut);
byId("backend").addEventListener("change", chooseBackend);
byId("show-erasable").addEventListener("change", showDrives);
byId("create").addEventListener("input", (event) => {
  if (byId("plan").contains(event.target)) return;
  dropPlan();
  const { serial, label } = event.target.dataset;
  if (serial !== undefined) {
    if (event.target.checked) chosen.set(serial, null);
    else chosen.delete(serial);
    showDrives();
  } else if (label !== undefined) {
    chosen.set(label, event.target.value === defaultLabel(label) ? null : event.target.value);
  } else if (event.target.name === "level") {
    level = event.target.value;
  } else if (event.target.id === "label") {
    showDrives();
  }
});
