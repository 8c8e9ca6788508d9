// The filters beside the hits: modalities, tags, length, year, each with how many videos it would leave.

import { el, icon } from "./dom.js";

const FEW = 12; // tags that are shown before somebody asks for more

const LENGTHS = { 0: "under 10 s", 10: "10 s to 1 min", 60: "1 to 5 min", 300: "5 to 20 min", 1200: "20 min and more" };

/** `query` is what is asked for now; `change(part)` asks for something else. */
export function filters(facets, query, change, open) {
  const inside = el(
    "div",
    { class: "inside" },
    modalities(facets.modality, query, change),
    lengths(facets.length, query, change),
    years(facets.year, query, change),
    tags(facets.tag, query, change),
  );
  return el("details", { class: "filters", open, "aria-label": "Filters" }, el("summary", {}, icon("filter"), "Filters"), inside);
}

function section(title, rows, ...rest) {
  return rows.length ? el("section", { role: "group", "aria-label": title }, el("h3", {}, title), rows, rest) : null;
}

function box(name, count, checked, modality, key, act) {
  return el(
    "label",
    { class: `filter${modality ? ` modality-${modality}` : ""}` },
    el("input", { type: "checkbox", checked, data: { key }, onchange: (event) => act(event.currentTarget.checked) }),
    el("span", { class: "name" }, name),
    el("span", { class: "count" }, String(count), el("span", { class: "screen-reader-only" }, count === 1 ? " video" : " videos")),
  );
}

function modalities(found, query, change) {
  const chosen = query.modality ?? [];
  return section("Found by", found.map(({ value, count }) =>
    box(value, count, chosen.includes(value), value, `modality ${value}`, (on) =>
      change({ modality: on ? [...chosen, value] : chosen.filter((one) => one !== value) }))));
}

function lengths(found, query, change) {
  if (found.length < 2 && query.longer === undefined && query.shorter === undefined) return null;
  return section("Length", found.map(({ longer, shorter, count }) => {
    const on = Number(query.longer ?? -1) === longer;
    return box(LENGTHS[longer] ?? `from ${longer} s`, count, on, null, `length ${longer}`, (chosen) =>
      change(chosen ? { longer, shorter: shorter ?? undefined } : { longer: undefined, shorter: undefined }));
  }));
}

function years(found, query, change) {
  return section("Filmed in", found.map(({ value, count }) => {
    const on = query.after === `${value}-01-01`;
    return box(value, count, on, null, `year ${value}`, (chosen) =>
      change(chosen ? { after: `${value}-01-01`, before: `${Number(value) + 1}-01-01` } : { after: undefined, before: undefined }));
  }));
}

function tags(found, query, change) {
  const chosen = query.tag ?? [];
  const rows = found.map(({ modality, text, count }) =>
    box(text, count, false, modality, `tag ${modality}:${text}`, () => change({ tag: [...chosen, `${modality}:${text}`] })));
  rows.slice(FEW).forEach((row) => { row.hidden = true; });
  const more = rows.length > FEW ? el("button", {
    type: "button",
    class: "plain more",
    onclick: (event) => {
      rows.forEach((row) => { row.hidden = false; });
      rows[FEW].querySelector("input").focus();
      event.currentTarget.remove();
    },
  }, `${rows.length - FEW} more`) : null;
  return section("Tags", rows, more);
}

/** What is in use, as labels that can be taken away. */
export function inUse(query, change) {
  const label = (text, modality, name, undo, without = false) =>
    el(
      "span",
      { class: `chip modality-${modality}${without ? " without" : ""}` },
      el("span", {}, text),
      el("button", { type: "button", "aria-label": `Remove the filter ${name}`, onclick: undo }, "×"),
    );
  const split = (tag) => (tag.includes(":") ? tag.split(/:(.*)/s) : ["", tag]);
  return [
    ...(query.tag ?? []).map((tag) => label(split(tag)[1], split(tag)[0], tag, () => change({ tag: query.tag.filter((one) => one !== tag) }))),
    ...(query.not ?? []).map((tag) => label(split(tag)[1], split(tag)[0], `not ${tag}`, () => change({ not: query.not.filter((one) => one !== tag) }), true)),
  ];
}
