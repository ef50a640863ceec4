// How many points to draw while the map moves.
//
// A graphics card draws them all. A software renderer needs a microsecond or two a point, so a quarter of a million
// would stutter: there, a moving map shows a sample (the points are drawn in a shuffled order, so the first k of them
// are one) and the rest appear when it comes to rest.

const TARGET_MS = 36;
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

export class Pace {
  private count: number;
  readonly isSoftware: boolean;

  constructor(private readonly n: number, renderer: string) {
    this.isSoftware = SOFTWARE.test(renderer);
    this.count = Math.min(n, this.isSoftware ? 25_000 : n);
  }

  get drawCount(): number {
    return this.count;
  }

  /** Learns from one frame of a moving map. */
  frame(milliseconds: number): void {
    if (!this.isSoftware) return; // a graphics card draws every point
    const wanted = this.count * Math.min(1.15, Math.max(0.5, TARGET_MS / Math.max(milliseconds, 1)));
    this.count = Math.round(Math.min(this.n, Math.max(5_000, wanted)));
  }
}

/** A shuffled order of 0 … n - 1, the same each time. */
export function drawingOrder(n: number): Uint32Array {
  const order = new Uint32Array(n);
  let state = 0x9e3779b9;
  for (let i = 0; i < n; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((state / 4294967296) * (i + 1));
    order[i] = order[j];
    order[j] = i;
  }
  return order;
}
