// Unpacks what render.py packed. The two files are each other's contract.

export interface Region {
  name: string;
  /** Centre in world units. */
  x: number;
  y: number;
  size: number;
  /** Index into the level above, or -1. */
  parent: number;
  phrases: string[];
  /** Titles, or row numbers of the articles themselves. */
  exemplars: (string | number)[];
  /** How well the name fits, in [0, 1], or null where nobody said. */
  confidence: number | null;
}

/** What a column means: whose values an article's neighbours vote with, and how sure the vote is. */
export type Role = "" | "label" | "vote" | "confidence";

/** Something that the points can be coloured and filtered by: a column, or the regions of a level. */
export interface CategoryFacet {
  kind: "category";
  name: string;
  role: Role;
  names: string[];
  /** Index into `names`, one a point; -1 is none. */
  codes: Int32Array;
  counts: Uint32Array;
  level: Level | null;
}

export interface NumberFacet {
  kind: "number";
  name: string;
  role: Role;
  values: Float32Array;
  level: null;
}

export type Facet = CategoryFacet | NumberFacet;

export interface Level {
  name: string;
  regions: Region[];
  codes: Int32Array;
}

export interface Neighbor {
  row: number;
  /** In [0, 1], or null where nobody said. */
  similarity: number | null;
}

/** What only a reader of one article needs; it comes after the first picture. */
export interface Texts {
  snippets: string[] | null;
  urls: string[] | null;
  ids: string[] | null;
}

export interface MapData {
  name: string;
  description: string;
  n: number;
  /** World units: the map's longer side is 1 and its centre is (0, 0). */
  x: Float32Array;
  y: Float32Array;
  /** data = centre + span * world */
  centre: [number, number];
  span: number;
  titles: string[];
  facets: Facet[];
  levels: Level[];
  /** Nearest first; null where the map carries none. */
  neighbors: ((row: number) => Neighbor[]) | null;
  /** What the nearest labelled articles vote for, best first: codes of the label facet; null where nobody said. */
  votes: ((row: number) => { code: number; share: number }[]) | null;
  /** The labelled articles that voted, nearest first; null where they are the first neighbours, or nobody said. */
  voters: ((row: number) => Neighbor[]) | null;
  hasSnippets: boolean;
  texts: Texts;
  loadTexts(): Promise<void>;
}

interface Packed {
  type: "f32" | "u8" | "u16" | "u32";
  data: string;
  /** Whether the bytes are compressed. */
  deflated?: true;
  /** Of numbers in steps: what step 1 and step 65,535 stand for; step 0 is none. */
  low?: number;
  high?: number;
}

interface Deflated {
  type: "json";
  data: string;
}

interface PackedNeighbors {
  k: number;
  width: number;
  rows: Packed;
  similarity: Packed | null;
}

interface Payload {
  name: string;
  description: string;
  n: number;
  centre: [number, number];
  span: number;
  x: Packed;
  y: Packed;
  titles: string[] | Deflated;
  snippets: Deflated | null;
  urls: Deflated | null;
  ids: Deflated | null;
  columns: ({ name: string; role: Role } & ({ kind: "category"; names: string[]; codes: Packed } | { kind: "number"; values: Packed }))[];
  levels: { name: string; codes: Packed; regions: Region[] }[];
  neighbors: PackedNeighbors | null;
  votes: { m: number; codes: Packed; shares: Packed } | null;
  voters?: PackedNeighbors | null;
}

const arrayTypes = { f32: Float32Array, u8: Uint8Array, u16: Uint16Array, u32: Uint32Array };

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

const unpack = ({ type, data }: Packed): Float32Array | Uint8Array | Uint16Array | Uint32Array => new arrayTypes[type](bytesOf(data).buffer);

const inflated = (data: string): Response => new Response(new Blob([bytesOf(data)]).stream().pipeThrough(new DecompressionStream("deflate")));

async function inflate(packed: Deflated | null): Promise<string[] | null> {
  return packed && (JSON.parse(await inflated(packed.data).text()) as string[]);
}

/** Numbers: floats as they are, or steps between the lowest and the highest. */
function numbersOf(values: ReturnType<typeof unpack>, { low, high }: Packed): Float32Array {
  if (values instanceof Float32Array) return values;
  if (low === undefined || high === undefined) return Float32Array.from(values, (step) => step / 65535 - 0.5); // coordinates
  return Float32Array.from(values, (step) => (step === 0 ? NaN : low + ((step - 1) / 65534) * (high - low)));
}

async function numbers(packed: Packed): Promise<Float32Array> {
  return numbersOf(await unpacked(packed), packed);
}

async function unpacked(packed: Packed): Promise<ReturnType<typeof unpack>> {
  return packed.deflated ? new arrayTypes[packed.type](await inflated(packed.data).arrayBuffer()) : unpack(packed);
}

/** Codes are packed with 1 added, so that none is 0. */
const codesOf = async (packed: Packed): Promise<Int32Array> => Int32Array.from(await unpacked(packed), (code) => code - 1);

function categoryFacet(name: string, role: Role, names: string[], codes: Int32Array, level: Level | null): CategoryFacet {
  const counts = new Uint32Array(names.length);
  for (const code of codes) if (code >= 0) counts[code]++;
  return { kind: "category", name, role, names, codes, counts, level };
}

function neighborsOf({ k, width, rows, similarity }: PackedNeighbors): (row: number) => Neighbor[] {
  const bytes = unpack(rows);
  const shares = similarity && unpack(similarity);
  return (row) => {
    const found: Neighbor[] = [];
    for (let j = row * k; j < (row + 1) * k; j++) {
      let value = 0;
      for (let b = width - 1; b >= 0; b--) value = value * 256 + bytes[j * width + b];
      if (value > 0) found.push({ row: value - 1, similarity: shares && shares[j] / 255 });
    }
    return found;
  };
}

function votesOf({ m, codes, shares }: NonNullable<Payload["votes"]>): NonNullable<MapData["votes"]> {
  const labels = unpack(codes);
  const parts = unpack(shares);
  return (row) =>
    Array.from({ length: m }, (_, k) => ({ code: labels[row * m + k] - 1, share: parts[row * m + k] / 255 })).filter(({ code, share }) => code >= 0 && share > 0);
}

export async function readData(json: string): Promise<MapData> {
  const { centre, span, name, description, n, ...payload } = JSON.parse(json) as Payload;
  const titles = Array.isArray(payload.titles) ? payload.titles : (await inflate(payload.titles))!;
  const levels = await Promise.all(payload.levels.map(async (level): Promise<Level> => ({
    name: level.name,
    codes: await codesOf(level.codes),
    regions: level.regions.map((region) => ({
      ...region,
      x: (region.x - centre[0]) / span,
      y: (region.y - centre[1]) / span,
    })),
  })));
  const facets: Facet[] = await Promise.all(payload.columns.map(async (column): Promise<Facet> =>
    column.kind === "category"
      ? categoryFacet(column.name, column.role, column.names, await codesOf(column.codes), null)
      : { kind: "number", name: column.name, role: column.role, values: await numbers(column.values), level: null },
  ));
  for (const level of levels) {
    facets.push(categoryFacet(level.name, "", level.regions.map((region) => region.name), level.codes, level));
  }
  const texts: Texts = { snippets: null, urls: null, ids: null };
  let loading: Promise<void> | null = null;
  return {
    name, description, n, titles, centre, span, facets, levels, texts,
    x: await numbers(payload.x),
    y: await numbers(payload.y),
    neighbors: payload.neighbors && neighborsOf(payload.neighbors),
    voters: payload.voters ? neighborsOf(payload.voters) : null,
    votes: payload.votes && votesOf(payload.votes),
    hasSnippets: payload.snippets !== null,
    loadTexts: () =>
      (loading ??= (async () => {
        for (const field of ["ids", "urls", "snippets"] as const) {
          texts[field] = await inflate(payload[field]);
          payload[field] = null; // its packed form would only take room
        }
      })()),
  };
}
