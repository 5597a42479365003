// Trades a key for a session, then shows the page that was asked for.

import { ApiError, call } from "./api.js";
import { byId } from "./dom.js";

byId("host").textContent = location.hostname;

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const problem = byId("problem");
  problem.hidden = true;
  try {
    await call("POST", "/session", { key: byId("key").value.trim() });
    location.reload();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    problem.textContent = error.message;
    problem.hidden = false;
    byId("key").select();
  }
});

// Not before: without this script the browser would send the form elsewhere.
byId("submit").disabled = false;
