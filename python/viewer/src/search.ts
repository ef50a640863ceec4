// Search by title: instant, blind to case and accents.

import { byId, el, formatCount } from "./dom.ts";

/** Folds what a reader may type differently: case, accents, width. */
export function fold(text: string): string {
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase().replaceAll("ß", "ss").replaceAll("ø", "o").replaceAll("ł", "l").replaceAll("đ", "d").replaceAll("æ", "ae").replaceAll("œ", "oe");
}

export class TitleIndex {
  private folded: string[] | null = null;

  constructor(private readonly titles: string[]) {}

  /** Row numbers of all titles that hold every word of the query: exact ones, beginnings and word beginnings first. */
  find(query: string): number[] {
    this.folded ??= this.titles.map(fold);
    const wanted = fold(query).trim().replace(/\s+/g, " ");
    if (wanted === "") return [];
    const words = wanted.split(" ");
    const hits: { row: number; rank: number; length: number }[] = [];
    this.folded.forEach((title, row) => {
      if (words.every((word) => title.includes(word))) hits.push({ row, rank: rank(title, wanted), length: title.length });
    });
    return hits.sort((a, b) => a.rank - b.rank || a.length - b.length || a.row - b.row).map((hit) => hit.row);
  }
}

function rank(title: string, wanted: string): number {
  if (title === wanted) return 0;
  if (title.startsWith(wanted)) return 1;
  const at = title.indexOf(wanted);
  if (at < 0) return 4;
  return /[\p{L}\p{N}]/u.test(title[at - 1]) ? 3 : 2;
}

const LISTED = 60;

/** The box and its list, by the ARIA pattern for a combobox with a listbox. */
export class SearchBox {
  private readonly input = byId<HTMLInputElement>("search");
  private readonly list = byId("hits");
  private readonly status = byId("status");
  private readonly clearButton = byId<HTMLButtonElement>("clear-search");
  private hits: number[] = [];
  private active = -1;

  constructor(
    private readonly titles: string[],
    private readonly index: TitleIndex,
    private readonly changed: (hits: number[] | null) => void,
    private readonly chosen: (row: number) => void,
  ) {
    this.input.addEventListener("input", () => this.search());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("focus", () => this.open(this.hits.length > 0));
    this.clearButton.addEventListener("click", () => {
      this.clear();
      this.input.focus();
    });
    this.list.addEventListener("pointerdown", (event) => event.preventDefault()); // keeps the focus in the box
    this.list.addEventListener("click", (event) => {
      const option = (event.target as Element).closest<HTMLElement>("[data-row]");
      if (option) this.choose(Number(option.dataset.row));
    });
    document.addEventListener("pointerdown", (event) => {
      if (!byId("finder").contains(event.target as Node)) this.open(false);
    });
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  clear(): void {
    this.input.value = "";
    this.search();
  }

  private search(): void {
    const query = this.input.value.trim();
    this.clearButton.hidden = query === "";
    this.hits = query === "" ? [] : this.index.find(query);
    this.active = -1;
    this.list.replaceChildren(
      ...this.hits.slice(0, LISTED).map((row, k) =>
        el("li", { role: "option", id: `hit-${k}`, "data-row": row, "aria-selected": "false", dir: "auto" }, this.titles[row] || "Untitled"),
      ),
    );
    this.list.scrollTop = 0;
    this.input.removeAttribute("aria-activedescendant");
    this.open(this.hits.length > 0);
    const count = this.hits.length;
    this.status.textContent = query === "" ? "" : count === 0 ? "Nothing found" : `${formatCount(count)} ${count === 1 ? "title" : "titles"} found`;
    this.changed(query === "" ? null : this.hits);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      if (this.list.hidden) this.clear();
      this.open(false);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.open(this.hits.length > 0);
      this.activate(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && this.hits.length > 0) {
      this.choose(this.hits[Math.max(0, this.active)]);
    } else {
      return;
    }
    event.preventDefault();
  }

  private activate(k: number): void {
    const options = this.list.children;
    if (options.length === 0) return;
    options[this.active]?.setAttribute("aria-selected", "false");
    this.active = (k + options.length) % options.length;
    const option = options[this.active];
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", option.id);
  }

  private choose(row: number): void {
    this.open(false);
    this.chosen(row);
  }

  private open(open: boolean): void {
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
  }
}
