// What was just decided, with a way back; and the way back itself, as often as one likes.

import * as api from "./api.js";
import { announce, el } from "./dom.js";

const STAYS = 7000; // milliseconds
const acts = []; // what was decided on this page, the last at the end
const listeners = new Set();
let timer = 0;

/** Called for each decision and each undoing: `(video, verdict)`. */
export function onDecided(act) {
  listeners.add(act);
  return () => listeners.delete(act);
}

const VERBS = { accept: "is right", reject: "rejected", add: "added" };

/** Carry a decision out and announce it. */
export async function decide(id, verdict) {
  try {
    const done = await api.decide(id, verdict);
    acts.push(done.act);
    say(`“${done.verdict.text}” ${VERBS[done.verdict.kind]}`, true);
    listeners.forEach((act) => act(done.video, done.verdict));
    return done.video;
  } catch (error) {
    say(error.message);
    return null;
  }
}

/** Take the last decision back. */
export async function undo() {
  if (!acts.length) {
    say("Nothing to take back: nothing was decided on this page");
    return;
  }
  try {
    const done = await api.undo(acts.at(-1));
    acts.pop();
    say(`Taken back: ${done.verdict.kind} “${done.verdict.text}”`);
    if (done.video) listeners.forEach((act) => act(done.video, { ...done.verdict, undone: true }));
  } catch (error) {
    if (error.status === 409) acts.length = 0;
    say(error.message);
  }
}

export function say(text, withUndo = false) {
  const toast = document.getElementById("toast");
  toast.replaceChildren(el("span", {}, text), withUndo ? el("button", { type: "button", class: "button", onclick: undo }, "Undo ", el("kbd", {}, "u")) : "");
  toast.hidden = false;
  announce(text);
  clearTimeout(timer);
  timer = setTimeout(() => { toast.hidden = true; }, STAYS);
}
