// The frame of every page: connection, signing out, messages, and what buttons do.

import { ApiError, call } from "./api.js";
import { byId, h } from "./dom.js";
import { connect, follow, followLink } from "./live.js";
import { say } from "./text.js";

const MESSAGE_MS = 6000;
const GRACE_MS = 1500;
const COUNT_MS = 500;
const acting = new WeakSet();
let lostTimer = null;
let countTimer = null;

/** Begin: `actions` are functions by the names in `data-action`, called with the button. */
export function start(actions) {
  byId("host").textContent = location.hostname;
  const all = { "sign-out": signOut, ...actions };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-action]");
    if (button && !acting.has(button)) void carryOut(all[button.dataset.action], button);
  });
  followLink(showLink);
  if (byId("import-count")) follow(countImportable);
  connect();
  performance.mark("usable");
}

/** A busy button is not disabled: it would lose the focus. */
async function carryOut(action, button) {
  acting.add(button);
  button.setAttribute("aria-busy", "true");
  try {
    await action(button);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    tell(error.whole, "bad");
  } finally {
    acting.delete(button);
    button.removeAttribute("aria-busy");
  }
}

async function signOut() {
  await call("DELETE", "/session");
  location.reload();
}

/** Show a message for a while; one of a problem stays until it is dismissed. */
export function tell(text, tone = "good") {
  const dismiss = h("button", { type: "button", class: "plain", "aria-label": say("action.dismiss") }, "×");
  const toast = h("div", { class: "toast", "data-tone": tone }, h("p", {}, text), dismiss);
  dismiss.addEventListener("click", () => toast.remove());
  byId("toasts").append(toast);
  if (tone !== "bad") setTimeout(() => toast.remove(), MESSAGE_MS);
}

/** Pools on connected drives that could be imported, beside the page's name. */
function countImportable(changes) {
  if (!changes.all && !changes.drive.size) return;
  clearTimeout(countTimer);
  countTimer = setTimeout(async () => {
    const found = await call("GET", "/pools/importable").catch(() => []);
    byId("import-count").textContent = found.length;
    byId("import-count").hidden = found.length === 0;
  }, COUNT_MS);
}

function showLink(connected) {
  document.documentElement.dataset.connection = connected ? "live" : "lost";
  byId("connection").dataset.state = connected ? "live" : "lost";
  byId("connection-text").textContent = say(connected ? "link.live" : "link.lost");
  clearTimeout(lostTimer);
  if (connected) {
    byId("lost").hidden = true;
    document.body.classList.remove("is-lost");
    return;
  }
  lostTimer = setTimeout(() => {
    byId("lost").textContent = say("link.lost_means");
    byId("lost").hidden = false;
    document.body.classList.add("is-lost");
  }, GRACE_MS);
}
