// Building pieces of the page. Text only ever becomes text nodes: nothing that a file says turns into markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element. `on…` are listeners, `vars` CSS variables, true an empty attribute; null and false are left out. */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, of] of Object.entries(value)) node.style.setProperty(`--${name}`, of);
    else if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const PATHS = {
  yes: "M4 9.5l3.2 3.2L14 5.5",
  no: "M5 5l8 8M13 5l-8 8",
  play: "M6 4l8 5-8 5z",
  pause: "M6 4v10M12 4v10",
  sound: "M3 7v4h3l4 3V4L6 7zM12.5 6.5a3.5 3.5 0 010 5",
  silent: "M3 7v4h3l4 3V4L6 7zM12.5 7l3 4M15.5 7l-3 4",
  full: "M3 7V3h4M11 3h4v4M15 11v4h-4M7 15H3v-4",
  why: "M9 12.8v.2M7 7a2 2 0 113 1.7c-.7.4-1 .9-1 1.8",
  filter: "M3 5h12M5 9h8M7.500 13h3",
  back: "M10 4L5 9l5 5",
};

/** A small drawing; what it means is said by the button around it. */
export function icon(name) {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("viewBox", "0 0 18 18");
  drawing.setAttribute("class", "icon");
  drawing.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  path.setAttribute("fill", name === "play" ? "currentColor" : "none");
  path.setAttribute("stroke", "currentColor");
  path.setAttribute("stroke-width", "1.8");
  path.setAttribute("stroke-linecap", "round");
  path.setAttribute("stroke-linejoin", "round");
  drawing.append(path);
  return drawing;
}

/** Seconds as 1:05 or 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds ?? 0));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** Seconds as they are said: "1 minute 5 seconds". */
export function spoken(seconds) {
  const whole = Math.max(0, Math.round(seconds ?? 0));
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  const said = parts.filter(([count]) => count).map(([count, noun]) => `${count} ${noun}${count === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

export const percent = (score) => `${Math.round(score * 100)} %`;
export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** Say something to those who listen to the page. */
export function announce(text) {
  const region = document.getElementById("announcement");
  if (region.textContent !== text) region.textContent = text;
}

/** Wait until nobody has called for `delay` milliseconds. */
export function debounce(act, delay) {
  let timer = 0;
  const later = (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...values), delay);
  };
  later.now = (...values) => {
    clearTimeout(timer);
    act(...values);
  };
  return later;
}
