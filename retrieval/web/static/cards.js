// A hit as a card: the picture of its moment, the film strip with the moment marked, and why it is here.

import { clock, el, percent, spoken } from "./dom.js";
import { showStrip, tileAt } from "./strips.js";

export const linkTo = (hit, time = hit.start) => `#/video/${hit.id}${time > 0 ? `?t=${Number(time.toFixed(2))}` : ""}`;
export const titleOf = (video) => video.title || video.name;

/** A tag as a small label with the colour of its modality. */
export function chip(text, modality, attributes = {}) {
  const { href, onclick, ...rest } = attributes;
  const name = href ? "a" : onclick ? "button" : "span";
  const type = onclick ? { type: "button" } : {};
  return el(name, { class: `chip modality-${modality}`, href, onclick, title: modality, ...type, ...rest }, el("span", {}, text));
}

/** The shape of the picture in a box of 16:9, as its share of the box. */
function shape(hit) {
  const ratio = hit.width && hit.height ? hit.width / hit.height : 16 / 9;
  const box = 16 / 9;
  const fits = ratio >= box ? { width: "100%", height: `${(100 * box) / ratio}%` } : { width: `${(100 * ratio) / box}%`, height: "100%" };
  return { ratio, fits };
}

/**
 * options: heading (h2 or h3), marked (there is a moment), like(hit) for "more like this", without(tag) for
 * "less of this tag".
 */
export function card(hit, options = {}) {
  const { heading = "h2", marked = true, like = null, without = null } = options;
  const { fits } = shape(hit);
  const duration = hit.duration || 0;
  const tile = tileAt(marked ? (hit.start + Math.min(hit.end, hit.start + 4)) / 2 : duration / 2, duration);
  const picture = el("span", { class: "picture", vars: { tile } });
  const fills = fits.width === "100%" && parseFloat(fits.height) > 97;
  const blur = fills ? null : el("span", { class: "picture blur", vars: { tile } });
  picture.style.width = fits.width;
  picture.style.height = fits.height;
  const when = marked ? `${clock(hit.start)}–${clock(hit.end)}` : null;
  const still = el(
    "a",
    { class: "still", href: linkTo(hit), tabindex: "-1", "aria-hidden": "true" },
    blur,
    picture,
    hit.score ? el("span", { class: "score number", title: "how well it fits" }, percent(hit.score)) : null,
    duration ? el("span", { class: "time" }, clock(duration)) : null,
  );
  const film = el("span", { class: "film" });
  const now = marked && duration ? el("span", {
    class: "now",
    vars: { from: Math.min(hit.start / duration, 0.98), to: Math.min(Math.max(hit.end / duration, 0), 1) },
  }) : null;
  const strip = el("a", { class: "strip", href: linkTo(hit), tabindex: "-1", "aria-hidden": "true" }, film, now);
  const pictures = [picture, blur].filter(Boolean);
  scrub(strip, hit, pictures, tile);
  if (hit.width === 0) still.classList.add("blank"); // sound alone
  else if (hit.there) showStrip(still, [...pictures, film], hit.id);
  const label = `${titleOf(hit)}${marked ? `, from ${spoken(hit.start)} to ${spoken(hit.end)}` : ""}`;
  return el(
    "article",
    { class: "card", data: { id: hit.id } },
    still,
    strip,
    el(heading, {}, el("a", { href: linkTo(hit), class: "opens", "aria-label": label }, titleOf(hit))),
    el(
      "p",
      { class: "facts" },
      when ? el("a", { class: "moment", href: linkTo(hit), tabindex: "-1" }, when) : null,
      el("span", { class: "file", title: hit.name }, [hit.title ? hit.name : null, hit.created?.slice(0, 10)].filter(Boolean).join(" · ")),
    ),
    chips(hit),
    actions(hit, like, without),
  );
}

/** Moving over the strip shows what is there; a click opens the video at that second. */
function scrub(strip, hit, pictures, tile) {
  if (!hit.duration) return;
  const timeOf = (event) => {
    const box = strip.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 0.999) * hit.duration;
  };
  const show = (number) => pictures.forEach((picture) => picture.style.setProperty("--tile", number));
  strip.addEventListener("pointermove", (event) => show(tileAt(timeOf(event), hit.duration)));
  strip.addEventListener("pointerleave", () => show(tile));
  strip.addEventListener("click", (event) => {
    event.preventDefault();
    location.hash = linkTo(hit, timeOf(event));
  });
}

function chips(hit) {
  const seen = new Set();
  const from = hit.why.length ? hit.why.map((one) => ({ text: one.text, modality: one.kind, start: one.start })) : hit.tags;
  const unique = from.filter((tag) => !seen.has(tag.text + tag.modality) && seen.add(tag.text + tag.modality)).slice(0, 5);
  if (!unique.length) return null;
  return el("p", { class: "chips" }, unique.map((tag) =>
    chip(tag.text, tag.modality, { href: linkTo(hit, tag.start), "aria-label": `${tag.text}, ${tag.modality}, at ${spoken(tag.start)}`, tabindex: "-1" })));
}

function actions(hit, like, without) {
  const list = el("ul", { class: "reasons", hidden: true, id: `why-${hit.id}` }, hit.why.map((one) => reason(hit, one, without)));
  const why = hit.why.length ? el("button", {
    type: "button",
    class: "plain",
    "aria-expanded": "false",
    "aria-controls": list.id,
    onclick: (event) => {
      list.hidden = !list.hidden;
      event.currentTarget.setAttribute("aria-expanded", String(!list.hidden));
    },
  }, "Why this") : null;
  const more = like ? el("button", { type: "button", class: "plain", "aria-label": `More like ${titleOf(hit)}`, onclick: () => like(hit) }, "More like this") : null;
  return why || more ? [el("div", { class: "does" }, why, more), hit.why.length ? list : null] : null;
}

function reason(hit, one, without) {
  const isTag = without && !["title", "name", "speech", "picture"].includes(one.kind);
  return el(
    "li",
    {},
    chip(one.text, one.kind),
    el("a", { href: linkTo(hit, one.start), "aria-label": `${one.text}, ${one.kind}, from ${spoken(one.start)}, ${percent(one.score)} sure` }, `${clock(one.start)}–${clock(one.end)} · ${percent(one.score)}`),
    isTag ? el("button", { type: "button", class: "plain", "aria-label": `Less of ${one.text}`, onclick: () => without(`${one.kind}:${one.text}`) }, "less") : null,
  );
}
