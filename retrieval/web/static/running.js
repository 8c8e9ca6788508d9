// How far tagging is, looked up every other second while a run is on, and now and then otherwise.

import * as api from "./api.js";
import { announce, el, plural } from "./dom.js";

const OFTEN = 2000; // milliseconds, while a run is on
const SELDOM = 15000;

export class Running {
  /** `changed` is called when videos came in. */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.videos = null;
    this.was = false;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.look(); });
    this.look();
  }

  async look() {
    clearTimeout(this.timer);
    if (document.hidden) return;
    let next = SELDOM;
    try {
      const now = await api.progress();
      this.show(now);
      next = now.running ? OFTEN : SELDOM;
    } catch (error) {
      this.root.hidden = false;
      this.root.replaceChildren(el("span", {}, error.status ? error.message : "The server does not answer; is tagline serve still running?"));
    }
    this.timer = setTimeout(() => this.look(), next);
  }

  show(now) {
    this.root.hidden = !now.running;
    if (now.running) {
      const share = now.files ? `${now.known} of ${plural(now.files, "file")}` : plural(now.known, "file");
      const failed = now.unreadable ? ` · ${now.unreadable} cannot be read` : "";
      this.root.replaceChildren(
        el("strong", {}, "Tagging is running"),
        el("progress", { max: now.files ?? 1, value: now.files ? now.known : null, "aria-label": "Files that are done" }),
        el("span", {}, share + failed),
        now.latest[0] ? el("span", { class: "quiet" }, "last: ", el("a", { href: `#/video/${now.latest[0].id}` }, now.latest[0].title || now.latest[0].name)) : "",
      );
      if (!this.was) announce(`Tagging is running, ${share}`);
    } else if (this.was) {
      announce("Tagging has ended");
    }
    if (this.videos !== null && (this.videos !== now.videos || (this.was && !now.running))) this.changed();
    this.videos = now.videos;
    this.was = now.running;
  }
}
