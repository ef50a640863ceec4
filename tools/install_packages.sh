#!/usr/bin/env bash
# Installs the Debian packages of a list ("what shows it is there|package") that are missing. Without the right to
# install, names them and stops.
set -euo pipefail

missing=()
while IFS='|' read -r shows package; do
  case "$shows" in '' | '#'*) continue ;; esac
  command -v "$shows" >/dev/null 2>&1 || [ -e "$shows" ] || missing+=("$package")
done < "$1"

[ ${#missing[@]} -gt 0 ] || exit 0
echo "Debian packages missing: ${missing[*]}"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
    echo "Install them and run make again:  sudo apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
