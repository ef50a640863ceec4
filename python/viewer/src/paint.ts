// Decides each point's colour from what the reader asked for: a facet, a filter, a search.

import type { Facet, MapData } from "./data.ts";
import { assignHues, categoryColors, noneColor, plainColor, sequentialColor, type Rgb, type Theme } from "./palette.ts";

export interface Selection {
  /** Categories picked in the legend; empty is no filter. */
  categories: Set<number>;
  /** 1 for the points that the search found; null when nobody searches. */
  hits: Uint8Array | null;
}

export class Painter {
  private hues: Int16Array = new Int16Array(0);
  /** The 1st and 99th hundredth of a number column: a few outliers should not wash out the rest. */
  range: [number, number] = [0, 1];

  constructor(private readonly data: MapData, private facet: Facet | null, public theme: Theme) {
    this.setFacet(facet);
  }

  setFacet(facet: Facet | null): void {
    this.facet = facet;
    if (facet?.kind === "category") this.hues = assignHues(facet.counts, facet.level !== null);
    if (facet?.kind === "number") this.range = centralRange(facet.values);
  }

  categoryColor(category: number): Rgb {
    const hue = category < 0 ? -1 : this.hues[category];
    return hue < 0 ? noneColor[this.theme] : categoryColors[this.theme][hue];
  }

  colorOf(i: number): Rgb {
    const facet = this.facet;
    if (!facet) return plainColor[this.theme];
    if (facet.kind === "category") return this.categoryColor(facet.codes[i]);
    const [low, high] = this.range;
    const value = facet.values[i];
    return Number.isFinite(value) ? sequentialColor(high > low ? (value - low) / (high - low) : 0.5, this.theme) : noneColor[this.theme];
  }

  isLit(i: number, selection: Selection): boolean {
    if (selection.hits && !selection.hits[i]) return false;
    const facet = this.facet;
    return selection.categories.size === 0 || facet?.kind !== "category" || selection.categories.has(facet.codes[i]);
  }

  /** RGBA bytes in drawing order. */
  paint(order: Uint32Array, selection: Selection): Uint8Array {
    const colors = new Uint8Array(4 * order.length);
    const opacity = Math.round(255 * Math.min(0.9, Math.max(0.5, 1.25 - 0.14 * Math.log10(this.data.n))));
    const dim = noneColor[this.theme];
    for (let k = 0; k < order.length; k++) {
      const lit = this.isLit(order[k], selection);
      const [r, g, b] = lit ? this.colorOf(order[k]) : dim;
      colors[4 * k] = r;
      colors[4 * k + 1] = g;
      colors[4 * k + 2] = b;
      colors[4 * k + 3] = lit ? opacity : 38;
    }
    return colors;
  }
}

function centralRange(values: Float32Array): [number, number] {
  const step = Math.max(1, Math.floor(values.length / 50_000));
  const sample = values.filter((value, i) => i % step === 0 && Number.isFinite(value)).sort();
  if (sample.length === 0) return [0, 1];
  const at = (share: number) => sample[Math.round(share * (sample.length - 1))];
  return [at(0.01), at(0.99)];
}
