// Puts the page together: each part knows its own business, this file knows who talks to whom.

import { readData, type Facet, type Level, type MapData, type Region } from "./data.ts";
import { byId, formatCount } from "./dom.ts";
import { PointGrid } from "./grid.ts";
import { Labels, type ShownLabel } from "./labels.ts";
import { Legend } from "./legend.ts";
import { Painter, type Selection } from "./paint.ts";
import { accentColor } from "./palette.ts";
import { Panel, Tooltip } from "./panel.ts";
import { Scene, type View } from "./scene.ts";
import { SearchBox, TitleIndex } from "./search.ts";
import { ThemeSwitch } from "./theme.ts";

/** For tests and for other pages' scripts. Coordinates are those of the data. */
interface KnowmapApi {
  ready: Promise<void>;
  n: number;
  view: { get(): { x: number; y: number; zoom: number }; set(view: { x?: number; y?: number; zoom?: number }): void };
  visibleLabels(): ShownLabel[];
  frameTimes(frames: number): Promise<number[]>;
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

function start(): KnowmapApi {
  const data = readData(byId("knowmap-data").textContent ?? "");
  byId("name").textContent = data.name;
  byId("description").textContent = data.description;
  byId("count").textContent = `${formatCount(data.n)} ${data.n === 1 ? "article" : "articles"}`;

  const host = byId("map");
  const categories = new Set<number>();
  const selection: Selection = { categories, hits: null };
  const theme = new ThemeSwitch((next) => {
    painter.theme = next;
    legend.show(facet);
    repaint();
  });

  let facet: Facet | null = data.facets.find((candidate) => candidate.kind === "category") ?? data.facets[0] ?? null;
  const painter = new Painter(data, facet, theme.theme);
  const grid = new PointGrid(data.x, data.y);
  const tooltip = new Tooltip(data, painter);

  let labels: Labels | null = null; // the scene moves before there are any
  let pinned = -1;
  const scene = new Scene(host, data.x, data.y, {
    covered,
    viewChanged: () => {
      tooltip.hide();
      labels?.schedule();
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

  const panel = new Panel(data, openArticle, openRegion, () => {
    mark(-1);
    host.focus({ preventScroll: true });
  });
  const legend = new Legend(
    data.facets,
    painter,
    categories,
    (next) => {
      facet = next;
      categories.clear();
      painter.setFacet(next);
      legend.show(next);
      repaint();
      labels?.schedule();
    },
    repaint,
  );
  const search = new SearchBox(
    data.titles,
    new TitleIndex(data.titles),
    (hits) => {
      selection.hits = hits && new Uint8Array(data.n);
      hits?.forEach((row) => (selection.hits![row] = 1));
      scene.setMarks({ found: hits && hits.length <= MARKED_HITS ? hits : [] });
      repaint();
    },
    openArticle,
  );

  function repaint(): void {
    scene.setMarks({ color: accentColor[painter.theme], halo: accentColor[painter.theme === "dark" ? "light" : "dark"] });
    scene.setColors(painter.paint(scene.order, selection));
  }

  function pointAt(x: number, y: number, pixels: number): number {
    const [worldX, worldY] = scene.toWorld(x, y);
    return grid.nearest(worldX, worldY, pixels / scene.pixelsPerUnit, (i) => painter.isLit(i, selection));
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

  function pin(i: number): void {
    tooltip.hide();
    panel.showArticle(i);
    mark(i);
  }

  function mark(i: number): void {
    pinned = i;
    scene.setMarks({ pinned });
    labels?.schedule();
  }

  function openArticle(row: number): void {
    pin(row);
    scene.flyToPoint(row);
  }

  function openRegion(level: Level, region: Region): void {
    panel.showRegion(level, region);
    mark(-1);
    scene.fly(viewOf(data, level, region, scene));
  }

  connectControls(scene, search, panel);
  legend.show(facet);
  repaint();

  return {
    ready: scene.ready.then(async () => {
      await document.fonts.ready;
      labels?.place();
    }),
    n: data.n,
    view: {
      get: () => {
        const { x, y } = scene.current;
        return { x: data.centre[0] + data.span * x, y: data.centre[1] + data.span * y, zoom: scene.depth };
      },
      set: ({ x, y, zoom }) => {
        const now = scene.current;
        scene.set({
          x: x === undefined ? now.x : (x - data.centre[0]) / data.span,
          y: y === undefined ? now.y : (y - data.centre[1]) / data.span,
          zoom: zoom === undefined ? now.zoom : now.zoom - scene.depth + zoom,
        });
      },
    },
    visibleLabels: () => labels?.visible() ?? [],
    settled: () => scene.settled(),
    frameTimes: (frames) => scene.frameTimes(frames),
    screenPosition: (i) => {
      const [x, y] = scene.toScreen(data.x[i], data.y[i]);
      const box = host.getBoundingClientRect();
      return { x: x + box.left, y: y + box.top };
    },
  };
}

/** The view in which a region fills most of the map. */
function viewOf(data: MapData, level: Level, region: Region, scene: Scene): View {
  const code = level.regions.indexOf(region);
  const distances: number[] = [];
  level.codes.forEach((c, i) => c === code && distances.push(Math.max(Math.abs(data.x[i] - region.x), Math.abs(data.y[i] - region.y))));
  distances.sort((a, b) => a - b);
  const reach = Math.max(distances[Math.floor(distances.length * 0.9)] ?? 0, 0.004);
  return scene.showing(region.x, region.y, Math.log2(Math.min(...scene.size) / (2.6 * reach)));
}

/** What the cards cover: a column on wide screens, bars at top and bottom on narrow ones. */
function covered(): { top: number; right: number; bottom: number; left: number } {
  const finder = byId("finder").getBoundingClientRect();
  const panel = byId("panel").getBoundingClientRect(); // all zero while hidden
  if (innerWidth > 900) return { top: 0, right: panel.width && innerWidth - panel.left, bottom: 0, left: finder.right };
  return { top: Math.min(finder.bottom, 150), right: 0, bottom: innerWidth > 640 ? 60 : Math.max(panel.height, 60), left: 0 };
}

function connectControls(scene: Scene, search: SearchBox, panel: Panel): void {
  byId("zoom-in").addEventListener("click", () => scene.zoomBy(1));
  byId("zoom-out").addEventListener("click", () => scene.zoomBy(-1));
  byId("reset").addEventListener("click", () => scene.reset());

  const toggle = byId<HTMLButtonElement>("toggle-legend");
  const setLegend = (open: boolean) => {
    toggle.setAttribute("aria-expanded", String(open));
    byId("legend-body").hidden = !open;
  };
  toggle.addEventListener("click", () => setLegend(toggle.getAttribute("aria-expanded") !== "true"));
  setLegend(!matchMedia("(max-width: 640px)").matches);

  const keys: Record<string, () => void> = {
    "+": () => scene.zoomBy(1),
    "=": () => scene.zoomBy(1),
    "-": () => scene.zoomBy(-1),
    "0": () => scene.reset(),
    ArrowLeft: () => scene.panBy(-120, 0),
    ArrowRight: () => scene.panBy(120, 0),
    ArrowUp: () => scene.panBy(0, 120),
    ArrowDown: () => scene.panBy(0, -120),
  };
  byId("map").addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
    if (event.key === "/" && !typing) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && !typing) {
      panel.close();
    }
  });
}

function showProblem(error: unknown): void {
  const problem = byId("problem");
  byId("problem-text").textContent = error instanceof Error ? error.message : String(error);
  problem.hidden = false;
}

try {
  window.knowmap = start();
  window.knowmap.ready.catch(showProblem);
} catch (error) {
  showProblem(error);
}
