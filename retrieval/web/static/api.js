// Asking the server. Errors come as sentences; who asks too much waits a moment and asks again.

// The token comes behind the # of the printed address, where no server sees it, and is kept for this address and
// port alone. A cookie would go to every other server on this computer.
const TOKEN = "token";
const given = location.hash.match(/^#token=([^&/]+)$/);
if (given) {
  localStorage.setItem(TOKEN, decodeURIComponent(given[1]));
  history.replaceState(null, "", location.pathname);
}
let key = ""; // of pictures and films, which a browser fetches by itself; where reading takes the token

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const AGAIN = [400, 1200, 2500]; // milliseconds to wait after "too much at once"

function bearer() {
  const token = localStorage.getItem(TOKEN);
  return token ? { authorization: `Bearer ${token}` } : {};
}

async function ask(address, options) {
  for (let turn = 0; ; turn += 1) {
    const headers = { ...options?.headers, ...bearer() };
    const response = await fetch(address, { ...options, credentials: "omit", headers });
    key = response.headers.get("media-key") ?? key;
    if (response.status === 429 && turn < AGAIN.length) {
      await new Promise((done) => setTimeout(done, AGAIN[turn]));
      options?.signal?.throwIfAborted();
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Refused(response.status, answer.error ?? `the server says ${response.status}`);
    return answer;
  }
}

function query(values) {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") pairs.append(name, one);
    }
  }
  const text = pairs.toString();
  return text ? `?${text}` : "";
}

const get = (path, values = {}, signal = undefined) => ask(path + query(values), { signal });
const post = (path, body) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const search = (values, signal) => get("/api/search", values, signal);
export const video = (id, signal) => get(`/api/videos/${id}`, {}, signal);
export const evidence = (id, modality, text) => get(`/api/videos/${id}/evidence`, { modality, text });
export const coverage = (id) => get(`/api/videos/${id}/coverage`);
export const similar = (id, k, signal) => get(`/api/videos/${id}/similar`, { k }, signal);
export const review = (k) => get("/api/review", { k });
export const suggest = (q, signal) => get("/api/tags", { q, k: 8 }, signal);
export const progress = () => get("/api/progress");
export const decide = (id, verdict) => post(`/api/videos/${id}/verdicts`, verdict);
export const undo = (act) => post("/api/undo", { act });

export const strip = (id) => `/strips/${id}${query({ key })}`;
export const media = (id) => `/media/${id}${query({ key })}`;
export const preview = (id, part) => `/previews/${id}${query({ part, key })}`;

/** Was this only called off, because something newer was asked? */
export const isCalledOff = (error) => error?.name === "AbortError";
