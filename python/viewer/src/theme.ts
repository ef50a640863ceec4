// Light or dark: as the system says, until the reader says otherwise.

import { byId } from "./dom.ts";
import type { Theme } from "./palette.ts";

const KEY = "knowmap-theme";

export class ThemeSwitch {
  theme: Theme;

  constructor(changed: (theme: Theme) => void) {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const preferred = (): Theme => (system.matches ? "dark" : "light");
    this.theme = remembered() ?? preferred();
    const button = byId<HTMLButtonElement>("theme");
    const apply = () => {
      document.documentElement.dataset.theme = this.theme;
      button.setAttribute("aria-label", this.theme === "dark" ? "Use light colours" : "Use dark colours");
    };
    apply();
    const set = (theme: Theme) => {
      this.theme = theme;
      apply();
      changed(theme);
    };
    button.addEventListener("click", () => {
      const theme = this.theme === "dark" ? "light" : "dark";
      remember(theme);
      set(theme);
    });
    system.addEventListener("change", () => remembered() === null && set(preferred()));
  }
}

// A page opened from disk or inside a notebook may have no storage at all.
function remembered(): Theme | null {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : null;
  } catch {
    return null;
  }
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // then it holds for this visit only
  }
}
