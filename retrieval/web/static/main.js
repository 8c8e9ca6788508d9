// The way in: which view an address means, and the keys that work everywhere.

import { Find, addressOf, queryOf } from "./find.js";
import { bind, help, listen } from "./keys.js";
import { Review } from "./review.js";
import { Running } from "./running.js";
import { undo } from "./toast.js";
import { VideoView } from "./video.js";

const content = document.getElementById("content");
const input = document.getElementById("query");
const find = new Find(input);
let view = null;
let first = true;
let before = ""; // the address of the last search, where Escape and "Videos" lead back to

/** `#/video/ID?t=7` is ["video", "ID"] and its pairs. */
function parts() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean), pairs: new URLSearchParams(query) };
}

async function route() {
  const { path, pairs } = parts();
  const name = path[0] === "video" && path[1] ? "video" : path[0] === "review" ? "review" : "find";
  for (const link of document.querySelectorAll("[data-way]")) {
    if (link.dataset.way === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const time = Number(pairs.get("t")) || 0;
  if (name === "video" && view instanceof VideoView && view.video?.id === path[1]) {
    view.seek(time);
    return;
  }
  if (!(name === "find" && view === find)) {
    view?.close();
    view = name === "video" ? new VideoView() : name === "review" ? new Review() : find;
    content.replaceChildren(view.root);
    if (!first && document.activeElement !== input) content.focus({ preventScroll: true });
    if (name !== "find") scrollTo(0, 0);
  }
  first = false;
  if (name === "video") await view.open(path[1], time, pairs.has("like"));
  else if (name === "review") await view.open();
  else {
    before = addressOf(queryOf(pairs));
    document.querySelector('[data-way="find"]').setAttribute("href", before);
    await find.open(queryOf(pairs));
  }
}

listen();
bind({
  "/": () => { input.focus(); input.select(); },
  u: () => undo(),
  "?": () => help(document.getElementById("keys")),
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Escape") input.blur();
  if (event.key === "ArrowDown") {
    event.preventDefault();
    find.hits.querySelector("a.opens")?.focus();
  }
});
document.getElementById("show-keys").addEventListener("click", () => help(document.getElementById("keys")));
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address belongs to the views
  content.focus();
});
addEventListener("hashchange", route);
new Running(document.getElementById("running"), () => { if (view === find) find.ask(); });
route();
