// One key for each deed. Single keys can be switched off, for those who speak to their computer.

import { el } from "./dom.js";

const bindings = new Map();
const STORE = "tagline.keys";

export const keysAreOn = () => localStorage.getItem(STORE) !== "off";

/** What a key does while a view is open: `{ a: () => … }`. Returns how to let go of them. */
export function bind(keys) {
  for (const [key, act] of Object.entries(keys)) bindings.set(key, act);
  return () => {
    for (const [key, act] of Object.entries(keys)) if (bindings.get(key) === act) bindings.delete(key);
  };
}

const isTyping = (target) => target.closest?.("input:not([type=checkbox]):not([type=range]), textarea, select, [contenteditable]");

export function listen() {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      if (document.querySelector("dialog[open]")) return;
      bindings.get("Escape")?.(event);
      return;
    }
    if (!keysAreOn() || isTyping(event.target) || document.querySelector("dialog[open]")) return;
    const act = bindings.get(event.key);
    if (!act) return;
    // Space and Enter belong to the button that has the focus; arrows to the slider.
    if (event.key === " " && event.target.closest("button, a, summary, input")) return;
    if (event.key.startsWith("Arrow") && event.target.closest("input[type=range], [role=toolbar]")) return;
    event.preventDefault();
    act(event);
  });
}

const HELP = [
  ["/", "search"], ["← → ↑ ↓", "from hit to hit"], ["Enter", "open at the moment"], ["Esc", "back"],
  ["space", "play or pause"], ["← →", "five seconds back or on"], ["j k", "next tag, tag before"],
  ["a", "the tag is right"], ["x", "the tag is wrong"], ["n", "add a tag"], ["w", "why this tag"], ["u", "undo"], ["?", "these keys"],
];

/** The dialog that says which key does what. */
export function help(dialog) {
  const toggle = el("input", { type: "checkbox", checked: keysAreOn(), onchange: (event) => localStorage.setItem(STORE, event.currentTarget.checked ? "on" : "off") });
  dialog.replaceChildren(
    el("h2", { id: "keys-title" }, "Keys"),
    el("dl", {}, HELP.flatMap(([key, what]) => [el("dt", {}, key.split(" ").flatMap((one) => [el("kbd", {}, one), " "])), el("dd", {}, what)])),
    el("footer", {}, el("label", { class: "switch" }, toggle, "Single keys are on"), el("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Close")),
  );
  dialog.showModal();
}
