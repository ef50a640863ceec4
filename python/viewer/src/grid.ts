// Finds the point under the pointer: a uniform grid over the map, filled by counting sort.

export class PointGrid {
  private readonly side: number;
  private readonly starts: Uint32Array;
  private readonly members: Uint32Array;

  constructor(private readonly x: Float32Array, private readonly y: Float32Array) {
    const n = x.length;
    this.side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(n / 2))));
    const cells = new Uint32Array(n);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < n; i++) {
      cells[i] = this.column(y[i]) * this.side + this.column(x[i]);
      this.starts[cells[i] + 1]++;
    }
    for (let c = 1; c < this.starts.length; c++) this.starts[c] += this.starts[c - 1];
    const next = this.starts.slice();
    this.members = new Uint32Array(n);
    for (let i = 0; i < n; i++) this.members[next[cells[i]]++] = i;
  }

  /** The nearest accepted point within `radius` of (x, y), all in world units; -1 if there is none. */
  nearest(x: number, y: number, radius: number, accept: (i: number) => boolean = () => true): number {
    let best = -1;
    let bestSquare = radius * radius;
    for (let row = this.column(y - radius); row <= this.column(y + radius); row++) {
      const first = row * this.side + this.column(x - radius);
      const last = row * this.side + this.column(x + radius);
      for (let at = this.starts[first]; at < this.starts[last + 1]; at++) {
        const i = this.members[at];
        const square = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
        if (square <= bestSquare && accept(i)) {
          best = i;
          bestSquare = square;
        }
      }
    }
    return best;
  }

  private column(value: number): number {
    return Math.min(this.side - 1, Math.max(0, Math.floor((value + 0.5) * this.side)));
  }
}
