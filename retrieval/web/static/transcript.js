// What is said, line by line: it follows the player, and a word leads to its second.

import { calm, clock, el, spoken } from "./dom.js";

export class Transcript {
  constructor(player, lines) {
    this.player = player;
    this.lines = [];
    this.line = -1;
    this.follows = true;
    this.list = el("ol", { class: "said", tabindex: "0", "aria-label": "Transcript", onwheel: () => this.let(false), ontouchmove: () => this.let(false) });
    this.button = el("button", { type: "button", class: "plain more", hidden: true, onclick: () => this.let(true) }, "Follow again");
    this.root = el("section", { class: "panel transcript" }, el("h2", {}, "What is said", this.button), this.list);
    for (const line of lines) this.list.append(this.make(line));
    if (!lines.length) this.list.replaceWith(el("p", { class: "quiet small" }, "Nothing was heard."));
    player.addEventListener("time", (event) => this.show(event.detail));
  }

  make(line) {
    const words = line.words.map((word) => ({ ...word, node: el("span", { data: { start: word.start } }, word.text) }));
    const node = el(
      "li",
      {},
      el("button", {
        type: "button",
        class: "plain",
        "aria-label": `${words.map((word) => word.text).join(" ")}, at ${spoken(line.start)}`,
        onclick: (event) => this.player.seek(Number(event.target.dataset?.start ?? line.start), true),
      }, el("span", { class: "number small when" }, clock(line.start)), el("span", { class: "words" }, words.flatMap((word) => [word.node, " "]))),
    );
    this.lines.push({ ...line, words, node });
    return node;
  }

  let(follows) {
    this.follows = follows;
    this.button.hidden = follows;
    if (follows) this.scroll();
  }

  show(time) {
    const at = this.lines.findLastIndex((line) => line.start <= time);
    const inside = at >= 0 && time <= this.lines[at].end + 1;
    if (at !== this.line || !inside) {
      this.lines[this.line]?.node.classList.remove("current");
      this.line = inside ? at : -1;
      if (inside) {
        this.lines[at].node.classList.add("current");
        if (this.follows) this.scroll();
      }
    }
    if (inside) for (const word of this.lines[at].words) word.node.classList.toggle("on", word.start <= time && time < word.end);
  }

  /** Only the list scrolls, never the page under somebody's eyes. */
  scroll() {
    const line = this.lines[this.line]?.node;
    if (!line) return;
    const top = line.offsetTop - this.list.offsetTop - this.list.clientHeight / 2 + line.clientHeight / 2;
    this.list.scrollTo({ top, behavior: calm() ? "auto" : "smooth" });
  }
}
