// Decides each point's colour from what the reader asked for: a facet, filters, a search, a region.

import type { Facet, Level, MapData } from "./data.ts";
import { assignHues, categoryColors, noneColor, plainColor, sequentialColor, type Rgb, type Theme } from "./palette.ts";
import type { Selection } from "./selection.ts";

/** A region whose articles stand out while its details are open. */
export interface Focus {
  level: Level;
  code: number;
}

const STEPS = 256;
const DIMMED = 38;

export class Painter {
  private hues: Int16Array = new Int16Array(0);
  /** Which colour of the table each point has; 0 is that of "none". */
  private readonly shade: Uint32Array;
  /** The 1st and 99th hundredth of a number column: a few outliers should not wash out the rest. */
  range: [number, number] = [0, 1];

  constructor(private readonly data: MapData, private facet: Facet | null, public theme: Theme) {
    this.shade = new Uint32Array(data.n);
    this.setFacet(facet);
  }

  setFacet(facet: Facet | null): void {
    this.facet = facet;
    const { shade } = this;
    if (facet?.kind === "category") {
      this.hues = assignHues(facet.counts, facet.level !== null);
      for (let i = 0; i < shade.length; i++) shade[i] = facet.codes[i] + 1;
    } else if (facet?.kind === "number") {
      this.range = centralRange(facet.values);
      const [low, high] = this.range;
      for (let i = 0; i < shade.length; i++) {
        const t = high > low ? (facet.values[i] - low) / (high - low) : 0.5;
        shade[i] = Number.isFinite(facet.values[i]) ? 1 + Math.round((STEPS - 1) * Math.min(1, Math.max(0, t))) : 0;
      }
    } else {
      shade.fill(0);
    }
  }

  get current(): Facet | null {
    return this.facet;
  }

  categoryColor(category: number, theme = this.theme): Rgb {
    const hue = category < 0 ? -1 : this.hues[category];
    return hue < 0 ? noneColor[theme] : categoryColors[theme][hue];
  }

  /** Every colour that the facet may give, the one of "none" first. */
  table(theme = this.theme): Rgb[] {
    const { facet } = this;
    if (!facet) return [plainColor[theme]];
    if (facet.kind === "category") return [noneColor[theme], ...facet.names.map((_, category) => this.categoryColor(category, theme))];
    return [noneColor[theme], ...Array.from({ length: STEPS }, (_, step) => sequentialColor(step / (STEPS - 1), theme))];
  }

  /** The place of point i's colour in the table. */
  shadeOf(i: number): number {
    return this.shade[i];
  }

  colorOf(i: number): Rgb {
    const { facet } = this;
    if (facet?.kind === "category") return this.categoryColor(facet.codes[i]);
    return this.table()[this.shade[i]];
  }

  get opacity(): number {
    return Math.min(0.9, Math.max(0.5, 1.25 - 0.14 * Math.log10(this.data.n)));
  }

  /** RGBA bytes in drawing order. */
  paint(order: Uint32Array, { lit }: Selection, focus: Focus | null): Uint8Array {
    const { shade } = this;
    const colors = new Uint8Array(4 * order.length);
    const words = new Uint32Array(colors.buffer);
    const opacity = Math.round(255 * this.opacity);
    const packed = (list: Rgb[], alpha: number) => {
      const bytes = new Uint8Array(4 * list.length);
      list.forEach((rgb, k) => bytes.set([...rgb, alpha], 4 * k));
      return new Uint32Array(bytes.buffer);
    };
    const bright = packed(this.table(), opacity);
    const behind = packed(this.table(), Math.round(opacity * 0.22));
    const dim = packed([noneColor[this.theme]], DIMMED)[0];
    const codes = focus?.level.codes;
    for (let k = 0; k < order.length; k++) {
      const i = order[k];
      words[k] = !lit[i] ? dim : codes && codes[i] !== focus.code ? behind[shade[i]] : bright[shade[i]];
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
