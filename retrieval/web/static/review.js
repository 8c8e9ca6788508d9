// The review: one uncertain tag after the other, with its moment playing; a key for yes, no and skip.

import * as api from "./api.js";
import { chip, linkTo, titleOf } from "./cards.js";
import { calm, clock, el, icon, percent, plural } from "./dom.js";
import { bind } from "./keys.js";
import { Player } from "./player.js";
import { decide, onDecided } from "./toast.js";

const MANY = 40; // tags of one queue
const LEAST = 2; // seconds that are shown of a short moment

export class Review {
  constructor() {
    this.root = el("div", { class: "review" });
  }

  async open() {
    document.title = "Review · tagline";
    this.root.replaceChildren(el("p", { class: "quiet" }, "Looking for uncertain tags …"));
    this.letGo = bind({
      a: () => this.decide("accept"),
      x: () => this.decide("reject"),
      s: () => this.next(),
      " ": () => this.player?.toggle(),
      Escape: () => history.back(),
    });
    this.stop = onDecided((video, verdict) => {
      if (verdict.undone && this.past.length) {
        this.queue.unshift(...(this.tag ? [this.tag] : []));
        this.tag = this.past.pop();
        this.left += 1;
        this.show();
      }
    });
    this.past = [];
    await this.fill();
  }

  async fill() {
    try {
      const found = await api.review(MANY);
      this.queue = found.tags;
      this.left = found.total;
      this.next();
    } catch (error) {
      this.root.replaceChildren(el("div", { class: "empty" }, el("h2", {}, error.message)));
    }
  }

  next() {
    this.tag = this.queue.shift();
    this.show();
  }

  async decide(kind) {
    const { tag } = this;
    if (!tag || this.busy) return;
    this.busy = true;
    const done = await decide(tag.id, { kind, text: tag.text, modality: tag.modality });
    this.busy = false;
    if (!done) return;
    this.past.push(tag);
    this.left -= 1;
    if (this.queue.length) this.next();
    else await this.fill();
  }

  show() {
    this.player?.close();
    this.player = null;
    const { tag } = this;
    if (!tag) {
      this.root.replaceChildren(el("div", { class: "empty" }, el("h2", {}, "Nothing left to review"), el("p", { class: "quiet" }, "Every tag was judged, or skipped for now."), el("a", { class: "button", href: "#/" }, "All videos")));
      return;
    }
    this.player = new Player(tag);
    this.player.film.muted = true;
    const end = Math.max(tag.end, tag.start + LEAST);
    this.player.addEventListener("time", (event) => {
      if (event.detail >= end && this.player?.playing) this.player.seek(tag.start, true);
    });
    const button = (kind, drawing, label, key, act) =>
      el("button", { type: "button", class: `button ${kind}`, onclick: act }, drawing ? icon(drawing) : null, label, " ", el("kbd", { "aria-hidden": "true" }, key));
    this.root.replaceChildren(
      el("p", { class: "quiet small" }, `${plural(this.left, "tag")} that nobody has judged; the least sure come first`),
      el("h1", { tabindex: "-1" }, "Is this ", chip(tag.text, tag.modality), "?"),
      el("p", { class: "quiet small" }, `${tag.modality} · ${percent(tag.score)} sure · ${clock(tag.start)}–${clock(tag.end)} in `, el("a", { href: linkTo(tag) }, titleOf(tag))),
      this.player.root,
      el(
        "div",
        { class: "answers" },
        button("no", "no", "No", "x", () => this.decide("reject")),
        button("later", null, "Skip", "s", () => this.next()),
        button("first yes", "yes", "Yes", "a", () => this.decide("accept")),
      ),
    );
    this.player.seek(tag.start, !calm());
    if (!this.root.contains(document.activeElement)) this.root.querySelector("h1").focus({ preventScroll: true });
  }

  close() {
    this.letGo?.();
    this.stop?.();
    this.player?.close();
  }
}
