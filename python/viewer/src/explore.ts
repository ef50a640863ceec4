// The card with three tabs: what the colours mean, the filters, and the regions as an outline.

import { facetControl, type FacetControl } from "./controls.ts";
import type { Facet, Level, MapData, Region } from "./data.ts";
import { byId, el, formatCount, formatNumber } from "./dom.ts";
import type { Painter } from "./paint.ts";
import type { Selection } from "./selection.ts";

const TABS = ["colors", "filters", "regions"] as const;
type Tab = (typeof TABS)[number];
const LISTED = 300;
const NARROW = "(max-width: 640px)";

export interface ExploreEvents {
  colorBy(facet: Facet): void;
  filtered(): void;
  openRegion(level: Level, region: Region): void;
}

export class Explore {
  private readonly select = byId<HTMLSelectElement>("color-by");
  private readonly toggle = byId<HTMLButtonElement>("toggle-legend");
  private readonly chips = byId("chips");
  private readonly badge = byId("filter-count");
  private colorControl: FacetControl | null = null;
  private readonly filterControls = new Map<Facet, FacetControl>();

  constructor(
    private readonly data: MapData,
    private readonly painter: Painter,
    private readonly selection: Selection,
    private readonly events: ExploreEvents,
  ) {
    byId("legend").hidden = data.facets.length === 0;
    const columns = data.facets.filter((facet) => !facet.level);
    const option = (facet: Facet) => el("option", { value: data.facets.indexOf(facet) }, facet.name);
    this.select.append(...columns.map(option));
    const regions = data.facets.filter((facet) => facet.level).map(option);
    if (regions.length > 0) this.select.append(el("optgroup", { label: "Regions" }, ...regions));
    this.select.addEventListener("change", () => events.colorBy(data.facets[Number(this.select.value)]));

    byId("filters").append(...data.facets.map((facet) => this.filterSection(facet)));
    byId("tab-regions").hidden = data.levels.length === 0;
    byId("regions").append(this.outline());
    this.connectTabs();
    this.setOpen(!matchMedia(NARROW).matches);
    this.toggle.addEventListener("click", () => this.setOpen(this.toggle.getAttribute("aria-expanded") !== "true"));
  }

  /** Brings the colours' side up to date with the painter. */
  showColors(): void {
    const facet = this.painter.current;
    if (!facet) return;
    this.select.value = String(this.data.facets.indexOf(facet));
    this.colorControl = facetControl(facet, this.painter, this.selection, this.events.filtered);
    byId("color-control").replaceChildren(this.colorControl.root);
    // The other tab's swatches and scales show colours too.
    for (const details of byId("filters").querySelectorAll("details")) this.fill(details);
  }

  /** Brings everything up to date with the selection. */
  refresh(): void {
    this.colorControl?.refresh();
    for (const control of this.filterControls.values()) control.refresh();
    const { filters } = this.selection;
    this.badge.textContent = filters.size ? String(filters.size) : "";
    this.badge.hidden = filters.size === 0;
    const chips = [...filters].flatMap(([facet, filter]) => {
      if (!(filter instanceof Set)) {
        return [this.chip(`${facet.name} ${formatNumber(filter[0])}–${formatNumber(filter[1])}`, () => this.selection.set(facet, null))];
      }
      const names = facet.kind === "category" ? facet.names : [];
      return [...filter].map((category) =>
        this.chip(category < 0 ? `No ${facet.name}` : names[category], () => {
          this.selection.set(facet, new Set([...filter].filter((other) => other !== category)));
        }),
      );
    });
    if (chips.length > 0) {
      const all = el("button", { type: "button", class: "text-button", id: "clear-filter" }, "Clear filters");
      all.addEventListener("click", () => {
        filters.clear();
        this.events.filtered();
        byId("map").focus({ preventScroll: true });
      });
      chips.push(el("li", {}, all));
    }
    this.chips.replaceChildren(...chips);
  }

  private chip(text: string, remove: () => void): HTMLElement {
    const button = el("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${text}` }, el("span", { dir: "auto" }, text), el("span", { class: "cross", "aria-hidden": "true" }, "×"));
    button.addEventListener("click", () => {
      remove();
      this.events.filtered();
      (this.chips.querySelector<HTMLElement>("button") ?? byId("map")).focus({ preventScroll: true });
    });
    return el("li", {}, button);
  }

  private filterSection(facet: Facet): HTMLElement {
    const details = el("details", { "data-facet": this.data.facets.indexOf(facet) }, el("summary", {}, facet.level ? `Region: ${facet.name}` : facet.name));
    details.addEventListener("toggle", () => this.fill(details));
    return details;
  }

  /** A closed section holds nothing: a map may have many facets, each with many names. */
  private fill(details: HTMLDetailsElement): void {
    const facet = this.data.facets[Number(details.dataset.facet)];
    details.querySelector(".facet, .note")?.remove();
    this.filterControls.delete(facet);
    if (!details.open) return;
    const control = facetControl(facet, this.painter, this.selection, this.events.filtered);
    this.filterControls.set(facet, control);
    details.append(control.root);
  }

  /** All regions, each within its parent: the map for those who do not see it, and a table of contents for all. */
  private outline(): HTMLElement {
    const { levels } = this.data;
    let left = 5_000; // enough for any eye; the filter finds the others by name
    const list = (depth: number, parent: number): HTMLElement | null => {
      const level = levels[depth];
      const regions = level?.regions.filter((region) => region.parent === parent || depth === 0).sort((a, b) => b.size - a.size) ?? [];
      // A part that is all of its region would only say the same articles twice.
      if (depth > 0 && regions.length === 1 && regions[0].size === levels[depth - 1].regions[parent].size) {
        return list(depth + 1, level.regions.indexOf(regions[0]));
      }
      if (regions.length === 0 || left <= 0) return null;
      const items = regions.slice(0, LISTED).map((region) => {
        left--;
        const button = el("button", { type: "button", class: "entry" }, el("span", { class: "entry-name", dir: "auto" }, region.name), el("span", { class: "entry-count" }, formatCount(region.size)));
        button.addEventListener("click", () => this.events.openRegion(level, region));
        const inner = list(depth + 1, level.regions.indexOf(region));
        if (!inner) return el("li", { class: "leaf" }, button);
        inner.hidden = true;
        const twist = el("button", { type: "button", class: "twist", "aria-expanded": "false", "aria-label": `Parts of ${region.name}` });
        twist.addEventListener("click", () => {
          inner.hidden = !inner.hidden;
          twist.setAttribute("aria-expanded", String(!inner.hidden));
        });
        return el("li", {}, twist, button, inner);
      });
      return el("ul", { class: "outline" }, ...items);
    };
    return list(0, -1) ?? el("p", { class: "note" }, "This map has no regions.");
  }

  private setOpen(open: boolean): void {
    this.toggle.setAttribute("aria-expanded", String(open));
    this.toggle.setAttribute("aria-label", open ? "Close the card" : "Open the card");
    byId("legend-body").hidden = !open;
  }

  /** By the ARIA pattern for tabs: one tab stop, arrows move along. */
  private connectTabs(): void {
    const show = (tab: Tab, focus = false): void => {
      for (const other of TABS) {
        const button = byId(`tab-${other}`);
        button.setAttribute("aria-selected", String(other === tab));
        button.tabIndex = other === tab ? 0 : -1;
        byId(other).hidden = other !== tab;
      }
      byId("legend-body").scrollTop = 0;
      if (focus) byId(`tab-${tab}`).focus();
    };
    TABS.forEach((tab) => {
      byId(`tab-${tab}`).addEventListener("click", () => {
        show(tab);
        this.setOpen(true);
      });
      byId(`tab-${tab}`).addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const shown = TABS.filter((other) => !byId(`tab-${other}`).hidden);
        show(shown[(shown.indexOf(tab) + step + shown.length) % shown.length], true);
      });
    });
    show("colors");
  }
}
