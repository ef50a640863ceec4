// The words about one article or one region: the tooltip while hovering, the panel once clicked.

import type { Facet, Level, MapData, Region } from "./data.ts";
import { byId, el, formatCount, formatNumber, shorten, webLink } from "./dom.ts";
import type { Painter } from "./paint.ts";
import { css } from "./palette.ts";

const SNIPPET = 200;
const TITLE = 160;

const titleOf = (data: MapData, i: number): string => data.titles[i] || "Untitled";

/** Colour, facet and value of everything known about point i. */
function facts(data: MapData, i: number): { facet: Facet; text: string }[] {
  return data.facets.flatMap((facet): { facet: Facet; text: string }[] => {
    if (facet.kind === "number") return Number.isFinite(facet.values[i]) ? [{ facet, text: formatNumber(facet.values[i]) }] : [];
    return facet.codes[i] >= 0 ? [{ facet, text: facet.names[facet.codes[i]] }] : [];
  });
}

export class Tooltip {
  private readonly root = byId("tooltip");

  constructor(private readonly data: MapData, private readonly painter: Painter) {}

  show(i: number, x: number, y: number, within: [number, number]): void {
    const { data } = this;
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = css(this.painter.colorOf(i));
    const snippet = data.snippets?.[i];
    this.root.replaceChildren(
      el("div", { class: "tooltip-title" }, swatch, el("span", { dir: "auto" }, shorten(titleOf(data, i), TITLE))),
      snippet ? el("p", { dir: "auto" }, shorten(snippet, SNIPPET)) : null!,
      el("dl", {}, ...facts(data, i).flatMap(({ facet, text }) => [el("dt", {}, facet.name), el("dd", { dir: "auto" }, shorten(text, 60))])),
    );
    this.root.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.root;
    const left = x + 18 + width < within[0] ? x + 18 : Math.max(8, x - 18 - width);
    const top = Math.min(Math.max(8, y - height / 2), Math.max(8, within[1] - height - 8));
    this.root.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  hide(): void {
    this.root.hidden = true;
  }
}

export class Panel {
  private readonly root = byId("panel");
  private readonly body = byId("panel-body");

  constructor(
    private readonly data: MapData,
    private readonly goTo: (row: number) => void,
    private readonly goToRegion: (level: Level, region: Region) => void,
    private readonly closed: () => void,
  ) {
    byId("close-panel").addEventListener("click", () => this.close());
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  showArticle(i: number): void {
    const { data } = this;
    const snippet = data.snippets?.[i];
    const rows = facts(data, i).flatMap(({ facet, text }) => {
      const value =
        facet.level && facet.kind === "category" ? this.regionButton(facet.level, facet.level.regions[facet.codes[i]]) : text;
      return [el("dt", {}, facet.name), el("dd", { dir: "auto" }, value)];
    });
    const id = data.ids?.[i];
    this.open(
      el("p", { class: "kind" }, id ? `Article ${shorten(id, 40)}` : "Article"),
      el("h2", { dir: "auto" }, titleOf(data, i)),
      snippet ? el("p", { class: "snippet", dir: "auto" }, snippet) : null,
      webLink(data.urls?.[i], "Open the article"),
      rows.length > 0 ? el("dl", {}, ...rows) : null,
    );
  }

  showRegion(level: Level, region: Region): void {
    const depth = this.data.levels.indexOf(level);
    const parent = this.data.levels[depth - 1]?.regions[region.parent];
    const parts = this.data.levels[depth + 1]?.regions.filter((part) => level.regions[part.parent] === region) ?? [];
    this.open(
      el("p", { class: "kind" }, `Region · ${level.name}`),
      el("h2", { dir: "auto" }, region.name),
      el("p", {}, `${formatCount(region.size)} ${region.size === 1 ? "article" : "articles"}`),
      region.phrases.length > 0 ? el("ul", { class: "phrases", "aria-label": "Key phrases" }, ...region.phrases.map((phrase) => el("li", { dir: "auto" }, phrase))) : null,
      region.exemplars.length > 0 ? el("h3", {}, "Typical articles") : null,
      region.exemplars.length > 0 ? el("ul", { class: "exemplars" }, ...region.exemplars.map((exemplar) => this.exemplar(exemplar))) : null,
      parts.length > 0 ? el("h3", {}, "Parts") : null,
      parts.length > 0
        ? el("ul", { class: "exemplars" }, ...parts.sort((a, b) => b.size - a.size).slice(0, 12).map((part) => el("li", {}, this.regionButton(this.data.levels[depth + 1], part))))
        : null,
      parent ? el("dl", {}, el("dt", {}, "Part of"), el("dd", {}, this.regionButton(this.data.levels[depth - 1], parent))) : null,
    );
  }

  close(): void {
    if (this.root.hidden) return;
    this.root.hidden = true;
    this.closed();
  }

  private open(...content: (HTMLElement | null)[]): void {
    this.body.replaceChildren(...content.filter((element) => element !== null));
    this.root.hidden = false;
    this.body.scrollTop = 0;
  }

  private exemplar(exemplar: string | number): HTMLElement {
    if (typeof exemplar === "string") return el("li", { dir: "auto" }, exemplar);
    const button = el("button", { type: "button", class: "text-button", dir: "auto" }, titleOf(this.data, exemplar));
    button.addEventListener("click", () => this.goTo(exemplar));
    return el("li", {}, button);
  }

  private regionButton(level: Level, region: Region): HTMLElement {
    const button = el("button", { type: "button", class: "text-button", dir: "auto" }, region.name);
    button.addEventListener("click", () => this.goToRegion(level, region));
    return button;
  }
}
