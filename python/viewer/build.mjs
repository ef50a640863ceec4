// Bundles the page into one template file. render.py puts the title and the data in.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(here, "../knowmap/_viewer/map.html");

const options = { bundle: true, minify: true, write: false, target: "es2022", legalComments: "none", charset: "ascii", absWorkingDir: here };
const script = await esbuild.build({ ...options, entryPoints: ["src/main.ts"], format: "iife", metafile: true, define: { "process.env.NODE_ENV": '"production"' } });
const style = await esbuild.build({ ...options, entryPoints: ["src/style.css"] });

/** Inside a script element only these two sequences matter; both keep their meaning in JavaScript strings. */
const scriptText = script.outputFiles[0].text.trim().replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
const styleText = style.outputFiles[0].text.trim();

const hash = (text) => `'sha256-${createHash("sha256").update(text, "utf8").digest("base64")}'`;
const policy = [
  "default-src 'none'",
  `script-src ${hash(scriptText)}`,
  `style-src ${hash(styleText)}`,
  "img-src data: blob:",
  "base-uri 'none'",
  "form-action 'none'",
].join("; ");

/** The licence of every package that has a file in the bundle, as its terms ask. */
function licences(inputs) {
  const folders = new Map();
  for (const path of Object.keys(inputs)) {
    const match = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(path);
    if (match) folders.set(match[2], join(here, match[1]));
  }
  return [...folders].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, folder]) => {
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
    // The vis.gl packages are one project with one licence, and not all of them carry its text.
    const text = file ? readFileSync(join(folder, file), "utf8").trim() : sharedLicence(name, license);
    return `${name} ${version} (${license})\n\n${text}`;
  }).join(`\n\n${"=".repeat(80)}\n\n`);
}

function sharedLicence(name, license) {
  const sibling = join(here, "node_modules/@deck.gl/core/LICENSE");
  if (license === "MIT" && /^@(deck|luma|math|loaders|probe)\.gl\/|^mjolnir\.js$/.test(name) && existsSync(sibling)) {
    return readFileSync(sibling, "utf8").trim();
  }
  throw new Error(`${name} is bundled but carries no licence text; add it to build.mjs`);
}

const parts = { policy, style: styleText, script: scriptText, licences: licences(script.metafile.inputs).replaceAll("<", "&lt;") };
const page = readFileSync(join(here, "index.html"), "utf8").replace(/{{(policy|style|script|licences)}}/g, (_, name) => parts[name]);
for (const placeholder of ["{{title}}", "{{data}}"]) {
  if (page.split(placeholder).length !== 2) throw new Error(`the page must hold ${placeholder} exactly once`);
}
mkdirSync(dirname(target), { recursive: true });
writeFileSync(`${target}.new`, page);
renameSync(`${target}.new`, target);
console.log(`${target}: ${Math.round(page.length / 1000)} kB (script ${Math.round(scriptText.length / 1000)} kB)`);
