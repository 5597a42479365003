// What holds a pool: end it, or wait until it has ended.

import { call, of } from "./api.js";
import { ask } from "./dialogs.js";
import { h } from "./dom.js";
import { say } from "./text.js";

const AGAIN_MS = 2000;

/** Show the processes that hold a pool. `action` is what they stand in the way of; `done` is called
 * once it is done. */
export function busy(pool, action, done) {
  const table = h("div", { class: "scroll", role: "status" });
  const wait = h("button", { type: "button" }, say("busy.wait"));
  let pids = [];
  let waiting = false;

  const dialog = ask({
    title: say("busy.title", { label: pool.label }),
    body: [h("p", {}, say("busy.means")), table, h("p", {}, wait)],
    confirm: say(action === "UnmountPool" ? "busy.kill_unmount" : "busy.kill_delete"),
    danger: true,
    run: async () => {
      await call("POST", "/processes/kill", { poolGroupGuid: pool.poolGroupGuid, pids, action });
      done();
    },
  });

  wait.addEventListener("click", () => {
    waiting = true;
    wait.disabled = true;
    wait.textContent = say("busy.waiting");
  });

  async function show() {
    if (!dialog.open) return;
    const { processes } = await call("GET", `${of(pool.poolGroupGuid)}/processes`).catch(() => ({ processes: [] }));
    pids = processes.map((process) => process.pid);
    table.replaceChildren(processes.length ? tableOf(processes) : h("p", {}, say("busy.none")));
    if (waiting && processes.length === 0 && (await tryNow())) return;
    setTimeout(show, AGAIN_MS);
  }

  async function tryNow() {
    try {
      await call("DELETE", action === "UnmountPool" ? `${of(pool.poolGroupGuid)}/mount` : of(pool.poolGroupGuid));
    } catch (error) {
      if (error.code === "POOL_BUSY") return false;
      throw error;
    }
    dialog.close();
    done();
    return true;
  }

  void show();
}

function tableOf(processes) {
  const heads = ["pid", "name", "user", "path"].map((name) => h("th", { scope: "col" }, say(`process.${name}`)));
  const rows = processes.map((process) =>
    h(
      "tr",
      {},
      h("td", {}, process.pid),
      h("td", { title: process.command }, process.name),
      h("td", {}, process.user),
      h("td", { class: "path" }, process.path),
    ),
  );
  return h("table", {}, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}
