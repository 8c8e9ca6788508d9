// Film strips: loaded when they come into view, a few at a time; asked again when the server is busy.

import * as api from "./api.js";

const AT_ONCE = 4;
const TRIES = 6;
const TILES = 8;
const ready = new Map(); // address -> promise of its being there
const waiting = [];
let loading = 0;

/** Which of the eight pictures shows a moment. */
export function tileAt(seconds, duration) {
  if (!duration) return 0;
  return Math.min(TILES - 1, Math.max(0, Math.floor((seconds / duration) * TILES)));
}

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      watcher.unobserve(entry.target);
      entry.target.dispatchEvent(new Event("wanted"));
    }
  },
  { rootMargin: "300px" },
);

/** Give these elements the strip of a video as their background, once `holder` is about to be seen. */
export function showStrip(holder, elements, id) {
  const address = api.strip(id);
  holder.addEventListener("wanted", async () => {
    try {
      await load(address);
      for (const element of elements) element.style.backgroundImage = `url("${address}")`;
      holder.classList.add("shown");
    } catch {
      holder.classList.add("blank");
    }
  }, { once: true });
  watcher.observe(holder);
}

function load(address) {
  if (!ready.has(address)) {
    const promise = new Promise((done, failed) => waiting.push({ address, done, failed, turn: 0 }));
    promise.catch(() => ready.delete(address));
    ready.set(address, promise);
    next();
  }
  return ready.get(address);
}

function next() {
  while (loading < AT_ONCE && waiting.length) begin(waiting.shift());
}

async function begin(job) {
  loading += 1;
  try {
    const response = await fetch(job.address);
    if (response.status === 429 && job.turn < TRIES) {
      job.turn += 1;
      setTimeout(() => { waiting.push(job); next(); }, 500 * job.turn);
    } else if (response.ok) {
      await response.blob();
      job.done();
    } else {
      job.failed(new Error(`no strip (${response.status})`));
    }
  } catch (error) {
    job.failed(error);
  } finally {
    loading -= 1;
    next();
  }
}
