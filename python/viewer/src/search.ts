// Search in titles, at once, and in texts, soon after; blind to case and accents.

import type { MapData } from "./data.ts";
import { byId, el, formatCount } from "./dom.ts";

/** Folds what a reader may type differently: case, accents, width. */
export function fold(text: string): string {
  // eslint-disable-next-line no-control-regex
  if (/^[\x00-\x7f]*$/.test(text)) return text.toLowerCase();
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase().replaceAll("ß", "ss").replaceAll("ø", "o").replaceAll("ł", "l").replaceAll("đ", "d").replaceAll("æ", "ae").replaceAll("œ", "oe");
}

const normalized = (query: string): string => fold(query).trim().replace(/\s+/g, " ");

export class TitleIndex {
  private folded: string[] | null = null;

  constructor(private readonly titles: string[]) {}

  /** A title as it is searched. */
  foldedTitle(row: number): string {
    return (this.folded ??= this.titles.map(fold))[row];
  }

  /** Row numbers of all titles that hold every word of the query: exact ones, beginnings and word beginnings first. */
  find(query: string): number[] {
    this.folded ??= this.titles.map(fold);
    const wanted = normalized(query);
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

const SLICE_MS = 12;
const pause = (): Promise<void> => {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => resolve();
    port2.postMessage(null);
  });
};

/** Texts are many megabytes, so they are folded and read in slices that leave the page its frames. */
class TextIndex {
  private readonly folded: string[] = [];

  constructor(private readonly data: MapData, private readonly titles: TitleIndex) {}

  /** Rows whose text, or text and title together, holds every word and that `skip` does not, in their order; null when `stop` said so meanwhile. */
  async find(query: string, skip: Set<number>, stop: () => boolean): Promise<number[] | null> {
    await this.data.loadTexts();
    const { snippets } = this.data.texts;
    const words = normalized(query).split(" ");
    const hits: number[] = [];
    let until = performance.now() + SLICE_MS;
    for (let row = 0; snippets && row < snippets.length; row++) {
      const text = (this.folded[row] ??= fold(snippets[row]));
      if (words.every((word) => text.includes(word) || this.titles.foldedTitle(row).includes(word)) && !skip.has(row)) hits.push(row);
      if (row % 128 === 127 && performance.now() > until) {
        await pause();
        if (stop()) return null;
        until = performance.now() + SLICE_MS;
      }
    }
    return stop() ? null : hits;
  }
}

const LISTED = 60;
const LISTED_TITLES = 40;
const BEFORE = 30;
const AFTER = 110;

/** The part of a text around the first word of the query that it holds, that word marked. */
function excerpt(text: string, query: string): HTMLElement {
  const lower = text.toLowerCase();
  const words = query.trim().toLowerCase().split(/\s+/);
  const word = words.find((each) => lower.includes(each)) ?? words[0]; // others may stand in the title
  const at = lower.indexOf(word);
  const line = el("span", { class: "excerpt", dir: "auto" });
  if (at < 0) {
    line.append(text.slice(0, BEFORE + AFTER));
    return line;
  }
  const start = at <= BEFORE ? 0 : text.indexOf(" ", at - BEFORE) + 1 || at;
  const from = Math.min(start, at);
  line.append(from > 0 ? "… " : "", text.slice(from, at), el("mark", {}, text.slice(at, at + word.length)), text.slice(at + word.length, at + AFTER));
  return line;
}

const counted = (n: number, word: string): string => `${formatCount(n)} ${word}${n === 1 ? "" : "s"}`;

/** The box and its list, by the ARIA pattern for a combobox with a listbox. */
export class SearchBox {
  private readonly input = byId<HTMLInputElement>("search");
  private readonly list = byId("hits");
  private readonly status = byId("status");
  private readonly clearButton = byId<HTMLButtonElement>("clear-search");
  private readonly titleIndex: TitleIndex;
  private readonly textIndex: TextIndex;
  private inTitles: number[] = [];
  private inTexts: number[] = [];
  private active = -1;
  private turn = 0;

  constructor(
    private readonly data: MapData,
    private readonly changed: (hits: number[] | null) => void,
    private readonly chosen: (row: number) => void,
  ) {
    this.titleIndex = new TitleIndex(data.titles);
    this.textIndex = new TextIndex(data, this.titleIndex);
    if (data.hasSnippets) {
      this.input.placeholder = "Search titles and texts";
      this.input.setAttribute("aria-label", "Search titles and texts");
    }
    this.input.addEventListener("input", () => void this.search(true));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("focus", () => this.open(this.found > 0));
    this.clearButton.addEventListener("click", () => {
      this.query = "";
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

  get query(): string {
    return this.input.value.trim();
  }

  /** Searches without opening the list: for a link that holds a search, a phrase that was clicked. */
  set query(text: string) {
    if (text === this.input.value) return;
    this.input.value = text;
    void this.search(false);
  }

  focus(): void {
    this.input.focus();
    this.input.select();
  }

  close(): void {
    this.open(false);
  }

  private get found(): number {
    return this.inTitles.length + this.inTexts.length;
  }

  private async search(open: boolean): Promise<void> {
    const turn = ++this.turn;
    this.active = -1;
    const { query } = this;
    this.clearButton.hidden = query === "";
    this.inTitles = query === "" ? [] : this.titleIndex.find(query);
    this.inTexts = [];
    this.show(open, this.data.hasSnippets && query !== "");
    if (!this.data.hasSnippets || query === "") return;
    const inTexts = await this.textIndex.find(query, new Set(this.inTitles), () => turn !== this.turn);
    if (inTexts === null) return;
    this.inTexts = inTexts;
    this.show(open && !this.list.hidden ? true : open && this.inTitles.length === 0 && document.activeElement === this.input, false);
  }

  private show(open: boolean, reading: boolean): void {
    const { query } = this;
    const active = this.active;
    const titles = this.inTitles.slice(0, this.inTexts.length ? LISTED_TITLES : LISTED);
    const rows = [...titles, ...this.inTexts.slice(0, LISTED - titles.length)];
    this.list.replaceChildren(
      ...rows.map((row, k) =>
        el(
          "li",
          { role: "option", id: `hit-${k}`, "data-row": row, "aria-selected": "false" },
          el("span", { class: "hit-title", dir: "auto" }, this.data.titles[row] || "Untitled"),
          k >= titles.length && excerpt(this.data.texts.snippets![row], query),
        ),
      ),
    );
    this.list.scrollTop = 0;
    this.active = -1;
    this.input.removeAttribute("aria-activedescendant");
    if (active >= 0 && active < titles.length) this.activate(active); // texts were added below
    this.open(open && this.found > 0);
    const parts = [this.inTitles.length > 0 && counted(this.inTitles.length, "title"), this.inTexts.length > 0 && counted(this.inTexts.length, "text")].filter(Boolean);
    this.status.textContent = query === "" ? "" : parts.length > 0 ? `${parts.join(" and ")} found` : reading ? "Reading the texts" : "Nothing found";
    this.status.classList.toggle("busy", reading);
    this.changed(query === "" ? null : [...this.inTitles, ...this.inTexts]);
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      if (this.list.hidden) this.query = "";
      this.open(false);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      this.open(this.found > 0);
      this.activate(this.active + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && this.list.childElementCount > 0) {
      const option = this.list.children[Math.max(0, this.active)] as HTMLElement;
      this.choose(Number(option.dataset.row));
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
