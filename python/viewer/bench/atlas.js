import { EmbeddingView } from "embedding-atlas";
import { x, y, category, palette, measure } from "./points.js";

const view = new EmbeddingView(document.body, {
  data: { x, y, category }, categoryColors: palette, width: innerWidth, height: innerHeight, pixelRatio: 1,
  config: { mode: "points", pointSize: 3, autoLabelEnabled: false }, labels: [],
});
setTimeout(async () => {
  window.result = await measure((i) => view.update({ viewportState: { x: (i % 20) / 500, y: 0, scale: 1 } }));
}, 1500);
