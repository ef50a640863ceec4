// A picture of the map for a paper: what it holds, drawn once as SVG and once on a canvas.

import type { Facet, MapData } from "./data.ts";
import { formatCount, formatNumber, shorten } from "./dom.ts";
import type { Frame, Labels } from "./labels.ts";
import type { Painter } from "./paint.ts";
import { css, noneColor, sequentialColor, type Rgb } from "./palette.ts";
import { Scene } from "./scene.ts";
import type { Selection } from "./selection.ts";

export interface FigureOptions {
  extent: "view" | "all";
  names: boolean;
  legend: boolean;
}

interface Dots {
  color: Rgb;
  opacity: number;
  /** (x, y) pairs in the figure. */
  places: number[];
}

interface Words {
  lines: string[];
  /** Middle of the first line. */
  x: number;
  y: number;
  size: number;
  weight: number;
  anchor: "middle" | "start";
  color: string;
  halo: boolean;
}

export interface Figure {
  title: string;
  width: number;
  height: number;
  diameter: number;
  dots: Dots[];
  words: Words[];
  swatches: { x: number; y: number; color: Rgb }[];
  gradient: { x: number; y: number; width: number; height: number; colors: Rgb[] } | null;
}

const WIDTH = 1000;
const FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";
const INK = "#16202e";
const QUIET = "#4b5563";
const SIZES = [19, 15, 13, 12.5];
const WEIGHTS = [700, 600, 600, 500];
const LINE = 1.18;
/** Colours of a number column are drawn in this many steps, low values first. */
const STEPS = 24;

const ruler = document.createElement("canvas").getContext("2d")!;

function widthOf(text: string, size: number, weight: number): number {
  ruler.font = `${weight} ${size}px ${FONT}`;
  return ruler.measureText(text).width;
}

/** A name in as few lines as fit, all of them about as long. */
function wrap(text: string, size: number, weight: number): string[] {
  const words = text.split(/\s+/);
  const widest = 11 * size;
  const whole = widthOf(text, size, weight);
  const goal = whole / Math.ceil(whole / widest) + size;
  const lines: string[] = [];
  for (const word of words) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && widthOf(longer, size, weight) <= goal) lines[lines.length - 1] = longer;
    else lines.push(shorten(word, 40));
  }
  return lines;
}

/** What stands in the figure; always in light colours, since paper is white. */
export function composeFigure(data: MapData, scene: Scene, painter: Painter, selection: Selection, labels: Labels, options: FigureOptions): Figure {
  const [viewWidth, viewHeight] = scene.size;
  const whole = options.extent === "all" ? Scene.wholeFrame(data.x, data.y, WIDTH) : null;
  const frame: Frame = whole
    ? { width: WIDTH, ...whole }
    : { width: viewWidth, height: viewHeight, scale: scene.pixelsPerUnit, toFrame: (x, y) => scene.toScreen(x, y) };
  const figure: Figure = {
    title: data.name,
    width: frame.width,
    height: frame.height,
    diameter: scene.diameter,
    dots: dots(data, painter, selection, frame, scene.diameter),
    words: [],
    swatches: [],
    gradient: null,
  };
  if (options.names) {
    const cut = new Map<object, string[]>();
    const placed = labels.arrange(frame, [], (candidate) => {
      const depth = Math.min(candidate.depth, 3);
      const lines = wrap(candidate.region.name, SIZES[depth], WEIGHTS[depth]);
      cut.set(candidate, lines);
      return { width: Math.max(...lines.map((line) => widthOf(line, SIZES[depth], WEIGHTS[depth]))), height: lines.length * LINE * SIZES[depth] };
    });
    for (const { candidate, box } of placed) {
      const depth = Math.min(candidate.depth, 3);
      figure.words.push({ lines: cut.get(candidate)!, x: (box.left + box.right) / 2, y: box.top + (LINE * SIZES[depth]) / 2, size: SIZES[depth], weight: WEIGHTS[depth], anchor: "middle", color: INK, halo: true });
    }
  }
  if (options.legend && painter.current) addLegend(figure, data, painter, painter.current, selection);
  return figure;
}

function dots(data: MapData, painter: Painter, { lit }: Selection, frame: Frame, diameter: number): Dots[] {
  const table = painter.table("light");
  const groups = new Map<string, Dots>();
  const numbers = painter.current?.kind === "number";
  for (let i = 0; i < data.n; i++) {
    const [x, y] = frame.toFrame(data.x[i], data.y[i]);
    if (x < -diameter || y < -diameter || x > frame.width + diameter || y > frame.height + diameter) continue;
    let color = lit[i] ? table[painter.shadeOf(i)] : noneColor.light;
    let key = lit[i] ? css(color) : "dim";
    if (lit[i] && numbers && painter.shadeOf(i) > 0) {
      const step = Math.round(((painter.shadeOf(i) - 1) / (table.length - 2)) * (STEPS - 1));
      color = sequentialColor(step / (STEPS - 1), "light");
      key = `${100 + step}`;
    }
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { color, opacity: key === "dim" ? 0.18 : 0.85, places: [] }));
    group.places.push(x, y);
  }
  // Below the dimmed ones; then the most numerous, so that rare colours are not buried, or the numbers in their order.
  return [...groups].sort(([a, p], [b, q]) => Number(b === "dim") - Number(a === "dim") || (numbers ? (a < b ? -1 : 1) : q.places.length - p.places.length)).map(([, group]) => group);
}

function addLegend(figure: Figure, data: MapData, painter: Painter, facet: Facet, selection: Selection): void {
  const size = 12.5;
  const line = 20;
  const left = 16;
  let y = figure.height + 22;
  const say = (text: string, x: number, at: number, weight = 400, color = INK) =>
    figure.words.push({ lines: [text], x, y: at, size, weight, anchor: "start", color, halo: false });
  say(shorten(facet.name, 80), left, y, 700);
  if (facet.kind === "number") {
    const [low, high] = painter.range;
    y += line;
    figure.gradient = { x: left, y: y - 5, width: 220, height: 10, colors: Array.from({ length: 9 }, (_, k) => sequentialColor(k / 8, "light")) };
    y += line;
    say(formatNumber(low), left, y);
    const end = formatNumber(high);
    say(end, left + 220 - widthOf(end, size, 400), y);
  } else if (!facet.level || facet.names.length <= 12) {
    const present = new Uint32Array(facet.names.length);
    for (let i = 0; i < data.n; i++) if (selection.lit[i] && facet.codes[i] >= 0) present[facet.codes[i]]++;
    const named = [...present.keys()].filter((c) => present[c] > 0).sort((a, b) => present[b] - present[a]).slice(0, 12);
    const columns = Math.max(1, Math.min(4, Math.floor((figure.width - 2 * left) / 220)));
    const width = (figure.width - 2 * left) / columns;
    named.forEach((category, k) => {
      const x = left + (k % columns) * width;
      const at = y + line * (1 + Math.floor(k / columns));
      figure.swatches.push({ x: x + 5, y: at, color: painter.categoryColor(category, "light") });
      let name = facet.names[category];
      while (name.length > 4 && widthOf(name, size, 400) > width - 28) name = `${name.replace(/…$/, "").slice(0, -2).trimEnd()}…`;
      say(name, x + 16, at);
    });
    y += line * Math.ceil(named.length / columns);
  }
  const shown = selection.isWhole ? formatCount(data.n) : `${formatCount(selection.count)} of ${formatCount(data.n)}`;
  say(`${shown} articles`, left, y + line, 400, QUIET);
  figure.height = y + line + 18;
}

const SVG = "http://www.w3.org/2000/svg";

function node(name: string, attributes: Record<string, string | number>, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Vector points and real text. A colour's points are one path of dots, some twelve bytes each. */
export function figureToSvg(figure: Figure): Blob {
  const { width, height, diameter } = figure;
  const root = node("svg", { viewBox: `0 0 ${round(width)} ${round(height)}`, width: round(width), height: round(height), "font-family": FONT, role: "img" });
  root.append(node("title", {}, figure.title), node("rect", { width: "100%", height: "100%", fill: "#fff" }));
  for (const { color, opacity, places } of figure.dots) {
    const parts: string[] = [];
    for (let k = 0; k < places.length; k += 2) parts.push(`M${round(places[k])} ${round(places[k + 1])}h.01`);
    root.append(node("path", { d: parts.join(""), fill: "none", stroke: css(color), "stroke-opacity": opacity, "stroke-width": round(diameter), "stroke-linecap": "round" }));
  }
  if (figure.gradient) {
    const { x, y, width: across, height: down, colors } = figure.gradient;
    const stops = colors.map((color, k) => node("stop", { offset: k / (colors.length - 1), "stop-color": css(color) }));
    root.append(node("linearGradient", { id: "scale" }, ...stops), node("rect", { x, y, width: across, height: down, rx: 3, fill: "url(#scale)" }));
  }
  for (const { x, y, color } of figure.swatches) root.append(node("circle", { cx: round(x), cy: round(y), r: 5, fill: css(color) }));
  for (const { lines, x, y, size, weight, anchor, color, halo } of figure.words) {
    const outline: Record<string, string | number> = halo ? { stroke: "#fff", "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke" } : {};
    const spans = lines.map((line, k) => node("tspan", { x: round(x), y: round(y + k * LINE * size + 0.35 * size) }, line));
    root.append(node("text", { "font-size": size, "font-weight": weight, "text-anchor": anchor, fill: color, ...outline }, ...spans));
  }
  return new Blob([new XMLSerializer().serializeToString(root)], { type: "image/svg+xml" });
}

/** The same on a canvas, `pixels` wide. */
export async function figureToPng(figure: Figure, pixels: number): Promise<Blob> {
  const { width, height, diameter } = figure;
  const scale = Math.min(pixels / width, 16_000 / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("This browser cannot draw a picture of that size.");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  for (const { color, opacity, places } of figure.dots) {
    // One dot is drawn once and then copied: a path of a million circles would take minutes.
    const dot = document.createElement("canvas");
    dot.width = dot.height = Math.max(2, Math.ceil(diameter * scale) + 2);
    const pen = dot.getContext("2d")!;
    pen.fillStyle = css(color);
    pen.beginPath();
    pen.arc(dot.width / 2, dot.width / 2, (diameter * scale) / 2, 0, 2 * Math.PI);
    pen.fill();
    context.globalAlpha = opacity;
    for (let k = 0; k < places.length; k += 2) context.drawImage(dot, places[k] * scale - dot.width / 2, places[k + 1] * scale - dot.width / 2);
  }
  context.globalAlpha = 1;
  context.scale(scale, scale);
  if (figure.gradient) {
    const { x, y, width: across, height: down, colors } = figure.gradient;
    const fill = context.createLinearGradient(x, 0, x + across, 0);
    colors.forEach((color, k) => fill.addColorStop(k / (colors.length - 1), css(color)));
    context.fillStyle = fill;
    context.fillRect(x, y, across, down);
  }
  for (const { x, y, color } of figure.swatches) {
    context.fillStyle = css(color);
    context.beginPath();
    context.arc(x, y, 5, 0, 2 * Math.PI);
    context.fill();
  }
  context.lineJoin = "round";
  context.textBaseline = "alphabetic";
  for (const { lines, x, y, size, weight, anchor, color, halo } of figure.words) {
    context.font = `${weight} ${size}px ${FONT}`;
    context.textAlign = anchor === "middle" ? "center" : "start";
    lines.forEach((line, k) => {
      const at = y + k * LINE * size + 0.35 * size;
      context.strokeStyle = "#fff";
      context.lineWidth = 4;
      if (halo) context.strokeText(line, x, at);
      context.fillStyle = color;
      context.fillText(line, x, at);
    });
  }
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture is too large for this browser; take a smaller one."))), "image/png"),
  );
}

export function saveFile(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
