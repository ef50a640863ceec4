import { Deck, OrthographicView } from "@deck.gl/core";
import { PointsLayer } from "../src/points-layer.ts";
import { n, x, y, category, palette, measure } from "./points.js";

const positions = new Float32Array(2 * n);
const colors = new Uint8Array(4 * n);
for (let i = 0; i < n; i++) {
  positions.set([500 * x[i], 500 * y[i]], 2 * i);
  const rgb = parseInt(palette[category[i]].slice(1), 16);
  colors.set([rgb >> 16, (rgb >> 8) & 255, rgb & 255, 200], 4 * i);
}
const drawCount = new URLSearchParams(location.search).get("draw") ?? n;
const layer = () => new PointsLayer({ id: "points", positions, colors, diameter: 3, drawCount: Number(drawCount) });
const deck = new Deck({
  parent: document.body,
  width: "100%", height: "100%", useDevicePixels: 1, deviceProps: { webgl: { antialias: false } },
  views: new OrthographicView(),
  viewState: { target: [0, 0, 0], zoom: 0 },
  layers: [layer()],
  onLoad: () => setTimeout(async () => {
    window.result = await measure((i) => deck.setProps({ viewState: { target: [i % 20, 0, 0], zoom: 0 } }));
  }, 1000),
});
