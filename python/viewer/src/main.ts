// Puts the page together: each part knows its own business, this file knows who talks to whom.

import { copyLink, hasAddress, keepAddress, readAddress, writeAddress, type Place } from "./address.ts";
import { connectButtons, connectKeys, connectSaving } from "./commands.ts";
import { readData, type Facet, type Level, type MapData, type Region } from "./data.ts";
import { announce, byId, formatCount, usesKeyboard } from "./dom.ts";
import { Explore } from "./explore.ts";
import { composeFigure, figureToPng, figureToSvg, saveFile } from "./figure.ts";
import { PointGrid } from "./grid.ts";
import { Labels, type ShownLabel } from "./labels.ts";
import { Painter, type Focus } from "./paint.ts";
import { accentColor } from "./palette.ts";
import { Panel, Tooltip } from "./panel.ts";
import { Scene, type View } from "./scene.ts";
import { SearchBox } from "./search.ts";
import { Selection } from "./selection.ts";
import { ThemeSwitch } from "./theme.ts";

/** For tests and for other pages' scripts. Coordinates are those of the data. */
interface KnowmapApi {
  ready: Promise<void>;
  n: number;
  view: { get(): { x: number; y: number; zoom: number }; set(view: { x?: number; y?: number; zoom?: number }): void };
  visibleLabels(): ShownLabel[];
  /** Rows that pass the filters and the search. */
  shown(): number;
  open(row: number): void;
  frameTimes(frames: number): Promise<number[]>;
  /** How many points a moving map draws. */
  drawnMoving(): number;
  settled(): Promise<void>;
  screenPosition(i: number): { x: number; y: number };
}

declare global {
  interface Window {
    knowmap: KnowmapApi;
  }
}

const HOVER_PIXELS = 9;
const TAP_PIXELS = 16;
const MARKED_HITS = 3_000;

async function start(): Promise<KnowmapApi> {
  const source = byId("knowmap-data");
  const data = await readData(source.textContent ?? "");
  source.textContent = ""; // its megabytes are unpacked now
  byId("name").textContent = data.name;
  byId("description").textContent = data.description;

  const host = byId("map");
  const selection = new Selection(data);
  const theme = new ThemeSwitch((next) => {
    painter.theme = next;
    explore.showColors();
    repaint();
  });
  const firstFacet = data.facets.find((candidate) => candidate.kind === "category") ?? data.facets[0] ?? null;
  const painter = new Painter(data, firstFacet, theme.theme);
  const grid = new PointGrid(data.x, data.y);
  const tooltip = new Tooltip(data, painter);

  let labels: Labels | null = null; // the scene moves before there are any
  let pinned = -1;
  let region: { level: Level; region: Region } | null = null;
  let focus: Focus | null = null;
  const scene = new Scene(host, data.x, data.y, {
    covered,
    viewChanged: () => {
      tooltip.hide();
      labels?.schedule();
    },
    rested: () => {
      keepPlace();
      if (usesKeyboard() && document.activeElement === host) tellView();
    },
    hover: (x, y) => hover(x, y),
    leave: () => hover(-1e6, -1e6),
    click: (x, y) => click(x, y),
  });
  labels = new Labels(
    byId("labels"),
    data,
    scene,
    () => document.querySelectorAll(".keep-clear"),
    () => (pinned < 0 ? null : scene.toScreen(data.x[pinned], data.y[pinned])),
  );

  const panel = new Panel(data, painter, {
    openArticle: (row) => openArticle(row),
    openRegion: (level, chosen) => openRegion(level, chosen),
    hint: (row) => scene.setMarks({ hovered: row }),
    search: (text) => (search.query = text),
    filter: (facet, category) => {
      selection.set(facet, new Set([category]));
      filtered();
    },
    closed: () => mark(-1, null),
  });
  const explore = new Explore(data, painter, selection, { colorBy, filtered, openRegion });
  const search = new SearchBox(
    data,
    (hits) => {
      selection.hits = hits && new Uint8Array(data.n);
      hits?.forEach((row) => (selection.hits![row] = 1));
      scene.setMarks({ found: hits && hits.length <= MARKED_HITS ? hits : [] });
      filtered(false);
    },
    (row) => openArticle(row),
  );

  function colorBy(next: Facet): void {
    painter.setFacet(next);
    explore.showColors();
    explore.refresh();
    repaint();
    labels?.schedule();
    keepPlace();
  }

  /** After any change of the selection. */
  function filtered(tell = true): void {
    selection.update();
    const all = `${formatCount(data.n)} ${data.n === 1 ? "article" : "articles"}`;
    const text = selection.isWhole ? all : `${formatCount(selection.count)} of ${all}`;
    byId("count").textContent = text;
    if (tell) announce(`${text} shown`);
    explore.refresh();
    repaint();
    labels?.schedule();
    keepPlace();
  }

  function repaint(): void {
    scene.setMarks({ color: accentColor[painter.theme], halo: accentColor[painter.theme === "dark" ? "light" : "dark"] });
    scene.setColors(painter.paint(scene.order, selection, focus));
  }

  function pointAt(x: number, y: number, pixels: number): number {
    const [worldX, worldY] = scene.toWorld(x, y);
    return grid.nearest(worldX, worldY, pixels / scene.pixelsPerUnit, (i) => selection.lit[i] === 1);
  }

  let hovered = -1;
  function hover(x: number, y: number): void {
    const i = pointAt(x, y, HOVER_PIXELS);
    if (i >= 0) tooltip.show(i, ...scene.toScreen(data.x[i], data.y[i]), scene.size);
    else tooltip.hide();
    if (i !== hovered) scene.setMarks({ hovered: i });
    hovered = i;
  }

  function click(x: number, y: number): void {
    const label = labels?.at(x, y) ?? null;
    const i = pointAt(x, y, label ? HOVER_PIXELS / 2 : TAP_PIXELS);
    if (i >= 0) pin(i);
    else if (label) openRegion(label.level, label.region);
    else panel.close();
  }

  /** The article nearest to the middle of the view, for those who steer by keyboard. */
  function openNearest(): void {
    const i = pointAt(...scene.freeCentre, Math.max(...scene.size));
    if (i >= 0) pin(i);
  }

  function pin(i: number): void {
    tooltip.hide();
    panel.showArticle(i, () => openArticle(i));
    mark(i, null);
  }

  function mark(i: number, marked: typeof region): void {
    const before = focus;
    pinned = i;
    region = marked;
    focus = marked && { level: marked.level, code: marked.level.regions.indexOf(marked.region) };
    scene.setMarks({ pinned, near: i >= 0 ? (data.neighbors?.(i) ?? []).map(({ row }) => row) : [] });
    if (focus || before) repaint();
    labels?.schedule();
    keepPlace();
  }

  function openArticle(row: number, fly = true): void {
    pin(row);
    if (fly) scene.flyToPoint(row);
  }

  function openRegion(level: Level, chosen: Region, fly = true): void {
    panel.showRegion(level, chosen, () => openRegion(level, chosen));
    mark(-1, { level, region: chosen });
    if (fly) scene.fly(viewOf(data, level, chosen, scene));
  }

  function tellView(): void {
    const names = labels!.visible().map(({ text }) => text);
    announce(`Zoom ${scene.depth.toFixed(1)}. In view: ${names.slice(0, 8).join(", ") || "no named region"}.`);
  }

  const view = {
    get: () => {
      const { x, y } = scene.current;
      return { x: data.centre[0] + data.span * x, y: data.centre[1] + data.span * y, zoom: scene.depth };
    },
    set: ({ x, y, zoom }: { x?: number; y?: number; zoom?: number }) => {
      scene.land();
      const now = scene.current;
      scene.set({
        x: x === undefined ? now.x : (x - data.centre[0]) / data.span,
        y: y === undefined ? now.y : (y - data.centre[1]) / data.span,
        zoom: zoom === undefined ? now.zoom : now.zoom - scene.depth + zoom,
      });
    },
  };

  const address = (): string => {
    const moved = Math.abs(scene.depth) > 1e-3 || scene.isMoved;
    const place: Place = { view: moved ? view.get() : null, facet: painter.current === firstFacet ? null : painter.current, query: search.query, article: pinned, region };
    return writeAddress(data, place, selection);
  };
  let restored = false; // what the reader's address says must not be written over before it was read
  function keepPlace(): void {
    if (restored) keepAddress(address);
  }
  async function goToAddress(): Promise<void> {
    if (location.hash.includes("article=")) await data.loadTexts();
    const place = readAddress(data, location.hash, selection);
    search.query = place.query;
    if (place.facet && place.facet !== painter.current) colorBy(place.facet);
    filtered(false);
    if (place.article >= 0) openArticle(place.article, !place.view);
    else if (place.region) openRegion(place.region.level, place.region.region, !place.view);
    if (place.view) view.set(place.view);
    restored = true;
  }
  addEventListener("hashchange", () => void goToAddress());

  connectButtons(scene, hasAddress() ? async () => announce((await copyLink(address())) ? "Link copied" : "The link is in the address bar") : null);
  connectSaving(data.name, async (options, format, pixels, name) => {
    const figure = composeFigure(data, scene, painter, selection, labels!, options);
    saveFile(format === "svg" ? figureToSvg(figure) : await figureToPng(figure, pixels), name);
    announce("Picture saved");
  });
  connectKeys(scene, { search: () => search.focus(), open: openNearest, close: () => panel.close() });
  explore.showColors();
  filtered(false);

  return {
    ready: scene.ready.then(async () => {
      await document.fonts.ready;
      if (location.hash.length > 1) await goToAddress();
      restored = true;
      labels?.place();
      // The texts come after the first picture.
      setTimeout(() => void data.loadTexts(), 200);
    }),
    n: data.n,
    view,
    visibleLabels: () => labels?.visible() ?? [],
    shown: () => selection.count,
    open: (row) => openArticle(row, false),
    settled: () => scene.settled(),
    frameTimes: (frames) => scene.frameTimes(frames),
    drawnMoving: () => scene.drawnMoving,
    screenPosition: (i) => {
      const [x, y] = scene.toScreen(data.x[i], data.y[i]);
      const box = host.getBoundingClientRect();
      return { x: x + box.left, y: y + box.top };
    },
  };
}

/** The view in which a region fills what the cards leave free; a few strays may stay outside. */
function viewOf(data: MapData, level: Level, region: Region, scene: Scene): View {
  const code = level.regions.indexOf(region);
  const members: number[] = [];
  level.codes.forEach((c, i) => c === code && members.push(i));
  const span = (values: Float32Array): [number, number] => {
    const sorted = Float32Array.from(members, (i) => values[i]).sort();
    const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
    return [at(0.03), at(0.97)];
  };
  if (members.length === 0) return scene.showing(region.x, region.y, scene.current.zoom);
  const [[left, right], [bottom, top]] = [span(data.x), span(data.y)];
  const free = covered();
  const [width, height] = scene.size;
  const pixels = (room: number, reach: number) => Math.max(120, room) / (1.2 * Math.max(reach, 0.01));
  const scale = Math.min(pixels(width - free.left - free.right, right - left), pixels(height - free.top - free.bottom, top - bottom));
  return scene.showing((left + right) / 2, (top + bottom) / 2, Math.log2(scale));
}

/** What the cards cover: a column on wide screens, bars at top and bottom on narrow ones. */
function covered(): { top: number; right: number; bottom: number; left: number } {
  const finder = byId("finder").getBoundingClientRect();
  const panel = byId("panel").getBoundingClientRect(); // all zero while hidden
  if (innerWidth > 900) return { top: 0, right: panel.width && innerWidth - panel.left, bottom: 0, left: finder.right };
  return { top: Math.min(finder.bottom, 150), right: 0, bottom: innerWidth > 640 ? 60 : Math.max(panel.height, 60), left: 0 };
}

function showProblem(error: unknown): void {
  const problem = byId("problem");
  byId("problem-text").textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
}

// There from the first, so that whoever asks may wait; the rest follows once the data are unpacked.
window.knowmap = {
  ready: start().then((api) => {
    const { ready } = api;
    Object.assign(window.knowmap, api, { ready: window.knowmap.ready });
    return ready;
  }),
} as KnowmapApi;
window.knowmap.ready.catch(showProblem);
