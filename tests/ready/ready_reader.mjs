// Reads one gene, a category column and an embedding of a ready file over HTTP, as a viewer does.
// node ready_reader.mjs URL GENE COLUMN EMBEDDING; the answer is one line of JSON. The packages are
// looked for in the folder of this file, so tests run a copy of it beside `node_modules`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const FIRST = 512 << 10; // bytes of the first request for an h5ad

const [url, gene, column, embedding] = process.argv.slice(2);

/** A file of HDF5, of which h5wasm needs all bytes: it reads ranges only within a worker. */
async function openHdf5(address) {
  const h5wasm = await import("h5wasm/node");
  await h5wasm.ready;
  const parts = [];
  let size = Infinity;
  for (let start = 0; start < size; start += FIRST) {
    const range = `bytes=${start}-${start + FIRST - 1}`;
    const response = await fetch(address, { headers: { Range: range } });
    if (response.status !== 206) throw new Error(`${response.status} for ${range}`);
    size = Number(response.headers.get("content-range").split("/")[1]);
    parts.push(Buffer.from(await response.arrayBuffer()));
  }
  const folder = mkdtempSync(join(tmpdir(), "ready-"));
  const path = join(folder, "file.h5ad");
  writeFileSync(path, Buffer.concat(parts));
  const file = new h5wasm.File(path, "r");
  return {
    read: async (key, ...range) => {
      const found = file.get(key);
      const values = range.length ? found.slice([range]) : found.value;
      return { data: values, shape: found.shape };
    },
    close: () => {
      file.close();
      rmSync(folder, { recursive: true });
    },
  };
}

/** A zarr store, in a folder or in an archive; consolidated metadata alone say what is there. */
async function openZarr(address) {
  const zarr = await import("zarrita");
  const { default: ZipFileStore } = await import("@zarrita/storage/zip");
  const store = address.endsWith(".zip")
    ? ZipFileStore.fromUrl(address)
    : new zarr.FetchStore(address);
  const root = await zarr.open(await zarr.withConsolidatedMetadata(store), { kind: "group" });
  return {
    read: async (key, ...range) => {
      const array = await zarr.open(root.resolve(key), { kind: "array" });
      const found = await zarr.get(array, range.length ? [zarr.slice(...range)] : null);
      return typeof found === "object" && found !== null && "data" in found
        ? { data: found.data, shape: found.shape }
        : { data: found, shape: [] };
    },
    close: () => {},
  };
}

const plain = (values) => Array.from(values, (value) => (typeof value === "bigint" ? Number(value) : value));

const file = await (url.endsWith(".h5ad") ? openHdf5(url) : openZarr(url));
const names = plain((await file.read("var/_index")).data);
const place = names.indexOf(gene);
const pointers = plain((await file.read("X/indptr")).data);
const range = [pointers[place], pointers[place + 1]];
const points = await file.read(`obsm/${embedding}`);
const answer = {
  gene: {
    cells: plain((await file.read("X/indices", ...range)).data),
    values: plain((await file.read("X/data", ...range)).data),
  },
  codes: plain((await file.read(`obs/${column}/codes`)).data),
  categories: plain((await file.read(`obs/${column}/categories`)).data),
  points: plain(points.data),
  shape: plain(points.shape),
};
file.close();
console.log(JSON.stringify(answer));
