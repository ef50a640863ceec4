// What the reader asked to see: filters by any number of facets, and what a search found.

import type { Facet, MapData } from "./data.ts";

/** Categories picked, or the lowest and highest number, both included. */
export type Filter = Set<number> | readonly [number, number];

export class Selection {
  readonly filters = new Map<Facet, Filter>();
  /** 1 for the points that the search found; null when nobody searches. */
  hits: Uint8Array | null = null;
  /** 1 for the points that pass everything. */
  readonly lit: Uint8Array;
  count: number;

  constructor(private readonly data: MapData) {
    this.lit = new Uint8Array(data.n).fill(1);
    this.count = data.n;
  }

  get isWhole(): boolean {
    return this.filters.size === 0 && this.hits === null;
  }

  set(facet: Facet, filter: Filter | null): void {
    if (filter === null || (filter instanceof Set && filter.size === 0)) this.filters.delete(facet);
    else this.filters.set(facet, filter);
  }

  categories(facet: Facet): Set<number> {
    const filter = this.filters.get(facet);
    return filter instanceof Set ? filter : new Set();
  }

  range(facet: Facet): readonly [number, number] | null {
    const filter = this.filters.get(facet);
    return filter && !(filter instanceof Set) ? filter : null;
  }

  /** Brings `lit` and `count` up to date. */
  update(): void {
    const { lit, hits } = this;
    const n = this.data.n;
    if (hits) lit.set(hits);
    else lit.fill(1);
    for (const [facet, filter] of this.filters) {
      if (facet.kind === "category" && filter instanceof Set) {
        const wanted = new Uint8Array(facet.names.length + 1);
        for (const category of filter) wanted[category + 1] = 1;
        for (let i = 0; i < n; i++) lit[i] &= wanted[facet.codes[i] + 1];
      } else if (facet.kind === "number" && !(filter instanceof Set)) {
        const [low, high] = filter;
        for (let i = 0; i < n; i++) if (!(facet.values[i] >= low && facet.values[i] <= high)) lit[i] = 0;
      }
    }
    let count = 0;
    for (let i = 0; i < n; i++) count += lit[i];
    this.count = count;
  }
}
