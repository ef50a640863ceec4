// The only place where elements are made. Text goes in as text, never as markup: titles come from strangers.

type Child = Node | string | null | undefined | false;

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number | boolean | undefined> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child): child is Node | string => child instanceof Node || typeof child === "string"));
  return element;
}

export function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no element #${id}`);
  return element as T;
}

/** A link that may only lead to the web; anything else (javascript:, data:, file:) gives null. */
export function webLink(url: string | undefined, text: string): HTMLAnchorElement | null {
  let parsed: URL;
  try {
    parsed = new URL(url ?? "");
  } catch {
    return null;
  }
  if (parsed.protocol !== "https:" && parsed.protocol !== "http:") return null;
  return el("a", { href: parsed.href, rel: "noopener noreferrer", target: "_blank", class: "link" }, text);
}

export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  const cut = text.slice(0, length);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), length - 24)).trimEnd()}…`;
}

export const formatCount = (n: number): string => n.toLocaleString("en");

let byKeyboard = false;
addEventListener("keydown", () => (byKeyboard = true), true);
addEventListener("pointerdown", () => (byKeyboard = false), true);

/** Whether the reader last used the keyboard: then the focus follows what opens, and what moves is told. */
export const usesKeyboard = (): boolean => byKeyboard;

let saying = 0;

/** Tells a screen reader what a seeing reader sees happen. */
export function announce(text: string): void {
  clearTimeout(saying);
  saying = window.setTimeout(() => (byId("announcement").textContent = text), 250);
}

export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const magnitude = Math.abs(value);
  if (magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e9)) return value.toExponential(2);
  return value.toLocaleString("en", { ...(magnitude >= 1000 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 4 }), useGrouping: magnitude >= 10_000 });
}

export const formatShare = (share: number): string => `${Math.round(100 * share)}%`;

/** A name fit for a file. */
export const slug = (text: string): string => text.normalize("NFKD").replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 60) || "map";
