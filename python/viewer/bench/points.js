// The same 250,000 points for every candidate: a mixture of blobs, by a small fixed generator.
const n = 250_000;
let state = 42;
const uniform = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state + 0.5) / 4294967296;
};
const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());

const centres = Array.from({ length: 40 }, () => [uniform() * 1.6 - 0.8, uniform() * 1.6 - 0.8]);
export const x = new Float32Array(n);
export const y = new Float32Array(n);
export const category = new Uint8Array(n);
for (let i = 0; i < n; i++) {
  const c = i % centres.length;
  x[i] = centres[c][0] + 0.06 * normal();
  y[i] = centres[c][1] + 0.06 * normal();
  category[i] = c % 8;
}
export const palette = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb", "#332288"];
export { n };

/** Moves the view a little before each frame and answers with the time from frame to frame. */
export async function measure(move, frames = 12) {
  const next = () => new Promise(requestAnimationFrame);
  for (let i = 0; i < 2; i++) { await move(i); await next(); }
  const times = [];
  const start = performance.now();
  let before = await next();
  for (let i = 0; i < frames && !(i > 2 && performance.now() - start > 20_000); i++) {
    await move(i);
    const now = await next();
    times.push(now - before);
    before = now;
  }
  return times;
}
