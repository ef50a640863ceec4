// Colours that also people with a colour-vision deficiency can tell apart.

export type Rgb = readonly [number, number, number];

const parse = (hex: string): Rgb => {
  const value = parseInt(hex.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
};

export const css = ([r, g, b]: Rgb): string => `rgb(${r} ${g} ${b})`;

// Twelve hues that differ in lightness as well; each list is tuned to its background.
const categorical = {
  light: ["#3b6fb6", "#d9762b", "#2f8f6b", "#c2456b", "#7b5cc4", "#b3951d", "#2a9bb8", "#8c4a2f", "#d47fb4", "#6b8e23", "#26457f", "#7d7f86"],
  dark: ["#79aef2", "#f2a25c", "#5fcba2", "#f07d9c", "#b59cf5", "#e0c64e", "#63d0e8", "#c98f6f", "#f3b1d9", "#b1d35f", "#8ea4e8", "#b9bcc4"],
};

// Cividis-like: lightness alone carries the order. The end far from the background is the high one.
const sequential = {
  light: ["#e3d27a", "#bdb07b", "#94917c", "#6f7478", "#4b5a78", "#243f74", "#0a2350"],
  dark: ["#2f4a86", "#51638a", "#72798c", "#94918b", "#b8a985", "#dcc676", "#fff08a"],
};

export type Theme = "light" | "dark";

export const categoryColors: Record<Theme, Rgb[]> = {
  light: categorical.light.map(parse),
  dark: categorical.dark.map(parse),
};

export const noneColor: Record<Theme, Rgb> = { light: [168, 172, 180], dark: [98, 104, 116] };
export const plainColor: Record<Theme, Rgb> = { light: parse("#3b6fb6"), dark: parse("#79aef2") };
export const accentColor: Record<Theme, Rgb> = { light: parse("#111827"), dark: parse("#ffffff") };

const stops: Record<Theme, Rgb[]> = { light: sequential.light.map(parse), dark: sequential.dark.map(parse) };

export const gradient = (theme: Theme): string => `linear-gradient(to right, ${sequential[theme].join(", ")})`;

/** t in [0, 1]. */
export function sequentialColor(t: number, theme: Theme): Rgb {
  const list = stops[theme];
  const at = Math.min(Math.max(t, 0), 1) * (list.length - 1);
  const low = Math.min(Math.floor(at), list.length - 2);
  const mix = at - low;
  return [0, 1, 2].map((i) => Math.round(list[low][i] * (1 - mix) + list[low + 1][i] * mix)) as unknown as Rgb;
}

/**
 * Which palette entry each category gets: the largest first. Past the last hue a column's categories share
 * the neutral grey (-1), since a hue used twice would lie; regions lie apart and carry their names, so theirs repeat.
 */
export function assignHues(counts: Uint32Array, repeat: boolean): Int16Array {
  const hues = categorical.light.length;
  const order = Array.from(counts.keys()).sort((a, b) => counts[b] - counts[a] || a - b);
  const assigned = new Int16Array(counts.length).fill(-1);
  order.forEach((category, rank) => {
    if (rank < hues || repeat) assigned[category] = rank % hues;
  });
  return assigned;
}
