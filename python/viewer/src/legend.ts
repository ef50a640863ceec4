// What the colours mean, and a filter by them.

import type { Facet } from "./data.ts";
import { byId, el, formatCount, formatNumber } from "./dom.ts";
import type { Painter } from "./paint.ts";
import { css, gradient } from "./palette.ts";

const LISTED = 200;

export class Legend {
  private readonly body = byId("legend-body");
  private readonly clearButton = byId<HTMLButtonElement>("clear-filter");
  private readonly select = byId<HTMLSelectElement>("color-by");

  constructor(
    private readonly facets: Facet[],
    private readonly painter: Painter,
    private readonly categories: Set<number>,
    facetChanged: (facet: Facet | null) => void,
    private readonly filterChanged: () => void,
  ) {
    this.select.append(...facets.map((facet, k) => el("option", { value: k }, facet.level ? `Regions: ${facet.name}` : facet.name)));
    byId("legend").hidden = facets.length === 0;
    this.select.addEventListener("change", () => facetChanged(facets[Number(this.select.value)] ?? null));
    this.clearButton.addEventListener("click", () => {
      this.categories.clear();
      this.refresh();
      this.filterChanged();
    });
  }

  show(facet: Facet | null): void {
    this.select.value = String(facet ? this.facets.indexOf(facet) : "");
    this.body.scrollTop = 0;
    this.body.replaceChildren(...(!facet ? [] : facet.kind === "category" ? this.categoryEntries(facet) : this.numberScale()));
    this.refresh();
  }

  private categoryEntries(facet: Extract<Facet, { kind: "category" }>): HTMLElement[] {
    const order = [...facet.counts.keys()].filter((c) => facet.counts[c] > 0).sort((a, b) => facet.counts[b] - facet.counts[a] || a - b);
    const entry = (category: number, name: string, count: number): HTMLElement => {
      const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = css(this.painter.categoryColor(category));
      const button = el(
        "button",
        { type: "button", class: "entry", "data-category": category, "aria-pressed": "false" },
        swatch,
        el("span", { class: "entry-name", dir: "auto" }, name),
        el("span", { class: "entry-count" }, formatCount(count)),
      );
      button.addEventListener("click", () => {
        if (!this.categories.delete(category)) this.categories.add(category);
        this.refresh();
        this.filterChanged();
      });
      return el("li", {}, button);
    };
    const entries = order.slice(0, LISTED).map((c) => entry(c, facet.names[c], facet.counts[c]));
    const none = facet.codes.length - facet.counts.reduce((sum, count) => sum + count, 0);
    if (none > 0) entries.push(entry(-1, "None", none));
    const list = el("ul", { class: "entries", "aria-label": `${facet.name}: filter by` }, ...entries);
    const rest = order.length - LISTED;
    return rest > 0 ? [list, el("p", { class: "note" }, `and ${formatCount(rest)} smaller ones`)] : [list];
  }

  private numberScale(): HTMLElement[] {
    const [low, high] = this.painter.range;
    const bar = el("div", { class: "gradient", "aria-hidden": "true" });
    bar.style.background = gradient(this.painter.theme);
    return [bar, el("div", { class: "gradient-ends" }, el("span", {}, formatNumber(low)), el("span", {}, formatNumber(high)))];
  }

  private refresh(): void {
    this.clearButton.hidden = this.categories.size === 0;
    for (const button of this.body.querySelectorAll<HTMLElement>(".entry")) {
      const pressed = this.categories.has(Number(button.dataset.category));
      button.setAttribute("aria-pressed", String(pressed));
      button.classList.toggle("dimmed", this.categories.size > 0 && !pressed);
    }
  }
}
