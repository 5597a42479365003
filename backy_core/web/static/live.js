// The agent's state, kept up to date by its events.

import { call } from "./api.js";

const GATHER_MS = 40;
const AGAIN_MS = 2000;
const SILENCE_MS = 20_000;
const PATIENCE_MS = 5000;

export const pools = new Map();
export const drives = new Map();
export const operations = new Map();

const KEYS = {
  pool: [pools, "poolGroupGuid"],
  drive: [drives, "name"],
  operation: [operations, "id"],
};
const followers = [];
const outputFollowers = [];
const linkFollowers = [];
let changes = null;
let source = null;
let heardAt = 0;

/** Call `listener` with what changed: `{all, pool, drive, operation}`, the latter sets of keys. */
export function follow(listener) {
  followers.push(listener);
}

export function followOutputs(listener) {
  outputFollowers.push(listener);
}

/** Call `listener` with whether the agent can be reached. */
export function followLink(listener) {
  linkFollowers.push(listener);
}

/** The operation that runs on a pool. */
export function runningOn(guid) {
  for (const operation of operations.values()) {
    if (operation.poolGroupGuid === guid && operation.state === "running") return operation;
  }
  return null;
}

/** The drive with this serial. */
export function driveOf(serial) {
  for (const drive of drives.values()) if (drive.serial === serial) return drive;
  return null;
}

export function connect() {
  open();
  // A hidden page lets go of its connection: browsers have few for each agent.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (!source) open();
  });
  setInterval(listen, PATIENCE_MS);
}

/** A network that is gone says nothing: after a silence, ask whether the agent is there. */
async function listen() {
  if (!source || source.readyState !== EventSource.OPEN || Date.now() - heardAt < SILENCE_MS) return;
  try {
    await fetch("/api/v1/status", { signal: AbortSignal.timeout(PATIENCE_MS) });
    heardAt = Date.now();
  } catch {
    close();
    tell(linkFollowers, false);
    setTimeout(() => !source && !document.hidden && open(), AGAIN_MS);
  }
}

function close() {
  source?.close();
  source = null;
}

function open() {
  source = new EventSource("/api/v1/events");
  source.addEventListener("open", () => {
    heardAt = Date.now();
    tell(linkFollowers, true);
  });
  source.addEventListener("error", lost);
  source.addEventListener("snapshot", (event) => takeAll(JSON.parse(event.data)));
  source.addEventListener("outputs", (event) => tell(outputFollowers, JSON.parse(event.data)));
  for (const [name, [items, key]] of Object.entries(KEYS)) {
    source.addEventListener(name, (event) => {
      const item = JSON.parse(event.data);
      items.set(item[key], item);
      note(name, item[key]);
    });
    source.addEventListener(`${name}-removed`, (event) => {
      const gone = JSON.parse(event.data)[key];
      items.delete(gone);
      note(name, gone);
    });
  }
}

function lost() {
  tell(linkFollowers, false);
  if (source?.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
  close();
  setTimeout(async () => {
    try {
      await call("GET", "/session");
    } catch (error) {
      if (error.status === 401) return location.reload();
    }
    if (!source && !document.hidden) open();
    return undefined;
  }, AGAIN_MS);
}

function takeAll(snapshot) {
  const lists = { pool: snapshot.pools, drive: snapshot.drives.blockdevices, operation: snapshot.operations };
  for (const [name, [items, key]] of Object.entries(KEYS)) {
    items.clear();
    for (const item of lists[name]) items.set(item[key], item);
  }
  note("all", null);
}

function note(name, key) {
  heardAt = Date.now();
  if (!changes) {
    changes = { all: false, pool: new Set(), drive: new Set(), operation: new Set() };
    setTimeout(flush, GATHER_MS);
  }
  if (name === "all") changes.all = true;
  else changes[name].add(key);
}

function flush() {
  const gathered = changes;
  changes = null;
  tell(followers, gathered);
}

function tell(listeners, value) {
  for (const listener of listeners) listener(value);
}
