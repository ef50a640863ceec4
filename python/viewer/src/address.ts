// The view in the page's address, so that a link leads to what its sender saw. An address comes from strangers too:
// what does not fit this map is passed over.

import type { Facet, Level, MapData, Region } from "./data.ts";
import { byId } from "./dom.ts";
import type { Selection } from "./selection.ts";

export interface Place {
  /** Centre in the data's coordinates; zoom counts doublings from the view of the whole map. */
  view: { x: number; y: number; zoom: number } | null;
  facet: Facet | null;
  query: string;
  article: number;
  region: { level: Level; region: Region } | null;
}

const short = (value: number): string => String(Number(value.toPrecision(6)));

export function writeAddress(data: MapData, place: Place, selection: Selection): string {
  const words = new URLSearchParams();
  const { view, facet, query, article, region } = place;
  if (view) words.set("view", [view.x, view.y, view.zoom].map(short).join(","));
  if (facet) words.set("color", facet.name);
  for (const [filtered, filter] of selection.filters) {
    if (filter instanceof Set) {
      const names = filtered.kind === "category" ? filtered.names : [];
      for (const category of filter) words.append(`is.${filtered.name}`, category < 0 ? "" : names[category]);
    } else {
      words.set(`in.${filtered.name}`, `${filter[0]}..${filter[1]}`);
    }
  }
  if (query) words.set("search", query);
  if (article >= 0) words.set("article", data.texts.ids?.[article] || `#${article}`);
  if (region) words.set(`region.${data.levels.indexOf(region.level)}`, region.region.name);
  return words.toString();
}

/** Sets the selection's filters, and answers with the rest. */
export function readAddress(data: MapData, hash: string, selection: Selection): Place {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const place: Place = { view: null, facet: null, query: words.get("search")?.slice(0, 500) ?? "", article: -1, region: null };
  const [x, y, zoom] = (words.get("view") ?? "").split(",").map(Number);
  if ([x, y, zoom].every(Number.isFinite)) place.view = { x, y, zoom };
  place.facet = data.facets.find((facet) => facet.name === words.get("color")) ?? null;
  selection.filters.clear();
  for (const facet of data.facets) {
    if (facet.kind === "category") {
      const wanted = words.getAll(`is.${facet.name}`).slice(0, 1000);
      const picked = wanted.map((name) => (name === "" ? -1 : facet.names.indexOf(name))).filter((category, k) => category >= 0 || wanted[k] === "");
      selection.set(facet, new Set(picked));
    } else {
      const ends = (words.get(`in.${facet.name}`) ?? "").split("..").map(Number);
      if (ends.length === 2 && ends.every(Number.isFinite)) selection.set(facet, [ends[0], ends[1]]);
    }
  }
  const article = words.get("article");
  if (article !== null) {
    const row = article.startsWith("#") ? Number(article.slice(1)) : (data.texts.ids?.indexOf(article) ?? -1);
    if (Number.isInteger(row) && row >= 0 && row < data.n) place.article = row;
  }
  data.levels.forEach((level, depth) => {
    const region = level.regions.find(({ name }) => name === words.get(`region.${depth}`));
    if (region) place.region = { level, region };
  });
  return place;
}

/** A page in a notebook's frame has no address of its own to share. */
export const hasAddress = (): boolean => location.protocol !== "about:" && location.origin !== "about:";

const WAIT_MS = 300;
let waiting = 0;

export function keepAddress(words: () => string): void {
  if (!hasAddress()) return;
  clearTimeout(waiting);
  waiting = window.setTimeout(() => {
    try {
      history.replaceState(null, "", `#${words()}`);
    } catch {
      // a frame without the right to: the page works all the same
    }
  }, WAIT_MS);
}

export async function copyLink(words: string): Promise<boolean> {
  const link = `${location.href.split("#")[0]}#${words}`;
  try {
    await navigator.clipboard.writeText(link);
    return true;
  } catch {
    // A page from disk may not use the clipboard that way; the older one it may.
    const box = document.createElement("textarea");
    box.value = link;
    byId("map").append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  }
}
