// The controls of one facet: a list of categories to pick from, or a histogram with two handles.

import type { CategoryFacet, Facet, NumberFacet } from "./data.ts";
import { el, formatCount, formatNumber, formatShare } from "./dom.ts";
import { gradient, css } from "./palette.ts";
import type { Painter } from "./paint.ts";
import { fold } from "./search.ts";
import type { Selection } from "./selection.ts";

export interface FacetControl {
  root: HTMLElement;
  /** Shows what the selection says, when something else has changed it. */
  refresh(): void;
}

const LISTED = 200;
const WITH_FINDER = 14;
const BINS = 48;

export function facetControl(facet: Facet, painter: Painter, selection: Selection, changed: () => void): FacetControl {
  return facet.kind === "category" ? categoryControl(facet, painter, selection, changed) : rangeControl(facet, painter, selection, changed);
}

function categoryControl(facet: CategoryFacet, painter: Painter, selection: Selection, changed: () => void): FacetControl {
  const order = [...facet.counts.keys()].filter((c) => facet.counts[c] > 0).sort((a, b) => facet.counts[b] - facet.counts[a] || a - b);
  const none = facet.codes.length - facet.counts.reduce((sum, count) => sum + count, 0);
  const list = el("ul", { class: "entries", "aria-label": `${facet.name}: show only` });
  const note = el("p", { class: "note" });

  const entry = (category: number): HTMLElement => {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    if (painter.current === facet) swatch.style.background = css(painter.categoryColor(category));
    else swatch.classList.add("box");
    const count = category < 0 ? none : facet.counts[category];
    const name = category < 0 ? "None" : facet.names[category];
    const button = el(
      "button",
      { type: "button", class: "entry", "data-category": category, "aria-pressed": "false" },
      swatch,
      el("span", { class: "entry-name", dir: "auto" }, name),
      el("span", { class: "entry-count" }, formatCount(count)),
    );
    button.addEventListener("click", () => {
      const picked = new Set(selection.categories(facet));
      if (!picked.delete(category)) picked.add(category);
      selection.set(facet, picked);
      changed();
    });
    return el("li", {}, button);
  };

  const refresh = (): void => {
    const picked = selection.categories(facet);
    for (const button of list.querySelectorAll<HTMLElement>(".entry")) {
      const pressed = picked.has(Number(button.dataset.category));
      button.setAttribute("aria-pressed", String(pressed));
      button.classList.toggle("dimmed", picked.size > 0 && !pressed);
    }
  };
  const show = (wanted: string): void => {
    const found = wanted === "" ? order : order.filter((category) => fold(facet.names[category]).includes(wanted));
    list.replaceChildren(...found.slice(0, LISTED).map(entry), ...(none > 0 && wanted === "" ? [entry(-1)] : []));
    const rest = found.length - LISTED;
    note.textContent = rest > 0 ? `and ${formatCount(rest)} smaller ones` : found.length === 0 ? "No such name" : "";
    note.hidden = note.textContent === "";
    refresh();
  };

  const root = el("div", { class: "facet" });
  if (order.length > WITH_FINDER) {
    const finder = el("input", { type: "text", class: "small-input", placeholder: "Find a name", "aria-label": `Find in ${facet.name}`, autocomplete: "off", spellcheck: "false" });
    finder.addEventListener("input", () => show(fold(finder.value).trim()));
    root.append(finder);
  }
  root.append(list, note);
  show("");
  return { root, refresh };
}

function rangeControl(facet: NumberFacet, painter: Painter, selection: Selection, changed: () => void): FacetControl {
  const known = facet.values.filter((value) => Number.isFinite(value));
  if (known.length === 0) return { root: el("p", { class: "note" }, "No article has a value."), refresh: () => {} };
  let [low, high] = [known[0], known[0]];
  for (const value of known) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const whole = high > low ? high - low : 1;
  // Few values, as shares of 15 votes are, get a bar each.
  const distinct = new Set<number>();
  for (let i = 0; i < known.length && distinct.size < BINS; i++) distinct.add(known[i]);
  const bins = new Uint32Array(Math.max(1, Math.min(BINS, distinct.size)));
  for (const value of known) bins[Math.min(bins.length - 1, Math.floor(((value - low) / whole) * bins.length))]++;
  const tallest = Math.max(...bins);

  const bars = Array.from(bins, (count) => {
    const bar = el("span", {});
    bar.style.height = `${count === 0 ? 0 : Math.max(4, 100 * Math.sqrt(count / tallest))}%`;
    return bar;
  });
  const histogram = el("div", { class: "histogram", "aria-hidden": "true" }, ...bars);
  const scale = el("div", { class: "gradient", "aria-hidden": "true" });
  if (painter.current === facet) scale.style.background = gradient(painter.theme);

  const handle = (end: "lowest" | "highest") =>
    el("input", { type: "range", class: "handle", min: 0, max: 1000, step: 1, "aria-label": `${facet.name}, ${end}` });
  const field = (end: "lowest" | "highest") =>
    el("input", { type: "text", inputmode: "decimal", class: "small-input number", "aria-label": `${facet.name}, ${end} value`, autocomplete: "off" });
  const handles = [handle("lowest"), handle("highest")];
  const fields = [field("lowest"), field("highest")];

  const refresh = (): void => {
    const ends = selection.range(facet) ?? [low, high];
    ends.forEach((value, k) => {
      handles[k].value = String(Math.round((1000 * (value - low)) / whole));
      handles[k].setAttribute("aria-valuetext", formatNumber(value));
      if (document.activeElement !== fields[k]) fields[k].value = formatNumber(value);
    });
    bars.forEach((bar, b) => {
      const inside = low + ((b + 1) / bins.length) * whole > ends[0] && low + (b / bins.length) * whole <= ends[1];
      bar.classList.toggle("outside", !inside);
    });
  };
  const set = (k: number, value: number): void => {
    const ends = [...(selection.range(facet) ?? [low, high])] as [number, number];
    ends[k] = value;
    // A handle pushed past the other takes it along.
    if (ends[0] > ends[1]) ends[1 - k] = value;
    selection.set(facet, ends[0] <= low && ends[1] >= high ? null : ends);
    changed();
  };
  handles.forEach((input, k) =>
    input.addEventListener("input", () => {
      const at = Number(input.value);
      set(k, at === 0 ? low : at === 1000 ? high : low + (at / 1000) * whole);
    }),
  );
  fields.forEach((input, k) =>
    input.addEventListener("change", () => {
      const value = Number(input.value.replaceAll(",", "").trim());
      if (input.value.trim() !== "" && Number.isFinite(value)) set(k, Math.min(high, Math.max(low, value)));
      input.value = formatNumber((selection.range(facet) ?? [low, high])[k]);
    }),
  );
  const missing = facet.values.length - known.length;
  const root = el(
    "div",
    { class: "facet range", role: "group", "aria-label": `${facet.name}: show only from … to` },
    histogram,
    scale,
    el("div", { class: "handles" }, ...handles),
    el("div", { class: "range-ends" }, fields[0], el("span", { "aria-hidden": "true" }, "to"), fields[1]),
    missing > 0 ? el("p", { class: "note" }, `${formatCount(missing)} without a value`) : null,
  );
  refresh();
  return { root, refresh };
}

export interface Bar {
  name: string;
  share: number;
  color?: string;
  chosen?: () => void;
}

/** Shares as bars, largest first: a list, so that it reads well without being seen. */
export function bars(items: Bar[], label: string): HTMLElement {
  return el(
    "ul",
    { class: "bars", "aria-label": label },
    ...items.map(({ name, share, color, chosen }) => {
      const fill = el("span", { class: "bar-fill" });
      fill.style.width = `${Math.round(100 * share)}%`;
      if (color) fill.style.background = color;
      const words = [
        el("span", { class: "bar-name", dir: "auto" }, name),
        el("span", { class: "bar-share" }, formatShare(share)),
        el("span", { class: "bar-track", "aria-hidden": "true" }, fill),
      ];
      if (!chosen) return el("li", { class: "bar" }, ...words);
      const button = el("button", { type: "button", class: "bar" }, ...words);
      button.addEventListener("click", chosen);
      return el("li", {}, button);
    }),
  );
}
