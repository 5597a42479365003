// Pools on connected drives that the agent does not know.

import { actions } from "./actions.js";
import { call, of } from "./api.js";
import { ask, field } from "./dialogs.js";
import { byId, h, morphChildren } from "./dom.js";
import { driveOf, follow } from "./live.js";
import { act, makeup, note } from "./parts.js";
import { start } from "./shell.js";
import { bytes, say } from "./text.js";

let found = [];

start({ ...actions, import: (button) => adopt(found.find((pool) => pool.poolGroupGuid === button.dataset.key)) });
follow((changes) => {
  if (changes.all || changes.drive.size || changes.pool.size) void show();
});

async function show() {
  found = await call("GET", "/pools/importable");
  morphChildren(byId("importable"), found.map(card));
  byId("empty").hidden = found.length > 0;
}

function card(pool) {
  const titleId = `found-${pool.poolGroupGuid}`;
  const inside = h(
    "article",
    { class: "card", "aria-labelledby": titleId },
    h("div", { class: "card-head" }, h("h2", { id: titleId }, pool.label ?? say("import.unnamed"))),
    h("p", { class: "muted meta" }, makeup(pool)),
    h("p", { class: "small" }, h("code", {}, pool.nativeId)),
    h("ul", { class: "bays", "aria-label": say("pool.members") }, pool.drives.map(bay)),
    pool.cannotOpenBecause && note("warn", pool.cannotOpenBecause),
    h("div", { class: "buttons" }, act("import", pool.poolGroupGuid, { primary: true })),
  );
  return h("li", {}, inside);
}

function bay(serial) {
  const drive = driveOf(serial);
  return h(
    "li",
    { class: "bay", "data-tone": drive ? "good" : "calm", "data-absent": !drive },
    h("span", { class: "led", "aria-hidden": "true" }),
    h("span", { class: "bay-label" }, serial),
    h("span", { class: "bay-serial" }, drive?.model ?? ""),
    h("span", { class: "bay-foot" }, drive ? bytes(drive.size) : say("drive.absent")),
  );
}

function adopt(pool) {
  const label = h("input", { value: pool.label ?? "", required: true, autocomplete: "off" });
  const path = h("input", { autocomplete: "off", spellcheck: "false" });
  ask({
    title: say("import.title", { label: pool.label ?? say("import.unnamed") }),
    body: [
      h("p", { class: "muted" }, say("import.means")),
      field(say("import.label"), label),
      field(say("import.path"), path, say("import.path_help")),
    ],
    confirm: say("action.import"),
    run: async () => {
      const body = { label: label.value };
      if (path.value) body.mountPath = path.value;
      await call("POST", `${of(pool.poolGroupGuid)}/import`, body);
      location.assign(`/pools/${pool.poolGroupGuid}`);
    },
  });
}
