// Reads stores over HTTP in node: a line of standard input is a URL, a line of JSON answers it. The
// packages are looked for in the folder of this file, so tests run a copy of it beside `node_modules`.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import * as h5wasm from "h5wasm/node";
import { readHdf5, readZarr } from "./store_reader.mjs";

const STEP = 512 << 10; // bytes of a request

/** A file of HDF5, of which h5wasm needs all bytes here: it reads ranges only within a worker. */
async function readFile(url) {
  await h5wasm.ready;
  const parts = [];
  let size = Infinity;
  for (let start = 0; start < size; start += STEP) {
    const range = `bytes=${start}-${start + STEP - 1}`;
    const response = await fetch(url, { headers: { Range: range } });
    if (response.status !== 206) throw new Error(`${response.status} for ${range}`);
    size = Number(response.headers.get("content-range").split("/")[1]);
    parts.push(Buffer.from(await response.arrayBuffer()));
  }
  const folder = mkdtempSync(join(tmpdir(), "ready-"));
  const path = join(folder, "file.h5ad");
  writeFileSync(path, Buffer.concat(parts));
  const file = new h5wasm.File(path, "r");
  try {
    return readHdf5(file);
  } finally {
    file.close();
    rmSync(folder, { recursive: true });
  }
}

for await (const url of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { nodes: await (url.endsWith(".h5ad") ? readFile(url) : readZarr(url)) };
  } catch (error) {
    answer = { error: error.stack };
  }
  console.log(JSON.stringify(answer));
}
