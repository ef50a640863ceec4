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

/** What each facet is called in an address: its name, and for the second of one name a number more. */
function keysOf(facets: Facet[]): Map<Facet, string> {
  const taken = new Set<string>();
  const names = new Set(facets.map(({ name }) => name));
  return new Map(
    facets.map((facet) => {
      let key = facet.name;
      for (let k = 2; taken.has(key) || (k > 2 && names.has(key)); k++) key = `${facet.name}~${k}`;
      taken.add(key);
      return [facet, key];
    }),
  );
}

const short = (value: number): string => String(Number(value.toPrecision(6)));

export function writeAddress(data: MapData, place: Place, selection: Selection): string {
  const words = new URLSearchParams();
  const { view, facet, query, article, region } = place;
  const keys = keysOf(data.facets);
  if (view) words.set("view", [view.x, view.y, view.zoom].map(short).join(","));
  if (facet) words.set("color", keys.get(facet)!);
  for (const [filtered, filter] of selection.filters) {
    if (filter instanceof Set) {
      const names = filtered.kind === "category" ? filtered.names : [];
      for (const category of filter) words.append(`is.${keys.get(filtered)}`, category < 0 ? "" : names[category]);
    } else {
      words.set(`in.${keys.get(filtered)}`, `${filter[0]}..${filter[1]}`);
    }
  }
  if (query) words.set("search", query);
  if (article >= 0) {
    // By its id, which stays when the map grows; by its row where there is none, or another has the same.
    const id = data.texts.ids?.[article];
    if (id && data.texts.ids!.indexOf(id) === article) words.set("article", id);
    else words.set("row", String(article));
  }
  if (region) words.set(`region.${data.levels.indexOf(region.level)}`, region.region.name);
  return words.toString();
}

/** Sets the selection's filters, and answers with the rest. */
export function readAddress(data: MapData, hash: string, selection: Selection): Place {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const keys = keysOf(data.facets);
  const place: Place = { view: null, facet: null, query: words.get("search")?.slice(0, 500) ?? "", article: -1, region: null };
  const [x, y, zoom] = (words.get("view") ?? "").split(",").map(Number);
  if ([x, y, zoom].every(Number.isFinite)) place.view = { x, y, zoom };
  place.facet = data.facets.find((facet) => keys.get(facet) === words.get("color")) ?? null;
  selection.filters.clear();
  for (const facet of data.facets) {
    if (facet.kind === "category") {
      const wanted = words.getAll(`is.${keys.get(facet)}`).slice(0, 1000);
      const picked = wanted.map((name) => (name === "" ? -1 : facet.names.indexOf(name))).filter((category, k) => category >= 0 || wanted[k] === "");
      selection.set(facet, new Set(picked));
    } else {
      const ends = (words.get(`in.${keys.get(facet)}`) ?? "").split("..").map(Number);
      if (ends.length === 2 && ends.every(Number.isFinite)) selection.set(facet, [ends[0], ends[1]]);
    }
  }
  const article = words.get("article");
  if (article !== null) place.article = data.texts.ids?.indexOf(article) ?? -1;
  const row = words.get("row") ?? "";
  if (/^\d{1,9}$/.test(row) && Number(row) < data.n) place.article = Number(row);
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
