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
}

/** Something that the points can be coloured by: a column, or the regions of a level. */
export interface CategoryFacet {
  kind: "category";
  name: string;
  names: string[];
  /** Index into `names`, one a point; -1 is none. */
  codes: Int32Array;
  counts: Uint32Array;
  level: Level | null;
}

export interface NumberFacet {
  kind: "number";
  name: string;
  values: Float32Array;
  level: null;
}

export type Facet = CategoryFacet | NumberFacet;

export interface Level {
  name: string;
  regions: Region[];
  codes: Int32Array;
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
  snippets: string[] | null;
  urls: string[] | null;
  ids: string[] | null;
  facets: Facet[];
  levels: Level[];
}

interface Packed {
  type: "f32" | "u8" | "u16" | "u32";
  data: string;
}

interface PackedRegion extends Omit<Region, "x" | "y"> {
  x: number;
  y: number;
}

interface Payload {
  name: string;
  description: string;
  n: number;
  centre: [number, number];
  span: number;
  x: Packed;
  y: Packed;
  titles: string[];
  snippets: string[] | null;
  urls: string[] | null;
  ids: string[] | null;
  columns: ({ name: string; kind: "category"; names: string[]; codes: Packed } | { name: string; kind: "number"; values: Packed })[];
  levels: { name: string; codes: Packed; regions: PackedRegion[] }[];
}

const arrayTypes = { f32: Float32Array, u8: Uint8Array, u16: Uint16Array, u32: Uint32Array };

function unpack({ type, data }: Packed): Float32Array | Uint8Array | Uint16Array | Uint32Array {
  const binary = atob(data);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return new arrayTypes[type](bytes.buffer);
}

/** Coordinates in [-0.5, 0.5]: floats as they are, or 65,536 steps. */
function coordinates(packed: Packed): Float32Array {
  const values = unpack(packed);
  if (values instanceof Float32Array) return values;
  return Float32Array.from(values, (step) => step / 65535 - 0.5);
}

/** Codes are packed with 1 added, so that none is 0. */
const codesOf = (packed: Packed): Int32Array => Int32Array.from(unpack(packed), (code) => code - 1);

function categoryFacet(name: string, names: string[], codes: Int32Array, level: Level | null): CategoryFacet {
  const counts = new Uint32Array(names.length);
  for (const code of codes) if (code >= 0) counts[code]++;
  return { kind: "category", name, names, codes, counts, level };
}

export function readData(json: string): MapData {
  const payload = JSON.parse(json) as Payload;
  const { centre, span } = payload;
  const levels = payload.levels.map((level): Level => ({
    name: level.name,
    codes: codesOf(level.codes),
    regions: level.regions.map((region) => ({
      ...region,
      x: (region.x - centre[0]) / span,
      y: (region.y - centre[1]) / span,
    })),
  }));
  const facets: Facet[] = payload.columns.map((column) =>
    column.kind === "category"
      ? categoryFacet(column.name, column.names, codesOf(column.codes), null)
      : { kind: "number", name: column.name, values: unpack(column.values) as Float32Array, level: null },
  );
  for (const level of levels) {
    facets.push(categoryFacet(level.name, level.regions.map((region) => region.name), level.codes, level));
  }
  return { ...payload, x: coordinates(payload.x), y: coordinates(payload.y), facets, levels };
}
