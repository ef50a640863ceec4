// Buttons, keys and dialogs: what can be done to the whole map.

import { byId, slug } from "./dom.ts";
import type { FigureOptions } from "./figure.ts";
import type { Scene } from "./scene.ts";

export function connectButtons(scene: Scene, copyLink: (() => void) | null): void {
  byId("zoom-in").addEventListener("click", () => scene.zoomBy(1));
  byId("zoom-out").addEventListener("click", () => scene.zoomBy(-1));
  byId("reset").addEventListener("click", () => scene.reset());
  // The details lie over the map's buttons on a phone, so they have one of their own.
  for (const button of [byId("copy-link"), byId("panel-link")]) {
    button.hidden = copyLink === null;
    button.addEventListener("click", () => {
      copyLink?.();
      button.classList.add("done");
      setTimeout(() => button.classList.remove("done"), 1_500);
    });
  }
  byId("help").addEventListener("click", () => byId<HTMLDialogElement>("help-dialog").showModal());
  for (const button of document.querySelectorAll<HTMLElement>("[data-close]")) {
    button.addEventListener("click", () => button.closest("dialog")!.close());
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    // A press beside the dialog's content closes it.
    dialog.addEventListener("pointerdown", (event) => event.target === dialog && dialog.close());
  }
  const more = byId("more");
  const open = (on: boolean) => {
    more.setAttribute("aria-expanded", String(on));
    byId("controls").classList.toggle("all", on);
  };
  more.addEventListener("click", () => open(more.getAttribute("aria-expanded") !== "true"));
}

export function connectSaving(name: string, save: (options: FigureOptions, format: "png" | "svg", pixels: number, name: string) => Promise<void>): void {
  const dialog = byId<HTMLDialogElement>("save-dialog");
  const checked = (id: string) => byId<HTMLInputElement>(id).checked;
  const problem = byId("save-problem");
  byId("save").addEventListener("click", () => {
    problem.textContent = "";
    dialog.showModal();
  });
  const format = () => (checked("save-svg") ? "svg" : "png");
  const width = byId<HTMLSelectElement>("save-width");
  for (const id of ["save-svg", "save-png"]) byId(id).addEventListener("change", () => (width.disabled = format() === "svg"));
  byId("save-now").addEventListener("click", async () => {
    const options: FigureOptions = { extent: checked("save-all") ? "all" : "view", names: checked("save-names"), legend: checked("save-legend") };
    try {
      await save(options, format(), Number(width.value), `${slug(name)}.${format()}`);
      dialog.close();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    }
  });
}

export interface KeyEvents {
  search(): void;
  /** Opens the article nearest to the middle of the view. */
  open(): void;
  close(): void;
}

export function connectKeys(scene: Scene, events: KeyEvents): void {
  const keys: Record<string, () => void> = {
    "+": () => scene.zoomBy(1),
    "=": () => scene.zoomBy(1),
    "-": () => scene.zoomBy(-1),
    "0": () => scene.reset(),
    ArrowLeft: () => scene.panBy(-120, 0),
    ArrowRight: () => scene.panBy(120, 0),
    ArrowUp: () => scene.panBy(0, 120),
    ArrowDown: () => scene.panBy(0, -120),
    Enter: () => events.open(),
  };
  const host = byId("map");
  host.addEventListener("keydown", (event) => {
    const action = event.ctrlKey || event.metaKey || event.altKey ? undefined : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("keydown", (event) => {
    const { target } = event;
    const typing = (target instanceof HTMLInputElement && target.type === "text") || target instanceof HTMLSelectElement;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "/" && !typing) {
      event.preventDefault();
      events.search();
    } else if (event.key === "?" && !typing) {
      byId("help").click();
    } else if (event.key === "Escape" && !typing) {
      events.close();
    }
  });
  // Where Enter would open something is shown only to those who steer by keys.
  const crosshair = byId("crosshair");
  const place = () => {
    crosshair.hidden = !host.matches(":focus-visible");
    const [x, y] = scene.freeCentre;
    crosshair.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  };
  host.addEventListener("focus", place);
  host.addEventListener("keydown", place);
  host.addEventListener("blur", () => (crosshair.hidden = true));
  host.addEventListener("pointerdown", () => (crosshair.hidden = true));
}
