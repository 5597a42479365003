// What the buttons do to pools and drives: ask where something is lost, then call the API.

import { call, of } from "./api.js";
import { ask, check, field, planOnDemand } from "./dialogs.js";
import { h } from "./dom.js";
import { driveOf, drives, operations, pools } from "./live.js";
import { harmedMembers } from "./parts.js";
import { busy } from "./processes.js";
import { requested } from "./requests.js";
import { tell } from "./shell.js";
import { bytes, say } from "./text.js";

const poolOf = (button) => pools.get(button.dataset.key) ?? { poolGroupGuid: button.dataset.key, drives: [], label: "" };

export const actions = {
  mount: (button) => mount(poolOf(button)),
  unmount: (button) => unmount(poolOf(button)),
  rename: (button) => rename(poolOf(button)),
  add: (button) => add(poolOf(button), button.dataset.serial ?? ""),
  delete: (button) => remove(poolOf(button)),
  forget: (button) => forget(poolOf(button)),
  "forget-failed": (button) => forgetFailed(button.dataset.key),
  retry: (button) => retry(button.dataset.key),
  cancel: (button) => cancel(operations.get(button.dataset.key)),
  refresh,
  protect: (button) => protect(button.dataset.key, true),
  unprotect: (button) => protect(button.dataset.key, false),
  blink: (button) => blink(button.dataset.key),
};

async function mount(pool) {
  const { mountPath } = await call("POST", `${of(pool.poolGroupGuid)}/mount`, {});
  tell(say("done.mounted", { label: pool.label, path: mountPath }));
}

async function unmount(pool) {
  try {
    await call("DELETE", `${of(pool.poolGroupGuid)}/mount`);
    tell(say("done.unmounted", { label: pool.label }));
  } catch (error) {
    if (error.code !== "POOL_BUSY") throw error;
    busy(pool, "UnmountPool", () => tell(say("done.unmounted", { label: pool.label })));
  }
}

function rename(pool) {
  const label = h("input", { value: pool.label, required: true, autocomplete: "off" });
  const inputs = pool.drives.map((drive) => ({
    serial: drive.serial,
    before: drive.label ?? "",
    input: h("input", { value: drive.label ?? "", autocomplete: "off" }),
  }));
  ask({
    title: say("rename.title", { label: pool.label }),
    body: [
      field(say("rename.label"), label),
      inputs.map(({ serial, input }) => field(say("rename.drive", { serial }), input)),
    ],
    confirm: say("action.rename"),
    run: async () => {
      const changed = inputs.filter(({ before, input }) => input.value !== before);
      const driveLabels = Object.fromEntries(changed.map(({ serial, input }) => [serial, input.value]));
      await call("PATCH", of(pool.poolGroupGuid), { label: label.value, driveLabels });
    },
  });
}

/** Members that came back, and drives that could take the place of one. */
function candidates(pool) {
  const returned = pool.drives.filter((drive) => drive.isConnected && drive.status !== "active");
  const serials = new Set(returned.map((drive) => drive.serial));
  const free = [...drives.values()].filter(
    (drive) => drive.available || serials.has(drive.serial) || drive.unavailableCode === "DRIVE_NOT_EMPTY",
  );
  return free.sort((a, b) => serials.has(b.serial) - serials.has(a.serial) || b.available - a.available);
}

function add(pool, preset) {
  const harmed = harmedMembers(pool);
  const replaced = h(
    "select",
    {},
    h("option", { value: "" }, say("add.none")),
    harmed.map((drive) =>
      h("option", { value: drive.serial, selected: drive.serial === preset },
        say("add.member", { name: drive.label ?? drive.serial, serial: drive.serial, status: say(`member.${drive.status}`) })),
    ),
  );
  const offered = candidates(pool);
  const drive = h(
    "select",
    { required: true },
    offered.map((one) => h("option", { value: one.serial, selected: one.serial === preset }, optionText(pool, one))),
  );
  const wipe = check(say("add.wipe"));
  const body = () => ({
    serial: drive.value,
    wipe: wipe.input.checked,
    ...(replaced.value && replaced.value !== drive.value && { replaces: replaced.value }),
  });
  const path = `${of(pool.poolGroupGuid)}/drives/add`;
  const preview = planOnDemand(() => call("POST", `${path}?dryRun=true`, body()));
  for (const input of [drive, replaced, wipe.input]) input.addEventListener("change", preview.outdate);
  ask({
    title: say("add.title", { label: pool.label }),
    body: [
      h("p", { class: "muted" }, say("add.means")),
      offered.length === 0 && h("p", { class: "problem" }, say("add.no_drives")),
      field(say("add.drive"), drive),
      field(say("add.replaces"), replaced, say("add.replaces_help")),
      wipe.row,
      preview.details,
    ],
    confirm: say("action.add"),
    ready: offered.length > 0,
    run: async () => {
      await call("POST", path, body());
      tell(say("done.added", { label: pool.label }));
    },
  });
}

function optionText(pool, drive) {
  const member = pool.drives.some((one) => one.serial === drive.serial);
  const values = { serial: drive.serial, model: drive.model ?? "", size: bytes(drive.size) };
  const text = say("add.option", values);
  if (member) return `${text} ${say("add.returned")}`;
  return drive.available ? text : `${text} ${say("add.not_empty")}`;
}

/** Deleting: the drives that are erased by name, and the label typed. */
function remove(pool) {
  const guid = pool.poolGroupGuid;
  const consents = new URLSearchParams();
  const typed = h("input", { autocomplete: "off", spellcheck: "false" });
  const more = h("div", {});
  const dialog = ask({
    title: say("delete.title", { label: pool.label }),
    body: [
      h("p", {}, say("delete.means")),
      h("ul", { class: "erased" }, pool.drives.map(erased)),
      planOnDemand(() => call("DELETE", `${of(guid)}?${new URLSearchParams([["dryRun", "true"], ...consents])}`)).details,
      more,
      field(say("delete.type", { label: pool.label }), typed),
    ],
    confirm: say("action.delete"),
    danger: true,
    ready: false,
    run: async () => {
      const query = consents.toString();
      const { message } = await call("DELETE", `${of(guid)}${query ? `?${query}` : ""}`);
      tell(message ?? say("done.deleted", { label: pool.label }));
      if (location.pathname !== "/") location.assign("/");
    },
    refused: (error) => {
      if (error.code === "POOL_BUSY") {
        dialog.close();
        busy(pool, "RemovePoolGroup", () => location.assign("/"));
        return true;
      }
      return offerConsent(error, consents, more);
    },
  });
  typed.addEventListener("input", () => {
    dialog.ready = typed.value === pool.label;
  });
}

function erased(member) {
  const drive = driveOf(member.serial);
  const what = [member.label, member.serial, drive?.model].filter(Boolean).join(" · ");
  return h("li", {}, what, " ", h("span", { class: "muted" }, drive ? bytes(drive.size) : say("delete.absent")));
}

/** A refusal that names the consent it needs: ask for that in the same dialog. */
function offerConsent(error, consents, place) {
  const advised = /DELETE \/api\/v1\/pools\/[0-9a-f-]{36}\?([^\s.]+)/.exec(error.details);
  if (!advised) return false;
  const box = check(say("delete.consent"));
  box.input.addEventListener("change", () => {
    for (const [name, value] of new URLSearchParams(advised[1])) {
      if (box.input.checked) consents.append(name, value);
      else consents.delete(name);
    }
  });
  place.replaceChildren(h("p", { class: "problem", role: "alert" }, error.message), box.row);
  return true;
}

function forget(pool) {
  ask({
    title: say("forget.title", { label: pool.label }),
    body: [h("p", {}, say("forget.means"))],
    confirm: say("action.forget"),
    run: async () => {
      await call("DELETE", `/pools/metadata/${encodeURIComponent(pool.poolGroupGuid)}`);
      location.assign("/");
    },
  });
}

async function forgetFailed(guid) {
  const ended = [...operations.values()].filter((one) => one.poolGroupGuid === guid && one.state !== "running");
  for (const operation of ended) await call("DELETE", `/operations/${encodeURIComponent(operation.id)}`);
  if (location.pathname === "/") location.reload();
  else location.assign("/");
}

/** Create it again as it was asked for, if this browser did; otherwise from the form. */
async function retry(guid) {
  const request = requested(guid);
  if (request) await call("POST", "/pools", { ...request, poolGroupGuid: guid });
  location.assign(request ? `/pools/${guid}` : "/create");
}

function cancel(operation) {
  if (!operation) return;
  ask({
    title: say("cancel.title"),
    body: [h("p", {}, say("cancel.means"))],
    confirm: say("cancel.confirm"),
    danger: true,
    run: () => call("POST", `/operations/${encodeURIComponent(operation.id)}/cancel`, {}),
  });
}

async function refresh() {
  await call("POST", "/drives/refresh", {});
  tell(say("done.refreshed", { number: drives.size }));
}

async function protect(serial, on) {
  await call(on ? "PUT" : "DELETE", `/drives/${encodeURIComponent(serial)}/protection`);
  tell(say(on ? "done.protected" : "done.unprotected", { serial }));
}

async function blink(serial) {
  await call("POST", `/drives/${encodeURIComponent(serial)}/blink`, {});
  tell(say("done.blinking", { serial }));
}

