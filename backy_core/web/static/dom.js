// Makes elements of text only: nothing that a drive, a plugin or a person named is read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `props`: attributes; `on`: listeners by event; `true`/`false`: there or not. */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.flat(Infinity).filter((child) => child || child === 0).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export const byId = (id) => document.getElementById(id);

const KEPT = new Set(["open", "checked", "value"]); // the reader's own, not the agent's
const PROGRESS = "PROGRESS";

/** Turn `from` into `to` in place, so that focus, selection and scrolling stay. */
export function morph(from, to) {
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
    from.replaceWith(to);
    return to;
  }
  if (from.nodeType === Node.TEXT_NODE) {
    if (from.data !== to.data) from.data = to.data;
    return from;
  }
  morphAttributes(from, to);
  morphChildren(from, [...to.childNodes]);
  return from;
}

function morphAttributes(from, to) {
  const kept = (name) => KEPT.has(name) && from.nodeName !== PROGRESS;
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept(name)) from.removeAttribute(name);
  }
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value && !kept(name)) from.setAttribute(name, value);
  }
}

export function morphChildren(parent, wanted) {
  wanted.forEach((child, index) => {
    const present = parent.childNodes[index];
    if (present) morph(present, child);
    else parent.append(child);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

const AT_ONCE = 40;

/** A list of elements that follows items by key, in the order of `sortBy`. */
export class KeyedList {
  #container;
  #make;
  #sortBy;
  #shown = new Map();
  #ordered = [];
  #filling = 0;
  #newer = new Set(); // keys that changed while the list is being filled

  constructor(container, make, sortBy) {
    this.#container = container;
    this.#make = make;
    this.#sortBy = sortBy;
  }

  get size() {
    return this.#shown.size;
  }

  /** Show exactly these items; a long list comes in pieces, so that the page stays responsive. */
  async fill(items) {
    const filling = ++this.#filling;
    this.#newer.clear();
    const gone = [...this.#shown.keys()].filter((key) => !items.has(key));
    const sorted = [...items].sort(([, a], [, b]) => compare(this.#sortBy(a), this.#sortBy(b)));
    const work = [...gone.map((key) => [key, null]), ...sorted];
    for (let start = 0; start < work.length; start += AT_ONCE) {
      if (filling !== this.#filling) return;
      for (const [key, item] of work.slice(start, start + AT_ONCE)) {
        if (this.#newer.has(key)) continue;
        if (item === null) this.#remove(key);
        else this.#put(key, item);
      }
      if (start + AT_ONCE < work.length) await new Promise((done) => setTimeout(done));
    }
  }

  set(key, item) {
    this.#newer.add(key);
    this.#put(key, item);
  }

  delete(key) {
    this.#newer.add(key);
    this.#remove(key);
  }

  #put(key, item) {
    const order = this.#sortBy(item);
    const present = this.#shown.get(key);
    const element = present ? morph(present.element, this.#make(item)) : this.#make(item);
    if (present && compare(present.order, order) === 0) {
      present.element = element;
      return;
    }
    const focused = element.contains(document.activeElement) ? document.activeElement : null;
    this.#remove(key);
    const place = this.#place(order);
    this.#container.insertBefore(element, this.#ordered[place]?.element ?? null);
    const entry = { element, order };
    this.#ordered.splice(place, 0, entry);
    this.#shown.set(key, entry);
    focused?.focus(); // which it lost by moving
  }

  #remove(key) {
    const entry = this.#shown.get(key);
    if (!entry) return;
    entry.element.remove();
    this.#ordered.splice(this.#ordered.indexOf(entry), 1);
    this.#shown.delete(key);
  }

  /** Where to put a new element: behind all that are not after it. */
  #place(order) {
    let low = 0;
    let high = this.#ordered.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(this.#ordered[middle].order, order) > 0) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

const collator = new Intl.Collator("en", { numeric: true });

export function compare(a, b) {
  for (let index = 0; index < a.length; index += 1) {
    const order = collator.compare(String(a[index]), String(b[index]));
    if (order) return order;
  }
  return 0;
}
