// The view for searching: hits as one types, each new question calling the one before it off.

import * as api from "./api.js";
import { card } from "./cards.js";
import { announce, debounce, el, plural } from "./dom.js";
import { filters, inUse } from "./filters.js";

const PAGE = 24;
const PAUSE = 180; // milliseconds without a key before it is searched
const LISTS = ["modality", "tag", "not"];
const SINGLES = ["q", "longer", "shorter", "after", "before", "anyway"];

/** What an address asks for: `#/?q=dog&tag=object:dog`. */
export function queryOf(pairs) {
  const query = {};
  for (const name of SINGLES) if (pairs.get(name)) query[name] = pairs.get(name);
  for (const name of LISTS) if (pairs.getAll(name).length) query[name] = pairs.getAll(name);
  return query;
}

export function addressOf(query) {
  const pairs = new URLSearchParams();
  for (const name of [...SINGLES, ...LISTS]) {
    for (const value of [query[name] ?? []].flat()) if (value !== "") pairs.append(name, value);
  }
  const text = pairs.toString();
  return text ? `#/?${text}` : "#/";
}

export class Find {
  constructor(input) {
    this.input = input;
    this.query = {};
    this.shown = [];
    this.root = el("div", { class: "find" });
    this.side = el("div", {});
    this.summary = el("div", { class: "summary" });
    this.notices = el("ul", { class: "notices", "aria-live": "polite", "aria-label": "What could not be asked" });
    this.hits = el("ol", { class: "hits", "aria-label": "Videos" });
    this.further = el("button", { type: "button", class: "button further", hidden: true, onclick: () => this.more() }, "Show more");
    this.root.append(this.side, el("div", { class: "found" }, this.summary, this.notices, this.hits, this.further));
    this.later = debounce(() => this.typed(), PAUSE);
    input.addEventListener("input", () => this.later());
    input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.later.now();
    });
    this.hits.addEventListener("keydown", (event) => this.walk(event));
  }

  /** Show what an address asks for. */
  open(query) {
    document.title = query.q ? `${query.q} · tagline` : "tagline";
    this.query = query;
    if (this.input !== document.activeElement) this.input.value = query.q ?? "";
    return this.ask();
  }

  typed() {
    const q = this.input.value.trim();
    if (q === (this.query.q ?? "") && location.hash.startsWith("#/?")) return;
    this.change({ q: q || undefined, anyway: undefined }, true);
  }

  /** Ask for something else as well; typing replaces the address, so that "back" goes back to what was before. */
  change(part, typing = false) {
    const query = { ...this.query, ...part };
    const address = addressOf(query);
    if (typing && this.root.isConnected) {
      history.replaceState(null, "", address);
      this.open(query);
    } else {
      location.hash = address;
    }
  }

  async ask() {
    this.calling?.abort();
    const calling = (this.calling = new AbortController());
    this.root.classList.add("busy");
    try {
      const found = await api.search({ ...this.query, k: PAGE }, calling.signal);
      this.show(found);
    } catch (error) {
      if (api.isCalledOff(error)) return;
      this.summary.replaceChildren(el("h1", {}, "That did not work"));
      this.hits.replaceChildren(el("li", { class: "quiet" }, error.message));
      announce(error.message);
    }
    if (this.calling === calling) this.root.classList.remove("busy");
  }

  show(found) {
    this.shown = [];
    this.total = found.total;
    const open = matchMedia("(min-width: 901px)").matches || (this.side.querySelector("details")?.open ?? false);
    const focused = this.side.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.side.replaceChildren(filters(found.facets, this.query, (part) => this.change(part), open));
    if (focused) this.side.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    const said = this.say(found);
    this.summary.replaceChildren(el("h1", {}, said), ...inUse(this.query, (part) => this.change(part)));
    this.notices.replaceChildren(...found.notices.map((notice) => el("li", {}, notice)));
    this.hits.replaceChildren();
    this.append(found.hits);
    if (!found.total) this.hits.replaceChildren(this.nothing(found));
    announce(said);
  }

  say(found) {
    if (!found.total && found.query && !found.looked) return "Nobody has looked at these videos yet";
    if (!found.total) return found.query ? `Nothing found for “${found.query}”` : "Nothing here";
    const least = found.more ? "more than " : "";
    if (!found.answered) return `Nothing answers “${found.query}”; the nearest ${found.total}`;
    return found.query ? `${least}${plural(found.total, "moment")} for “${found.query}”` : plural(found.total, "video");
  }

  nothing(found) {
    const filtered = LISTS.some((name) => this.query[name]?.length) || this.query.longer || this.query.after;
    return el(
      "li",
      { class: "quiet" },
      !found.looked ? "Run tagline tag on this folder first. " : this.query.q ? "Nothing that was looked at answers that. " : "No video fits. ",
      found.answered || !found.nearest || this.query.anyway ? null : el("a", { href: addressOf({ ...this.query, anyway: 1 }) }, "Show the nearest anyway"),
      " ",
      filtered ? el("a", { href: addressOf({ q: this.query.q }) }, "Without filters") : null,
      !this.query.q && !filtered ? "Run tagline tag on this folder first." : null,
    );
  }

  append(hits) {
    this.shown.push(...hits);
    const marked = Boolean(this.query.q || this.query.tag?.length);
    this.hits.append(...hits.map((hit) => el("li", {}, card(hit, {
      marked,
      like: (one) => { location.hash = `#/video/${one.id}?like`; },
      without: (tag) => this.change({ not: [...(this.query.not ?? []), tag] }),
    }))));
    this.further.hidden = this.shown.length >= this.total;
  }

  async more() {
    try {
      const before = this.shown.length;
      const found = await api.search({ ...this.query, k: PAGE, offset: before });
      this.append(found.hits);
      this.hits.children[before]?.querySelector("a.opens")?.focus();
      announce(`${this.shown.length} of ${this.total} shown`);
    } catch (error) {
      announce(error.message);
    }
  }

  /** Arrow keys go from hit to hit. */
  walk(event) {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.columns(), ArrowUp: -this.columns() };
    if (!(event.key in steps) || event.altKey || event.ctrlKey || event.metaKey) return;
    const links = [...this.hits.querySelectorAll("a.opens")];
    const at = links.findIndex((link) => link.closest("li").contains(document.activeElement));
    const to = links[at + steps[event.key]];
    if (at < 0 || !to) return;
    event.preventDefault();
    to.focus();
    to.closest("li").scrollIntoView({ block: "nearest" });
  }

  columns() {
    return getComputedStyle(this.hits).gridTemplateColumns.split(" ").length;
  }

  close() {
    this.calling?.abort();
  }

}
