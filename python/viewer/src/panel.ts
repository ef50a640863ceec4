// The words about one article or one region: the tooltip while hovering, the panel once clicked.

import { bars, type Bar } from "./controls.ts";
import type { CategoryFacet, Facet, Level, MapData, Neighbor, Region } from "./data.ts";
import { byId, el, formatCount, formatNumber, formatShare, shorten, usesKeyboard, webLink } from "./dom.ts";
import type { Painter } from "./paint.ts";
import { css } from "./palette.ts";

const TOOLTIP_TEXT = 200;
const SNIPPET = 420;
const TITLE = 160;
const LISTED = 12;

const titleOf = (data: MapData, i: number): string => data.titles[i] || "Untitled";

/** Colour, facet and value of everything known about point i. */
function facts(data: MapData, i: number): { facet: Facet; text: string }[] {
  return data.facets.flatMap((facet): { facet: Facet; text: string }[] => {
    if (facet.kind === "number") {
      const value = facet.values[i];
      return Number.isFinite(value) ? [{ facet, text: facet.role === "confidence" ? formatShare(value) : formatNumber(value) }] : [];
    }
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
    const snippet = data.texts.snippets?.[i];
    this.root.replaceChildren(
      el("div", { class: "tooltip-title" }, swatch, el("span", { dir: "auto" }, shorten(titleOf(data, i), TITLE))),
      ...(snippet ? [el("p", { dir: "auto" }, shorten(snippet, TOOLTIP_TEXT))] : []),
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

export interface PanelEvents {
  openArticle(row: number): void;
  openRegion(level: Level, region: Region): void;
  /** The reader points at a line that stands for this article; -1 when no longer. */
  hint(row: number): void;
  search(text: string): void;
  /** Shows only the articles of this category. */
  filter(facet: CategoryFacet, category: number): void;
  closed(): void;
}

type Content = (HTMLElement | null | false)[];

export class Panel {
  private readonly root = byId("panel");
  private readonly body = byId("panel-body");
  private cameFrom: HTMLElement | null = null;
  private shown: object | null = null;
  /** How to show again what was shown before, latest last. */
  private trail: (() => void)[] = [];
  private readonly labelFacet: CategoryFacet | null;

  constructor(private readonly data: MapData, private readonly painter: Painter, private readonly events: PanelEvents) {
    const categories = data.facets.filter((facet) => facet.kind === "category");
    this.labelFacet = categories.find((facet) => facet.role === "label") ?? categories.find((facet) => facet.role === "vote") ?? null;
    byId("close-panel").addEventListener("click", () => this.close());
    byId("panel-back").addEventListener("click", () => this.back());
  }

  private back(): void {
    this.trail.pop(); // what is shown now
    this.trail.pop()?.();
  }

  showArticle(i: number, again: () => void): void {
    this.open(again, this.article(i));
    if (!this.data.hasSnippets || this.data.texts.snippets) return;
    const { shown } = this;
    void this.data.loadTexts().then(() => this.shown === shown && this.body.replaceChildren(...kept(this.article(i))));
  }

  private article(i: number): Content {
    const { data } = this;
    const { snippets, urls, ids } = data.texts;
    const near = data.neighbors?.(i) ?? [];
    const rows = facts(data, i).filter(({ facet }) => !facet.level).flatMap(({ facet, text }) => [el("dt", {}, facet.name), el("dd", { dir: "auto" }, text)]);
    const trail = data.levels.filter((level) => level.codes[i] >= 0).map((level) => el("li", {}, this.regionButton(level, level.regions[level.codes[i]])));
    return [
      el("p", { class: "kind" }, ids?.[i] ? `Article ${shorten(ids[i], 40)}` : "Article"),
      el("h2", { dir: "auto", tabindex: -1 }, titleOf(data, i)),
      trail.length > 0 && el("ul", { class: "trail", "aria-label": "Regions it lies in" }, ...trail),
      webLink(urls?.[i], "Open the article"),
      snippets?.[i] ? snippetOf(snippets[i]) : null,
      rows.length > 0 && el("dl", {}, ...rows),
      ...this.votes(i, near),
      ...section("Labelled articles that voted", (data.voters?.(i) ?? []).map(({ row, similarity }) => this.articleLine(row, similarity, this.labelOf(row))), "articles voters"),
      near.length > 0 && el("h3", {}, "Nearest articles"),
      near.length > 0 && el("ul", { class: "articles" }, ...near.map((neighbor) => this.articleLine(neighbor.row, neighbor.similarity))),
    ];
  }

  showRegion(level: Level, region: Region, again: () => void): void {
    const { data } = this;
    const depth = data.levels.indexOf(level);
    const code = level.regions.indexOf(region);
    const above = data.levels[depth - 1];
    const parent = above?.regions[region.parent];
    const below = data.levels[depth + 1];
    const parts = below?.regions.filter((part) => level.regions[part.parent] === region) ?? [];
    const members: number[] = [];
    level.codes.forEach((c, i) => c === code && members.push(i));
    const beside = this.regionsBeside(level, code, members);
    this.open(again, [
      el("p", { class: "kind" }, parent ? "Region of " : "Region", parent ? this.regionButton(above, parent) : null),
      el("h2", { dir: "auto", tabindex: -1 }, region.name),
      el("p", { class: "facts" }, [`${formatCount(region.size)} ${region.size === 1 ? "article" : "articles"}`, Boolean(region.confidence) && `name fits ${formatShare(region.confidence!)}`].filter(Boolean).join(" · ")),
      region.phrases.length > 0 && el("ul", { class: "phrases", "aria-label": "Key phrases" }, ...region.phrases.map((phrase) => this.phrase(phrase))),
      ...this.labelsOf(members),
      ...section("Typical articles", region.exemplars.map((exemplar) => this.exemplar(exemplar)), "articles"),
      ...section("Parts", parts.sort((a, b) => b.size - a.size).slice(0, LISTED).map((part) => this.regionLine(below, part))),
      ...section("Neighbouring regions", beside.map((other) => this.regionLine(level, level.regions[other]))),
    ]);
  }

  get isOpen(): boolean {
    return !this.root.hidden;
  }

  close(): void {
    if (this.root.hidden) return;
    this.root.hidden = true;
    this.shown = null;
    this.trail = [];
    const back = this.cameFrom?.isConnected && this.cameFrom.offsetParent ? this.cameFrom : byId("map");
    this.events.hint(-1);
    this.events.closed();
    back.focus({ preventScroll: true });
  }

  private open(again: () => void, content: Content): void {
    if (this.root.hidden) this.cameFrom = document.activeElement as HTMLElement | null;
    this.trail = [...this.trail.slice(-19), again];
    byId("panel-back").hidden = this.trail.length < 2;
    this.shown = content;
    this.events.hint(-1);
    this.body.replaceChildren(...kept(content));
    this.root.hidden = false;
    this.body.scrollTop = 0;
    const heading = this.body.querySelector<HTMLElement>("h2");
    if (usesKeyboard()) heading?.focus({ preventScroll: true });
  }

  /** The votes that an article's label comes from; where the map carries none, the labels of its neighbours. */
  private votes(i: number, near: Neighbor[]): Content {
    const facet = this.labelFacet;
    if (!facet) return [];
    if (this.data.votes && facet.role === "label") {
      const votes = this.data.votes(i);
      return votes.length === 0 ? [] : [el("h3", {}, "Votes of its nearest labelled articles"), this.shares(facet, votes, "Votes")];
    }
    const labelled = near.map(({ row }) => facet.codes[row]).filter((code) => code >= 0);
    return labelled.length === 0 ? [] : [el("h3", {}, `Labels of its ${labelled.length} nearest`), this.shares(facet, counted(labelled), "Labels")];
  }

  private labelsOf(members: number[]): Content {
    const facet = this.labelFacet;
    if (!facet) return [];
    const labelled = members.map((i) => facet.codes[i]).filter((code) => code >= 0);
    return labelled.length === 0 ? [] : [el("h3", {}, facet.name), this.shares(facet, counted(labelled), facet.name)];
  }

  private shares(facet: CategoryFacet, votes: { code: number; share: number }[], label: string): HTMLElement {
    const items = votes.slice(0, 6).map(({ code, share }): Bar => ({
      name: facet.names[code],
      share,
      color: this.painter.current === facet ? css(this.painter.categoryColor(code)) : undefined,
      chosen: () => this.events.filter(facet, code),
    }));
    return bars(items, label);
  }

  /** Regions of the same level that the articles' neighbours lie in, most neighbours first. */
  private regionsBeside(level: Level, code: number, members: number[]): number[] {
    const { neighbors } = this.data;
    const weight = new Map<number, number>();
    const step = Math.max(1, Math.floor(members.length / 5_000));
    for (let m = 0; neighbors && m < members.length; m += step) {
      for (const { row } of neighbors(members[m])) {
        const other = level.codes[row];
        if (other >= 0 && other !== code) weight.set(other, (weight.get(other) ?? 0) + 1);
      }
    }
    return [...weight].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 5).map(([other]) => other);
  }

  private phrase(phrase: string): HTMLElement {
    const button = el("button", { type: "button", class: "phrase", dir: "auto", "aria-label": `Search for ${phrase}` }, phrase);
    button.addEventListener("click", () => this.events.search(phrase));
    return el("li", {}, button);
  }

  private exemplar(exemplar: string | number): HTMLElement {
    return typeof exemplar === "string" ? el("li", { dir: "auto" }, exemplar) : this.articleLine(exemplar, null);
  }

  private labelOf(row: number): string {
    const facet = this.labelFacet;
    return facet && facet.codes[row] >= 0 ? facet.names[facet.codes[row]] : "";
  }

  private articleLine(row: number, similarity: number | null, label = ""): HTMLElement {
    const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = css(this.painter.colorOf(row));
    const button = el(
      "button",
      { type: "button", class: "entry" },
      swatch,
      el("span", { class: "entry-name", dir: "auto" }, titleOf(this.data, row)),
      label !== "" && el("span", { class: "entry-label", dir: "auto" }, shorten(label, 40)),
      similarity !== null && el("span", { class: "entry-count", "aria-label": `similarity ${similarity.toFixed(2)}` }, similarity.toFixed(2)),
    );
    button.addEventListener("click", () => this.events.openArticle(row));
    for (const [type, target] of [["pointerenter", row], ["pointerleave", -1], ["focus", row], ["blur", -1]] as const) {
      button.addEventListener(type, () => this.events.hint(target));
    }
    return el("li", {}, button);
  }

  private regionLine(level: Level, region: Region): HTMLElement {
    const button = el("button", { type: "button", class: "entry" }, el("span", { class: "entry-name", dir: "auto" }, region.name), el("span", { class: "entry-count" }, formatCount(region.size)));
    button.addEventListener("click", () => this.events.openRegion(level, region));
    return el("li", {}, button);
  }

  private regionButton(level: Level, region: Region): HTMLElement {
    const button = el("button", { type: "button", class: "text-button", dir: "auto" }, region.name);
    button.addEventListener("click", () => this.events.openRegion(level, region));
    return button;
  }
}

/** Codes as shares, the most frequent first. */
function counted(codes: number[]): { code: number; share: number }[] {
  const counts = new Map<number, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([code, count]) => ({ code, share: count / codes.length }));
}

const kept = (content: Content): HTMLElement[] => content.filter((element): element is HTMLElement => Boolean(element));

const section = (title: string, lines: HTMLElement[], kind = "regions-list"): Content =>
  lines.length === 0 ? [] : [el("h3", {}, title), el("ul", { class: kind }, ...lines)];

/** A text's beginning, and the rest for those who ask. */
function snippetOf(text: string): HTMLElement {
  if (text.length <= 1.2 * SNIPPET) return el("p", { class: "snippet", dir: "auto" }, text);
  const more = el("button", { type: "button", class: "text-button" }, "Show more");
  const words = el("span", { dir: "auto" }, shorten(text, SNIPPET));
  more.addEventListener("click", () => {
    words.textContent = text;
    more.remove();
  });
  return el("p", { class: "snippet" }, words, " ", more);
}
