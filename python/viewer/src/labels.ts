// Region names over the map: big regions from afar, finer ones from nearby, never one over another.

import type { Level, MapData, Region } from "./data.ts";
import { el } from "./dom.ts";
import type { Scene } from "./scene.ts";

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

interface Size {
  width: number;
  height: number;
}

/** Where the map is drawn: the screen, or a figure. */
export interface Frame {
  width: number;
  height: number;
  /** Pixels per world unit. */
  scale: number;
  toFrame(x: number, y: number): [number, number];
}

export interface Placed {
  candidate: Candidate;
  box: Box;
}

export interface Candidate {
  region: Region;
  level: Level;
  depth: number;
  /** Spread of the region's points around its centre, in world units. */
  radius: number;
  /** The regions above, coarse ones first. */
  above: Region[];
  /** Its name's words, plural or singular alike. */
  words: Set<string>;
  element: HTMLElement | null;
  size: Size;
}

/** A name's words, "&" left out; a plural is its singular, roughly, so that "Kings" repeats "King". */
const wordsOf = (name: string): Set<string> =>
  new Set((name.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{M}\p{N}'’-]*/gu) ?? []).map((word) => (word.length > 3 ? word.replace(/ies$/, "y").replace(/(?<!s)s$/, "") : word)));

const within = (words: Set<string>, others: Set<string>): boolean => words.size > 0 && [...words].every((word) => others.has(word));

export interface ShownLabel {
  text: string;
  level: number;
  rect: Box;
}

const GAP = 8;
/** A region's name appears once the region is this wide on the screen; the coarsest are always welcome. */
const MIN_PIXELS = 74;
/** Where a name may stand beside its place, in widths and heights of its own: the nearest first. */
const STEPS = [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75]
  .flatMap((right) => [-3, -2.25, -1.5, -0.75, 0, 0.75, 1.5, 2.25, 3].map((down) => [right, down]))
  .sort(([right, down], [across, below]) => Math.hypot(6 * right, down) - Math.hypot(6 * across, below));

export class Labels {
  private readonly candidates: Candidate[];
  private shown = new Set<Candidate>();
  private scheduled = false;

  constructor(
    private readonly host: HTMLElement,
    data: MapData,
    private readonly scene: Scene,
    private readonly obstacles: () => Iterable<Element>,
    private readonly pinned: () => [number, number] | null,
  ) {
    this.candidates = data.levels.flatMap((level, depth) => {
      const radii = spread(data, level);
      return level.regions.map((region, r): Candidate => {
        const above: Region[] = [];
        for (let up = depth, of = region; up > 0 && of.parent >= 0; up--) above.unshift((of = data.levels[up - 1].regions[of.parent]));
        return { region, level, depth, radius: radii[r], above, words: wordsOf(region.name), element: null, size: { width: 0, height: 0 } };
      });
    });
    // A part that is all of its region has the same articles in the same place: one name is enough.
    this.candidates = this.candidates.filter(({ region, above }) => region.name.trim() !== "" && above.at(-1)?.size !== region.size);
    this.candidates.sort((a, b) => a.depth - b.depth || b.region.size - a.region.size);
  }

  /** At most once a frame, however often it is asked. */
  schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.place();
    });
  }

  place(): void {
    const [width, height] = this.scene.size;
    const origin = this.host.getBoundingClientRect();
    const taken: Box[] = [];
    for (const obstacle of this.obstacles()) {
      const box = obstacle.getBoundingClientRect();
      if (box.width > 0) taken.push({ left: box.left - origin.left, top: box.top - origin.top, right: box.right - origin.left, bottom: box.bottom - origin.top });
    }
    const pin = this.pinned();
    if (pin) taken.push({ left: pin[0] - 8, top: pin[1] - 8, right: pin[0] + 8, bottom: pin[1] + 8 });
    const frame: Frame = { width, height, scale: this.scene.pixelsPerUnit, toFrame: (x, y) => this.scene.toScreen(x, y) };
    const next = new Map(this.arrange(frame, taken, (candidate) => this.measure(candidate)).map(({ candidate, box }) => [candidate, box]));
    for (const candidate of this.shown) if (!next.has(candidate)) candidate.element!.classList.remove("shown");
    for (const [candidate, box] of next) {
      candidate.element!.style.transform = `translate(${Math.round(box.left)}px, ${Math.round(box.top)}px)`;
      candidate.element!.classList.add("shown");
    }
    this.shown = new Set(next.keys());
  }

  /** Which names go where in a frame, none over another nor over what is taken: coarse before fine, big before small. */
  arrange(frame: Frame, taken: Box[], measure: (candidate: Candidate) => Size): Placed[] {
    const { width, height, scale, toFrame } = frame;
    const room = Math.max(6, Math.round((width * height) / 26_000));
    const names = new Set<string>();
    const placed: Placed[] = [];
    for (const candidate of this.candidates) {
      if (placed.length >= room) break;
      const { region, depth, above, words } = candidate;
      const key = [...words].sort().join(" ") || region.name;
      const across = 2 * candidate.radius * scale;
      if (depth > 0 && across < MIN_PIXELS) continue;
      // Inside a region its own name says little: leave the place to its parts.
      if (across > 1.6 * Math.max(width, height)) continue;
      const [x, y] = toFrame(region.x, region.y);
      if (x < 0 || y < 0 || x > width || y > height || names.has(key)) continue;
      // "Chemical elements" under "Plants & chemical elements" waits until that is out of view.
      if (placed.some((other) => above.includes(other.candidate.region) && within(words, other.candidate.words))) continue;
      const size = measure(candidate);
      const at = (right: number, down: number): Box => {
        const left = Math.min(Math.max(x + right - size.width / 2, 6), width - size.width - 6);
        const top = Math.min(Math.max(y + down - size.height / 2, 6), height - size.height - 6);
        return { left, top, right: left + size.width, bottom: top + size.height };
      };
      // A coarsest region is not left without its name for want of a little room: it moves aside, within its points.
      const steps = depth > 0 ? [[0, 0]] : STEPS;
      const box = steps
        .map(([right, down]) => [right * size.width, down * size.height])
        .filter(([right, down]) => Math.hypot(right, down) <= across / 2)
        .map(([right, down]) => at(right, down))
        .find((free) => !taken.some((other) => overlap(free, other)));
      if (!box) continue;
      taken.push(box);
      names.add(key);
      placed.push({ candidate, box });
    }
    return placed;
  }

  visible(): ShownLabel[] {
    return [...this.shown].map(({ region, depth, element }) => {
      const { left, top, right, bottom } = element!.getBoundingClientRect();
      return { text: region.name, level: depth, rect: { left, top, right, bottom } };
    });
  }

  /** The region whose name lies under a place on the screen. */
  at(x: number, y: number): { level: Level; region: Region } | null {
    const origin = this.host.getBoundingClientRect();
    for (const { element, level, region } of this.shown) {
      const box = element!.getBoundingClientRect();
      const [px, py] = [x + origin.left, y + origin.top];
      if (px >= box.left && px <= box.right && py >= box.top && py <= box.bottom) return { level, region };
    }
    return null;
  }

  private measure(candidate: Candidate): Size {
    if (!candidate.element) {
      const element = el("div", { class: `label level-${Math.min(candidate.depth, 3)}`, dir: "auto" }, candidate.region.name);
      this.host.append(element);
      candidate.element = element;
      candidate.size = { width: element.offsetWidth, height: element.offsetHeight };
    }
    return candidate.size;
  }
}

const overlap = (a: Box, b: Box): boolean =>
  a.left < b.right + GAP && b.left < a.right + GAP && a.top < b.bottom + GAP && b.top < a.bottom + GAP;

/** Root mean square distance from the centre, which a few strays do not move much, times √2. */
function spread(data: MapData, level: Level): Float64Array {
  const squares = new Float64Array(level.regions.length);
  const counts = new Uint32Array(level.regions.length);
  level.codes.forEach((code, i) => {
    if (code < 0) return;
    const region = level.regions[code];
    squares[code] += (data.x[i] - region.x) ** 2 + (data.y[i] - region.y) ** 2;
    counts[code]++;
  });
  return squares.map((sum, r) => Math.sqrt((2 * sum) / Math.max(1, counts[r])));
}
