// Dialogs: each is made when it is asked for, and gone once it is closed.

import { h } from "./dom.js";
import { ApiError } from "./api.js";
import { say } from "./text.js";

let numbered = 0;

/**
 * Ask, then act. `confirm` is the text of the button; `run` does it and may throw ApiError, which is
 * shown in the dialog, or given to `refused`, which returns whether it has dealt with it.
 */
export function ask({ title, body, confirm, danger = false, ready = true, run, refused }) {
  const id = `dialog-${(numbered += 1)}`;
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const button = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, say("action.close"));
  const form = h(
    "form",
    { method: "dialog" },
    h("h2", { id }, title),
    h("div", { class: "dialog-body" }, body),
    problem,
    h("div", { class: "buttons" }, cancel, button),
  );
  const dialog = h("dialog", { "aria-labelledby": id }, form);
  button.disabled = !ready;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await attempt();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();

  async function attempt() {
    problem.hidden = true;
    setBusy(true);
    try {
      await run();
      dialog.close();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setBusy(false);
      if (refused?.(error)) return;
      problem.textContent = error.whole;
      problem.hidden = false;
    }
  }

  function setBusy(busy) {
    button.disabled = busy;
    button.setAttribute("aria-busy", String(busy));
  }

  return {
    close: () => dialog.close(),
    get open() {
      return dialog.open;
    },
    set ready(is) {
      button.disabled = !is;
    },
  };
}

/** A labelled field of a dialog. */
export function field(label, input, help) {
  const id = `field-${(numbered += 1)}`;
  input.id = id;
  if (help) input.setAttribute("aria-describedby", `${id}-help`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    help && h("p", { class: "muted small", id: `${id}-help` }, help),
  );
}

export function check(text, props = {}) {
  const input = h("input", { type: "checkbox", ...props });
  return { input, row: h("label", { class: "check" }, input, h("span", {}, text)) };
}

/** The plan of what a dialog would do, asked for by `load` when somebody wants to see it. */
export function planOnDemand(load) {
  const place = h("div", { role: "status" });
  const details = h("details", {}, h("summary", {}, say("plan.show")), place);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    place.replaceChildren(say("plan.asking"));
    try {
      const steps = (await load()).plan.steps;
      place.replaceChildren(steps.length ? plan(steps) : say("plan.nothing"));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      place.replaceChildren(h("p", { class: "problem" }, error.whole));
    }
  });
  return {
    details,
    outdate: () => {
      details.open = false;
    },
  };
}

/** The steps of a plan as they would run; their commands, which can be long, on demand. */
export function plan(steps) {
  const commands = check(say("plan.commands"));
  const list = h(
    "ol",
    { class: "steps" },
    steps.map((step) =>
      h(
        "li",
        { "data-effect": step.effect },
        h("p", {}, h("span", {}, step.title), step.effect === "destroys" && h("strong", { class: "erases" }, say("plan.destroys"))),
        h("code", {}, step.command),
        step.undo && h("p", { class: "muted small" }, say("plan.undo"), " ", h("code", {}, step.undo)),
      ),
    ),
  );
  commands.input.addEventListener("change", () => {
    list.toggleAttribute("data-commands", commands.input.checked);
  });
  return h("div", { class: "plan-steps" }, list, commands.row);
}
