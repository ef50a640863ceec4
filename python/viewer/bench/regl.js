import createScatterplot from "regl-scatterplot";
import { n, x, y, category, palette, measure } from "./points.js";

const canvas = document.createElement("canvas");
document.body.append(canvas);
const scatterplot = createScatterplot({
  canvas, width: innerWidth, height: innerHeight, pointSize: 3, opacity: 0.8, colorBy: "valueA", pointColor: palette,
});
await scatterplot.draw({ x, y, z: Float32Array.from(category) });
window.result = await measure((i) => {
  scatterplot.lookAt ? 0 : 0;
  scatterplot.set({ cameraTarget: [(i % 20) / 500, 0] });
  scatterplot.redraw?.();
});
