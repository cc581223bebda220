// Reads stores in a web page, or in a worker of it for HDF5, of which h5wasm then reads ranges alone.
// A test bundles it with its packages; it runs from the origin of the data, or from another one.

import h5wasm from "h5wasm";
import { readHdf5, readZarr } from "./store_reader.mjs";

const inWorker = typeof WorkerGlobalScope !== "undefined";

async function readFile(url) {
  const { FS } = await h5wasm.ready;
  const name = `${Math.random()}.h5ad`;
  FS.createLazyFile("/", name, url, true, false);
  const file = new h5wasm.File(name, "r");
  try {
    return readHdf5(file);
  } finally {
    file.close();
  }
}

const answerOf = (work) => work.then(
  (nodes) => {
    const statuses = performance.getEntriesByType("resource").map((entry) => entry.responseStatus);
    performance.clearResourceTimings();
    return { nodes, statuses };
  },
  (error) => ({ error: String(error.stack) }),
);

if (inWorker) {
  self.onmessage = ({ data: url }) => answerOf(readFile(url)).then((answer) => self.postMessage(answer));
} else {
  let worker; // made of this script, wherever it came from: a worker must be of the page's origin
  self.readStore = (url) => {
    if (!url.endsWith(".h5ad")) return answerOf(readZarr(url));
    worker ??= new Worker(URL.createObjectURL(new Blob([self.readStoreSource])));
    return new Promise((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => resolve({ error: message });
      worker.postMessage(url);
    });
  };
}
