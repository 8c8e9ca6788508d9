// The timeline: one lane for each modality, one row for each tag, with its spans on a common axis and its verdicts.

import { clock, el, icon, percent, plural, spoken } from "./dom.js";
import { decide } from "./toast.js";

const FEW = 8; // rows of a lane before somebody asks for more
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

export class Lanes {
  /** `player` is sought in; `chosen(row)` is called with the tag that is looked at. */
  constructor(player, chosen) {
    this.player = player;
    this.chosen = chosen;
    this.wide = new Set(); // modalities of which all rows are shown
    this.current = null; // "modality text" of the row that is looked at
    this.root = el("section", { class: "lanes", "aria-label": "What is in it, and when" });
    player.addEventListener("time", (event) => this.follow(event.detail));
  }

  show(video) {
    this.video = video;
    this.length = Math.max(video.duration || 0, ...video.lanes.flatMap((lane) => lane.rows.flatMap((row) => row.spans.map((span) => span.end))), 0.1);
    const held = this.root.contains(document.activeElement) ? this.index(this.current) : -1;
    this.root.replaceChildren(
      el("h2", { class: "screen-reader-only" }, "Timeline"),
      this.axis(),
      ...video.lanes.map((lane) => this.lane(lane)),
      video.lanes.length ? "" : el("p", { class: "quiet" }, "No tags."),
    );
    this.spans = [...this.root.querySelectorAll(".span")].map((node) => ({ node, start: Number(node.dataset.start), end: Number(node.dataset.end) }));
    const rows = this.rows();
    const to = rows.find((row) => row.dataset.key === this.current) ?? rows[Math.min(Math.max(held, 0), rows.length - 1)];
    if (to) this.choose(to, held >= 0);
    this.follow(this.player.time);
  }

  rows() {
    return [...this.root.querySelectorAll(".tagrow:not([hidden])")];
  }

  index(key) {
    return this.rows().findIndex((row) => row.dataset.key === key);
  }

  axis() {
    const step = STEPS.find((one) => this.length / one <= 8) ?? STEPS.at(-1);
    const marks = [];
    for (let time = 0; time < this.length * 0.96; time += step) marks.push(el("span", { vars: { at: time / this.length } }, clock(time)));
    return el("div", { class: "axis number", "aria-hidden": "true" }, el("div", { class: "scale" }, marks));
  }

  lane(lane) {
    const rows = lane.rows.map((row) => this.row(lane.modality, row));
    const all = this.wide.has(lane.modality);
    rows.slice(FEW).forEach((row) => { row.hidden = !all; });
    const more = rows.length > FEW && !all ? el("button", {
      type: "button",
      class: "plain more",
      onclick: (event) => {
        this.wide.add(lane.modality);
        rows.forEach((row) => { row.hidden = false; });
        event.currentTarget.remove();
        rows[FEW].querySelector(".name").focus();
      },
    }, `${rows.length - FEW} more`) : null;
    return el(
      "section",
      { class: `lane modality-${lane.modality}`, "aria-label": `${lane.modality}, ${plural(rows.length, "tag")}`, data: { modality: lane.modality } },
      el("h3", {}, lane.modality),
      el("ul", {}, rows),
      more,
    );
  }

  row(modality, row) {
    const key = `${modality} ${row.text}`;
    const first = row.spans[0];
    const by = row.by === "person";
    const name = el("button", {
      type: "button",
      class: "plain name",
      tabindex: "-1",
      "aria-label": `${row.text}, ${percent(row.score)} sure${by ? ", said by a person" : ""}, first at ${spoken(first.start)}`,
      onclick: () => { this.choose(node, true); this.player.seek(first.best ?? first.start); },
      onfocus: () => this.choose(node, false),
    }, el("span", {}, row.text));
    const spans = row.spans.map((span) => el("button", {
      type: "button",
      class: "plain span",
      tabindex: "-1",
      title: `${clock(span.start)}–${clock(span.end)} · ${percent(span.score)}`,
      "aria-label": `${row.text} from ${spoken(span.start)} to ${spoken(span.end)}, ${percent(span.score)} sure`,
      data: { start: span.start, end: span.end },
      vars: { from: span.start / this.length, to: span.end / this.length, sure: 0.35 + 0.65 * span.score },
      onclick: () => { this.choose(node, false); this.player.seek(span.start, true); },
    }));
    const bar = el("div", { class: "bar", onclick: (event) => this.seekIn(event, bar) }, spans);
    const node = el(
      "li",
      { class: `tagrow${by ? " sure" : ""}`, data: { key } },
      name,
      bar,
      el("span", { class: "score small number", title: by ? "said by a person" : "how sure the expert is" }, by ? icon("yes") : percent(row.score)),
      el(
        "span",
        { class: "verdict" },
        by ? null : this.verdict("accept", "yes", `${row.text} is right`, modality, row.text),
        this.verdict("reject", "no", `${row.text} is wrong`, modality, row.text),
      ),
    );
    node.tag = { modality, ...row };
    return node;
  }

  verdict(kind, drawing, label, modality, text) {
    return el("button", { type: "button", class: `square ${drawing}`, tabindex: "-1", "aria-label": label, title: label, onclick: () => decide(this.video.id, { kind, modality, text }) }, icon(drawing));
  }

  /** Look at a row: the keys mean it, and only it is in the way of the tab key. */
  choose(row, focus) {
    const isNew = this.current !== row.dataset.key || !row.classList.contains("current");
    this.current = row.dataset.key;
    if (isNew) {
      for (const other of this.root.querySelectorAll(".tagrow.current")) {
        other.classList.remove("current");
        for (const button of other.querySelectorAll("button")) button.tabIndex = -1;
      }
      row.classList.add("current");
      for (const button of row.querySelectorAll("button")) button.tabIndex = 0;
      this.chosen(row.tag);
    }
    if (focus) {
      row.querySelector(".name").focus();
      row.scrollIntoView({ block: "nearest" });
    }
  }

  /** The next row, or the one before. */
  step(by) {
    const rows = this.rows();
    const to = rows[Math.min(Math.max(this.index(this.current) + by, 0), rows.length - 1)];
    if (to) this.choose(to, true);
  }

  /** Decide about the row that is looked at. */
  decide(kind) {
    const row = this.rows()[this.index(this.current)];
    if (row && !(kind === "accept" && row.tag.by === "person")) {
      decide(this.video.id, { kind, modality: row.tag.modality, text: row.tag.text });
    }
  }

  seekIn(event, bar) {
    if (event.target !== bar) return;
    const box = bar.getBoundingClientRect();
    this.player.seek(((event.clientX - box.left) / box.width) * this.length);
  }

  follow(time) {
    this.root.style.setProperty("--at", String(Math.min(time / this.length, 1)));
    for (const { node, start, end } of this.spans ?? []) node.classList.toggle("on", start <= time && time < end);
  }
}
