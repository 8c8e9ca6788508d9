// The player: the file itself where the browser can, else a preview made on the server, twelve seconds at a time.
// Whoever uses it knows only seconds of the whole video.

import * as api from "./api.js";
import { clock, el, icon, spoken } from "./dom.js";

const PART = 12; // seconds of one preview, as the server makes them
const STEP = 5; // seconds of an arrow key

export class Player extends EventTarget {
  constructor(video) {
    super();
    this.id = video.id;
    this.duration = video.duration || 0;
    this.part = null; // which preview is shown; null: the file itself
    this.goal = null; // the second to show as soon as something can be shown
    this.film = el("video", { playsinline: true, preload: "auto", tabindex: "-1", "aria-label": video.title || video.name });
    this.note = el("p", { class: "note", hidden: true, role: "status" });
    this.boxes = el("div", { class: "boxes", "aria-hidden": "true" });
    this.stage = el("div", { class: "stage" }, this.film, this.boxes, this.note);
    this.controls = this.makeControls();
    this.root = el("div", { class: "player", role: "group", "aria-label": "Player" }, this.stage, this.controls);
    this.listen(video);
    if (!video.there) this.say("Its file is not there.");
    else if (video.direct) this.film.src = api.media(this.id);
    else this.usePreviews(0, false);
  }

  get time() {
    if (this.goal !== null) return this.goal;
    return (this.part ?? 0) * PART + this.film.currentTime;
  }

  get playing() {
    return !this.film.paused;
  }

  /** Go to a second; `play`: and go on from there. */
  seek(seconds, play = this.playing) {
    const to = Math.min(Math.max(seconds, 0), Math.max(this.duration - 0.05, 0));
    this.goal = to;
    this.clearBoxes();
    if (this.part !== null && Math.floor(to / PART) !== this.part) this.load(Math.floor(to / PART));
    else if (this.film.readyState >= 1) this.arrive();
    this.wantsToPlay = play;
    if (play) this.play();
    else this.film.pause();
    this.tick();
  }

  async play() {
    this.wantsToPlay = true;
    try {
      await this.film.play();
    } catch (error) {
      if (error.name === "NotAllowedError") this.wantsToPlay = false;
    }
  }

  toggle() {
    this.clearBoxes();
    if (this.film.paused) {
      if (this.film.ended || this.time >= this.duration - 0.1) this.seek(0, true);
      else this.play();
    } else {
      this.wantsToPlay = false;
      this.film.pause();
    }
  }

  step(by) {
    this.seek(this.time + by * STEP);
  }

  /** Draw where something was seen, as shares of the picture. */
  showBoxes(boxes) {
    this.boxes.replaceChildren(...boxes.map(([x, y, width, height]) => el("span", { vars: { x, y, width, height } })));
    const { videoWidth, videoHeight } = this.film;
    if (videoWidth) this.boxes.style.setProperty("--ratio", String(videoWidth / videoHeight));
  }

  clearBoxes() {
    this.boxes.replaceChildren();
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.film.pause();
    this.film.removeAttribute("src");
    this.film.load();
  }

  usePreviews(seconds, play) {
    this.wantsToPlay = play;
    this.goal = seconds;
    this.load(Math.floor(seconds / PART));
  }

  load(part) {
    this.part = part;
    this.say("Making a preview …");
    this.film.src = api.preview(this.id, part);
    this.film.load();
  }

  arrive() {
    if (this.goal === null) return;
    const inside = this.goal - (this.part ?? 0) * PART;
    this.goal = null;
    this.film.currentTime = Math.min(inside, Math.max(this.film.duration - 0.05, 0) || inside);
  }

  say(text) {
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  listen(video) {
    const { film } = this;
    film.addEventListener("loadedmetadata", () => {
      if (!this.duration && this.part === null) this.duration = film.duration;
      if (!film.videoWidth && this.part === null && video.width !== 0) {
        this.usePreviews(this.goal ?? 0, this.wantsToPlay); // it plays the sound and cannot show the pictures
        return;
      }
      if (film.videoWidth) this.stage.style.setProperty("--ratio", String(film.videoWidth / film.videoHeight));
      this.say("");
      this.arrive();
      if (this.wantsToPlay) this.play();
      this.tick();
    });
    film.addEventListener("error", () => {
      if (!film.getAttribute("src")) return;
      if (this.part === null) this.usePreviews(this.time, this.wantsToPlay);
      else this.refused();
    });
    film.addEventListener("ended", () => {
      if (this.part !== null && (this.part + 1) * PART < this.duration - 0.1) this.seek((this.part + 1) * PART, true);
    });
    for (const name of ["play", "pause", "ended", "seeked"]) film.addEventListener(name, () => this.tick());
    film.addEventListener("click", () => this.toggle());
    const follow = () => {
      this.tick();
      if (!film.paused) this.frame = requestAnimationFrame(follow);
    };
    film.addEventListener("play", () => { this.frame = requestAnimationFrame(follow); });
  }

  async refused() {
    const response = await fetch(api.preview(this.id, this.part)).catch(() => null);
    const answer = response && !response.ok ? await response.json().catch(() => ({})) : {};
    this.say(answer.error ?? "This part cannot be shown.");
  }

  makeControls() {
    this.button = el("button", { type: "button", class: "square", onclick: () => this.toggle() }, icon("play"));
    this.slider = el("input", { type: "range", min: 0, max: Math.max(this.duration, 0.1), step: "any", value: 0, "aria-label": "Position", oninput: () => this.seek(Number(this.slider.value)) });
    this.slider.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.step(steps[event.key]);
    });
    this.position = el("span", { class: "number small" }, clock(0));
    this.mute = el("button", { type: "button", class: "square", onclick: () => { this.film.muted = !this.film.muted; this.tick(); } }, icon("sound"));
    const full = el("button", { type: "button", class: "square", "aria-label": "Full screen", onclick: () => (document.fullscreenElement ? document.exitFullscreen() : this.stage.requestFullscreen()) }, icon("full"));
    return el("div", { class: "controls" }, this.button, this.slider, this.position, this.mute, full);
  }

  tick() {
    const { time, film } = this;
    const state = film.paused ? "play" : "pause";
    if (this.button.dataset.state !== state) {
      this.button.dataset.state = state;
      this.button.setAttribute("aria-label", film.paused ? "Play" : "Pause");
      this.button.replaceChildren(icon(state));
    }
    if (this.mute.dataset.state !== String(film.muted)) {
      this.mute.dataset.state = String(film.muted);
      this.mute.setAttribute("aria-label", film.muted ? "Sound on" : "Sound off");
      this.mute.replaceChildren(icon(film.muted ? "silent" : "sound"));
    }
    this.slider.max = String(Math.max(this.duration, 0.1));
    this.slider.value = String(time);
    this.slider.style.setProperty("--at", String(this.duration ? time / this.duration : 0));
    const whole = Math.round(time);
    if (this.slider.dataset.second !== String(whole)) {
      this.slider.dataset.second = String(whole);
      this.slider.setAttribute("aria-valuetext", `${spoken(time)} of ${spoken(this.duration)}`);
      this.position.textContent = `${clock(time)} / ${clock(this.duration)}`;
    }
    this.dispatchEvent(new CustomEvent("time", { detail: time }));
  }
}
