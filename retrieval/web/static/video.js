// The view of one video: player, timeline, transcript, evidence, adding a tag, what is similar.

import * as api from "./api.js";
import { card, chip, titleOf } from "./cards.js";
import { announce, clock, debounce, el, icon, percent } from "./dom.js";
import { bind } from "./keys.js";
import { Lanes } from "./lanes.js";
import { Player } from "./player.js";
import { decide, onDecided } from "./toast.js";
import { Transcript } from "./transcript.js";

const AROUND = 2; // seconds before and after now, where a tag is added to a moment

export class VideoView {
  constructor() {
    this.root = el("div", { class: "watch" });
  }

  async open(id, time, like) {
    this.calling = new AbortController();
    this.root.replaceChildren(el("p", { class: "quiet" }, "Opening …"));
    try {
      this.video = await api.video(id, this.calling.signal);
    } catch (error) {
      if (api.isCalledOff(error)) return;
      this.root.replaceChildren(el("div", { class: "empty" }, el("h2", {}, error.message), el("a", { class: "button", href: "#/" }, "All videos")));
      return;
    }
    this.scrollsToSimilar = like;
    this.build();
    if (this.video.there) this.player.seek(time, false);
    else this.player.tick();
  }

  /** Go to another second of the video that is open. */
  seek(time) {
    this.player?.seek(time);
  }

  build() {
    const { video } = this;
    document.title = `${titleOf(video)} · tagline`;
    this.player = new Player(video);
    this.lanes = new Lanes(this.player, (tag) => this.explain(tag));
    this.transcript = new Transcript(this.player, video.transcript);
    this.evidence = el("section", { class: "panel evidence", "aria-live": "polite" }, el("h2", {}, "Why"), el("p", { class: "quiet small" }, "Choose a tag to see who says so."));
    this.rejected = el("div", {});
    this.similar = el("section", { class: "similar" });
    this.root.replaceChildren(
      el("a", { class: "back small", href: "#/", onclick: (event) => this.back(event) }, icon("back"), "Back"),
      el("div", { class: "head" }, el("h1", {}, titleOf(video)), el("p", { class: "quiet small" }, this.facts())),
      el("div", { class: "left" }, this.player.root, this.lanes.root, this.adding(), this.rejected, this.missing()),
      el("div", { class: "right" }, this.transcript.root, this.evidence),
      this.similar,
    );
    this.show(video);
    this.likeThis();
    const stop = onDecided((changed) => {
      if (changed?.id === this.video.id) this.show(changed);
    });
    const free = bind({
      " ": () => this.player.toggle(),
      ArrowLeft: () => this.player.step(-1),
      ArrowRight: () => this.player.step(1),
      j: () => this.lanes.step(1),
      k: () => this.lanes.step(-1),
      a: () => this.lanes.decide("accept"),
      x: () => this.lanes.decide("reject"),
      w: () => this.evidence.querySelector("button, a")?.focus(),
      n: () => this.input.focus(),
      Escape: () => history.back(),
    });
    this.letGo = () => { stop(); free(); };
  }

  show(video) {
    this.video = video;
    this.lanes.show(video);
    this.rejected.replaceChildren(video.rejected.length ? el(
      "p",
      { class: "rejected small" },
      "Rejected: ",
      video.rejected.map(({ text, modality }) => chip(text, modality, {
        class: `chip without modality-${modality}`,
        "aria-label": `${text}, ${modality}, was rejected; it is right after all`,
        title: "It is right after all",
        onclick: () => decide(video.id, { kind: "accept", text, modality }),
      })),
    ) : "");
  }

  facts() {
    const { video } = this;
    return [
      video.title ? video.name : null,
      video.created?.slice(0, 10),
      video.duration ? clock(video.duration) : null,
      video.width ? `${video.width} × ${video.height}` : video.width === 0 ? "sound alone" : null,
      video.fps ? `${Number(video.fps.toFixed(2))} fps` : null,
      video.codec,
      video.has_sound === false ? "no sound" : null,
    ].filter(Boolean).join(" · ");
  }

  back(event) {
    if (history.length < 2) return;
    event.preventDefault();
    history.back();
  }

  /** Who says that this tag is there, with what, in which pictures. */
  async explain(tag) {
    const asked = (this.asked = {});
    const { id } = this.video;
    let found;
    try {
      found = await api.evidence(id, tag.modality, tag.text);
    } catch (error) {
      found = { experts: [], sightings: [], verdicts: [], error: error.message };
    }
    if (asked !== this.asked) return;
    this.evidence.replaceChildren(
      el("h2", {}, "Why ", chip(tag.text, tag.modality)),
      ...found.verdicts.map((one) => el("p", { class: "small" }, `A person said “${one.kind}” on ${one.at.slice(0, 10)}.`)),
      ...found.experts.map((one) => this.expert(one, tag)),
      found.sightings.length ? el(
        "ul",
        { class: "sightings" },
        found.sightings.slice(0, 24).map((seen) => el("li", {}, el("button", {
          type: "button",
          class: "plain number",
          onclick: () => {
            this.player.seek(seen.time, false);
            if (seen.box) this.player.showBoxes([seen.box]);
          },
        }, `${clock(seen.time)} · ${percent(seen.score)}`))),
      ) : "",
      el(
        "p",
        { class: "small ways-on" },
        el("a", { href: `#/?tag=${encodeURIComponent(`${tag.modality}:${tag.text}`)}` }, "Videos with this tag"),
        el("a", { href: `#/?not=${encodeURIComponent(`${tag.modality}:${tag.text}`)}` }, "Videos without it"),
      ),
      found.error ? el("p", { class: "small" }, found.error) : "",
    );
  }

  expert(one, tag) {
    const other = one.text && one.text !== tag.text ? `, in its own words “${one.text}”` : "";
    return el(
      "div",
      { class: "small expert" },
      el("p", {}, `The expert “${one.expert}” says so${other}.`),
      el("p", { class: "quiet" }, `version ${one.version} · ${one.fingerprint} · looked on ${one.at.slice(0, 10)}`),
      one.weights.length ? el("p", { class: "quiet" }, `by the weights ${one.weights.join(", ")}`) : null,
      one.notes.map((note) => el("p", { class: "quiet" }, note)),
    );
  }

  adding() {
    const list = el("datalist", { id: "known-tags" });
    this.input = el("input", { type: "text", maxlength: 120, list: "known-tags", placeholder: "Add a tag", "aria-label": "Add a tag", autocomplete: "off" });
    const here = el("input", { type: "checkbox" });
    const suggest = debounce(async () => {
      try {
        const { tags } = await api.suggest(this.input.value);
        list.replaceChildren(...[...new Set(tags.map((tag) => tag.text))].map((text) => el("option", { value: text })));
      } catch {
        list.replaceChildren();
      }
    }, 200);
    this.input.addEventListener("input", suggest);
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        event.stopPropagation();
        this.input.blur();
      }
    });
    return el(
      "form",
      {
        class: "adding",
        onsubmit: async (event) => {
          event.preventDefault();
          const text = this.input.value.trim();
          if (!text) return;
          const now = this.player.time;
          const span = here.checked ? { start: Math.max(0, now - AROUND), end: now + AROUND } : {};
          if (await decide(this.video.id, { kind: "add", text, ...span })) this.input.value = "";
        },
      },
      this.input,
      list,
      el("label", { class: "switch small" }, here, "only around now"),
      el("button", { class: "button" }, "Add"),
    );
  }

  /** What was not looked at: asked for only when somebody wants to know, for it takes a moment. */
  missing() {
    const list = el("ul", { class: "small" });
    const details = el("details", { class: "missing small" }, el("summary", {}, "What was not looked at"), list);
    details.addEventListener("toggle", async () => {
      if (!details.open || list.children.length) return;
      try {
        const { not_looked_at: missing } = await api.coverage(this.video.id);
        list.replaceChildren(...missing.map((one) => el("li", {}, one.expert ? el("strong", {}, `${one.expert}: `) : "", one.reason)));
        if (!missing.length) list.replaceChildren(el("li", {}, "Everything was looked at."));
      } catch (error) {
        list.replaceChildren(el("li", {}, error.message));
      }
    });
    return details;
  }

  async likeThis() {
    try {
      const { hits } = await api.similar(this.video.id, 6, this.calling.signal);
      if (!hits.length) return;
      this.similar.replaceChildren(
        el("h2", {}, "More like this"),
        el("ol", { class: "hits row" }, hits.map((hit) => el("li", {}, card({ ...hit, score: null }, { heading: "h3" })))),
      );
      if (this.scrollsToSimilar) this.similar.scrollIntoView();
    } catch (error) {
      if (!api.isCalledOff(error)) announce(error.message);
    }
  }

  close() {
    this.calling?.abort();
    this.letGo?.();
    this.player?.close();
  }
}
