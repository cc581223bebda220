// Reads everything of an AnnData store with zarrita or h5wasm, in node and in web pages: `{path: node}`
// of what is stored. A node has `attributes`; one of an array has `shape` and either `text`, a list, or
// `dtype` as numpy spells it and `data`, its bytes in base64.

import * as zarr from "zarrita";
import ZipFileStore from "@zarrita/storage/zip";

const DTYPES = new Map([
  [Int8Array, "<i1"], [Uint8Array, "<u1"], [Int16Array, "<i2"], [Uint16Array, "<u2"],
  [Int32Array, "<i4"], [Uint32Array, "<u4"], [BigInt64Array, "<i8"], [BigUint64Array, "<u8"],
  [Float32Array, "<f4"], [Float64Array, "<f8"], [zarr.BoolArray, "|b1"],
]);

/** All nodes of a zarr folder or archive; consolidated metadata alone say what is there. */
export async function readZarr(url) {
  const store = url.endsWith(".zip") ? ZipFileStore.fromUrl(url) : new zarr.FetchStore(url);
  const listed = await zarr.withConsolidatedMetadata(store);
  const root = await zarr.open(listed, { kind: "group" });
  const nodes = { "": { attributes: root.attrs } };
  // zarrita unquotes a path that is not quoted, so it cannot open a member whose path has a "%".
  const members = listed.contents().filter(({ path }) => path !== "/" && !path.includes("%"));
  await Promise.all(members.map(async ({ path, kind }) => {
    const member = await zarr.open(root.resolve(path.slice(1)), { kind });
    nodes[path.slice(1)] = kind === "group" ? { attributes: member.attrs } : await readArray(member);
  }));
  return nodes;
}

async function readArray(array) {
  const zeros = array.shape.map(() => 0);
  const found = array.shape.includes(0) || array.shape.length === 0
    ? await array.getChunk(zeros) // `get` refuses what is empty, and gives a scalar without its type
    : await zarr.get(array);
  if (array.shape.includes(0)) found.data = found.data.slice?.(0, 0) ?? found.data.subarray(0, 0);
  return { attributes: array.attrs, shape: array.shape, ...packed(found.data) };
}

/** All nodes of a file that h5wasm has opened. */
export function readHdf5(file) {
  const nodes = {};
  const visit = (path) => {
    const member = file.get(path || "/");
    const attributes = Object.fromEntries(
      Object.entries(member.attrs).map(([name, { value }]) => [name, plain(value)]),
    );
    nodes[path] = { attributes };
    if (!member.keys) Object.assign(nodes[path], { shape: plain(member.shape) }, values(member));
    else for (const name of member.keys()) visit(path ? `${path}/${name}` : name);
  };
  visit("");
  return nodes;
}

function values(dataset) {
  const found = dataset.value;
  const scalar = dataset.shape.length === 0 && !ArrayBuffer.isView(found);
  if (scalar && typeof found !== "string") {
    return packed(new (typeof found === "bigint" ? BigInt64Array : Int8Array)([found]), dataset);
  }
  return packed(scalar ? [found] : found ?? [], dataset);
}

function packed(values, dataset) {
  const truths = dataset?.metadata.enum_type !== undefined; // so h5py stores booleans
  const dtype = truths ? "|b1" : DTYPES.get(values.constructor);
  if (dtype === undefined) return { text: Array.from(values) };
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return { dtype, data: base64(bytes) };
}

function base64(bytes) {
  const parts = [];
  for (let start = 0; start < bytes.length; start += 0x8000) {
    parts.push(String.fromCharCode(...bytes.subarray(start, start + 0x8000)));
  }
  return btoa(parts.join(""));
}

function plain(value) {
  if (typeof value === "bigint") return Number(value);
  return ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value, plain) : value;
}
