// The drawing surface: deck.gl's canvas, the view, and the points on it. It knows nothing of titles or labels.

import { Deck, OrthographicView, type OrthographicViewState } from "@deck.gl/core";
import { LineLayer, ScatterplotLayer } from "@deck.gl/layers";
import { drawingOrder, Pace } from "./pace.ts";
import { PointsLayer, type PointCloud } from "./points-layer.ts";
import type { Rgb } from "./palette.ts";

export interface View {
  /** Centre, in world units. */
  x: number;
  y: number;
  /** log2 of pixels per world unit. */
  zoom: number;
}

export interface Marks {
  found: number[];
  pinned: number;
  hovered: number;
  /** Neighbours of the pinned point, to which lines lead. */
  near: number[];
  color: Rgb;
  halo: Rgb;
}

export interface SceneEvents {
  /** Pixels at each side that cards cover: what should be seen goes between them. */
  covered(): { top: number; right: number; bottom: number; left: number };
  viewChanged(): void;
  /** The view has come to rest. */
  rested(): void;
  hover(x: number, y: number): void;
  leave(): void;
  click(x: number, y: number): void;
}

const REST_MS = 160;
const MAX_ZOOM_IN = 11;
const ease = (t: number) => (t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);

export class Scene {
  readonly order: Uint32Array;
  private readonly positions: Float32Array;
  private readonly deck: Deck<OrthographicView>;
  private pace: Pace;
  private colors: Uint8Array;
  private marks: Marks = { found: [], pinned: -1, hovered: -1, near: [], color: [0, 0, 0], halo: [255, 255, 255] };
  private view: View = { x: 0, y: 0, zoom: 9 };
  private fitted: View = this.view;
  private moving = false;
  private cloud: PointCloud | null = null;
  /** Whether the kept picture still lacks points. */
  private refining = false;
  private turn = 0;
  /** Whether a moving map was told to draw since the last frame. */
  private moved = false;
  private watching = false;
  private restTimer = 0;
  private flight = 0;
  readonly ready: Promise<void>;

  constructor(
    private readonly host: HTMLElement,
    private readonly x: Float32Array,
    private readonly y: Float32Array,
    private readonly events: SceneEvents,
  ) {
    const n = x.length;
    this.order = drawingOrder(n);
    this.positions = new Float32Array(2 * n);
    this.order.forEach((i, k) => {
      this.positions[2 * k] = x[i];
      this.positions[2 * k + 1] = y[i];
    });
    this.colors = new Uint8Array(4 * n);
    this.pace = new Pace(n, rendererName());
    this.fitted = this.fit();
    this.view = this.fitted;

    let loaded!: () => void;
    let failed!: (reason: Error) => void;
    this.ready = new Promise((resolve, reject) => ([loaded, failed] = [resolve, reject]));
    this.deck = new Deck<OrthographicView>({
      parent: host as HTMLDivElement,
      width: "100%",
      height: "100%",
      views: new OrthographicView({ flipY: false, controller: { doubleClickZoom: true, scrollZoom: { speed: 0.012 }, keyboard: false, inertia: 250 } }),
      viewState: this.deckView() as never,
      deviceProps: { type: "webgl", webgl: { antialias: false, preserveDrawingBuffer: false } },
      onLoad: loaded,
      onError: (error) => failed(error),
      onViewStateChange: ({ viewState }) => {
        this.land();
        const { target, zoom } = viewState as unknown as { target: number[]; zoom: number };
        this.set({ x: target[0], y: target[1], zoom });
      },
      onBeforeRender: ({ device }) => {
        this.refining = false;
        if (this.moving || !this.pace.isSoftware || !this.cloud) return;
        const [viewport] = this.deck.getViewports();
        if (!viewport) return;
        const diameter = this.diameter * device.getDefaultCanvasContext().cssToDeviceRatio();
        this.refining = this.cloud.refine({ worldToClip: viewport.viewProjectionMatrix, diameter });
      },
      onAfterRender: () => {
        if (this.refining) requestAnimationFrame(() => this.draw());
      },
      onResize: () => {
        const wasFitted = this.view === this.fitted;
        this.fitted = this.fit();
        if (wasFitted) this.view = this.fitted;
        this.set(this.view);
      },
      getCursor: ({ isDragging }) => (isDragging ? "grabbing" : this.marks.hovered >= 0 ? "pointer" : "grab"),
      layers: [],
    });
    this.listen();
  }

  get size(): [number, number] {
    return [this.host.clientWidth || 1, this.host.clientHeight || 1];
  }

  get current(): View {
    return { ...this.view };
  }

  /** The view's centre in the part that no card covers, in pixels. */
  get freeCentre(): [number, number] {
    const [width, height] = this.size;
    const { top, right, bottom, left } = this.events.covered();
    return [(left + width - right) / 2, (top + height - bottom) / 2];
  }

  /** The frame that shows the whole map, in pixels for a width, and no more of it than is filled. */
  static wholeFrame(x: Float32Array, y: Float32Array, width: number): { height: number; scale: number; toFrame(x: number, y: number): [number, number] } {
    let [halfWidth, halfHeight] = [1e-6, 1e-6];
    for (let i = 0; i < x.length; i++) {
      halfWidth = Math.max(halfWidth, Math.abs(x[i]));
      halfHeight = Math.max(halfHeight, Math.abs(y[i]));
    }
    const margin = 0.03 * width;
    const scale = (width - 2 * margin) / (2 * halfWidth);
    const height = Math.round(Math.min(1.6 * width, Math.max(0.3 * width, 2 * halfHeight * scale + 2 * margin)));
    const fitted = Math.min(scale, (height - 2 * margin) / (2 * halfHeight));
    return { height, scale: fitted, toFrame: (px, py) => [width / 2 + px * fitted, height / 2 - py * fitted] };
  }

  get isMoved(): boolean {
    return Math.hypot(this.view.x - this.fitted.x, this.view.y - this.fitted.y) * this.pixelsPerUnit > 1;
  }

  /** Zoom steps in from the view that shows the whole map. */
  get depth(): number {
    return this.view.zoom - this.fitted.zoom;
  }

  get pixelsPerUnit(): number {
    return 2 ** this.view.zoom;
  }

  set(view: View): void {
    const clamp = (value: number) => Math.min(0.75, Math.max(-0.75, value));
    const zoom = Math.min(this.fitted.zoom + MAX_ZOOM_IN, Math.max(this.fitted.zoom - 1, view.zoom));
    this.view = view === this.fitted ? view : { x: clamp(view.x), y: clamp(view.y), zoom };
    this.move();
  }

  reset(): void {
    this.fitted = this.fit();
    this.fly(this.fitted);
  }

  zoomBy(steps: number): void {
    this.fly({ ...this.view, zoom: this.view.zoom + steps }, 200);
  }

  panBy(pixelsX: number, pixelsY: number): void {
    const scale = this.pixelsPerUnit;
    this.fly({ ...this.view, x: this.view.x + pixelsX / scale, y: this.view.y + pixelsY / scale }, 160);
  }

  /** Goes there in one smooth movement, or at once for those who asked for less motion. */
  fly(to: View, milliseconds = 650): void {
    this.land();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return this.set(to);
    const from = this.view;
    const start = performance.now();
    const step = (now: number) => {
      const t = Math.min(1, Math.max(0, (now - start) / milliseconds));
      if (t >= 1) {
        this.flight = 0;
        return this.set(to);
      }
      const s = ease(t);
      // The centre follows the change of scale, so that the goal does not race out of sight while zooming.
      const scale = 2 ** (to.zoom - from.zoom);
      const along = Math.abs(scale - 1) < 1e-3 ? s : (1 - scale ** -s) / (1 - 1 / scale);
      this.set({ x: from.x + (to.x - from.x) * along, y: from.y + (to.y - from.y) * along, zoom: from.zoom + (to.zoom - from.zoom) * s });
      this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }

  /** Ends a flight where it is. */
  land(): void {
    cancelAnimationFrame(this.flight);
    this.flight = 0;
  }

  /** Answers once the view is at rest and drawn with every point. */
  async settled(): Promise<void> {
    const nextFrame = () => new Promise(requestAnimationFrame);
    do await nextFrame();
    while (this.flight !== 0 || this.moving || this.refining);
    await nextFrame();
    await nextFrame();
  }

  flyToPoint(i: number): void {
    this.fly(this.showing(this.x[i], this.y[i], Math.max(this.view.zoom, this.fitted.zoom + 3.2)));
  }

  /** The view with a place in the middle of what the cards leave free. */
  showing(x: number, y: number, zoom: number): View {
    const { top, right, bottom, left } = this.events.covered();
    const scale = 2 ** zoom;
    return { x: x - (left - right) / 2 / scale, y: y + (top - bottom) / 2 / scale, zoom };
  }

  toScreen(x: number, y: number): [number, number] {
    const [width, height] = this.size;
    const scale = this.pixelsPerUnit;
    return [width / 2 + (x - this.view.x) * scale, height / 2 - (y - this.view.y) * scale];
  }

  toWorld(screenX: number, screenY: number): [number, number] {
    const [width, height] = this.size;
    const scale = this.pixelsPerUnit;
    return [this.view.x + (screenX - width / 2) / scale, this.view.y - (screenY - height / 2) / scale];
  }

  setColors(colors: Uint8Array): void {
    this.colors = colors;
    this.draw();
  }

  setMarks(marks: Partial<Marks>): void {
    Object.assign(this.marks, marks);
    this.draw();
  }

  /** Pans to and fro and gives the time from each frame to the next, in milliseconds. */
  async frameTimes(frames: number): Promise<number[]> {
    const start = this.current;
    const nextFrame = () => new Promise<number>(requestAnimationFrame);
    const times: number[] = [];
    let before = await nextFrame();
    for (let k = 0; k < frames; k++) {
      this.set({ ...start, x: start.x + (6 * ((k % 20) - 10)) / this.pixelsPerUnit });
      const now = await nextFrame();
      times.push(now - before);
      before = now;
    }
    this.set(start);
    return times;
  }

  /** Of a point, in CSS pixels. */
  get diameter(): number {
    const base = Math.min(6, Math.max(1.8, 10.2 - 1.6 * Math.log10(this.x.length)));
    return Math.min(13, base * 2 ** (0.3 * Math.max(0, this.depth)));
  }

  private fit(): View {
    const [width, height] = this.size;
    let [halfWidth, halfHeight] = [1e-6, 1e-6];
    for (let i = 0; i < this.x.length; i++) {
      halfWidth = Math.max(halfWidth, Math.abs(this.x[i]));
      halfHeight = Math.max(halfHeight, Math.abs(this.y[i]));
    }
    const { top, right, bottom, left } = this.events.covered();
    const margin = Math.min(40, width * 0.05);
    const scale = Math.min((width - left - right - 2 * margin) / (2 * halfWidth), (height - top - bottom - 2 * margin) / (2 * halfHeight));
    return this.showing(0, 0, Math.log2(Math.max(64, scale)));
  }

  private move(): void {
    this.moving = true;
    this.moved = true;
    this.watchFrames();
    clearTimeout(this.restTimer);
    this.restTimer = window.setTimeout(() => {
      this.moving = false;
      this.draw();
      this.events.rested();
    }, REST_MS);
    this.draw();
    this.events.viewChanged();
  }

  /** Learns how long a moving map's pictures take: from one frame to the next, but only where the first drew one. A hand
   * that rests between two movements is no slow frame. */
  private watchFrames(): void {
    if (this.watching) return;
    this.watching = true;
    let before = 0;
    let drew = false;
    const frame = (now: number): void => {
      if (drew) this.pace.frame(now - before);
      before = now;
      drew = this.moved;
      this.moved = false;
      if (this.moving || drew) requestAnimationFrame(frame);
      else this.watching = false;
    };
    requestAnimationFrame(frame);
  }

  get drawnMoving(): number {
    return this.pace.drawCount;
  }

  private deckView(): OrthographicViewState {
    return { target: [this.view.x, this.view.y, 0], zoom: this.view.zoom, minZoom: this.fitted.zoom - 1, maxZoom: this.fitted.zoom + MAX_ZOOM_IN };
  }

  private draw(): void {
    if (!this.deck) return;
    const { found, pinned, hovered, near, color, halo } = this.marks;
    const ring = (id: string, rows: number[], radius: number, fill: boolean) =>
      new ScatterplotLayer<number>({
        id,
        data: rows,
        getPosition: (i) => [this.x[i], this.y[i]],
        getRadius: this.diameter / 2 + radius,
        radiusUnits: "pixels",
        filled: fill,
        getFillColor: [...color, 235],
        stroked: true,
        getLineColor: [...(fill ? halo : color), 255],
        getLineWidth: fill ? 1.25 : 2,
        lineWidthUnits: "pixels",
        updateTriggers: { getRadius: this.diameter, getFillColor: color, getLineColor: color },
        parameters: { depthCompare: "always", depthWriteEnabled: false },
      });
    this.deck.setProps({
      viewState: this.deckView() as never,
      layers: [
        new PointsLayer({
          id: "points",
          positions: this.positions,
          colors: this.colors,
          diameter: this.diameter,
          drawCount: this.pace.isSoftware || this.moving ? this.pace.drawCount : this.x.length,
          kept: this.pace.isSoftware && !this.moving,
          turn: this.turn++,
          made: (cloud) => (this.cloud = cloud),
        }),
        pinned >= 0 && near.length > 0 && new LineLayer<number>({
          id: "near-lines",
          data: near,
          getSourcePosition: () => [this.x[pinned], this.y[pinned]],
          getTargetPosition: (i) => [this.x[i], this.y[i]],
          getColor: [...color, 110],
          getWidth: 1.25,
          widthUnits: "pixels",
          updateTriggers: { getSourcePosition: pinned, getColor: color },
          parameters: { depthCompare: "always", depthWriteEnabled: false },
        }),
        pinned >= 0 && near.length > 0 && ring("near", near, 1.5, true),
        found.length > 0 && ring("found", found, 1.5, true),
        hovered >= 0 && ring("hovered", [hovered], 4, false),
        pinned >= 0 && ring("pinned", [pinned], 5, false),
      ],
    });
  }

  private listen(): void {
    const { host, events } = this;
    const local = (event: MouseEvent): [number, number] => {
      const box = host.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    // A click is a press and a release in the same place; anything longer was a drag.
    let pressed: [number, number] | null = null;
    host.addEventListener("pointerdown", (event) => (pressed = local(event)));
    host.addEventListener("pointerup", (event) => {
      const [x, y] = local(event);
      if (pressed && Math.hypot(x - pressed[0], y - pressed[1]) < 5) events.click(x, y);
      pressed = null;
    });
    host.addEventListener("pointermove", (event) => {
      if (event.buttons === 0 && event.pointerType !== "touch") events.hover(...local(event));
    });
    host.addEventListener("pointerleave", () => events.leave());
  }
}

/** The name of what draws, or an error that tells the reader what to do. */
export function rendererName(): string {
  const gl = document.createElement("canvas").getContext("webgl2");
  if (!gl) throw new Error("This map needs WebGL 2, and this browser does not offer it.");
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return name;
}
