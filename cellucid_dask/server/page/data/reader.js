// Reads files from the server that served this page.

const ARRAYS = {
  float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  uint64: BigUint64Array,
};

// Compressed bytes per step: gzip inflates them to at most about 1000 times as many.
const SLICE = 1 << 16;
const MAX_TRIES = 12; // of a request while the server is busy
const CHECK_EXPORT = "check the export with cellucid-dask verify";

/** Passes bytes on in small slices: a browser may inflate all the bytes that it gets at once. */
const sliceStream = () => new TransformStream({
  transform(bytes, controller) {
    for (let at = 0; at < bytes.length; at += SLICE) {
      controller.enqueue(bytes.subarray(at, at + SLICE));
    }
  },
});

const sleep = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, { once: true });
});

/** A request that failed, or a response that is not what the format says. */
export class LoadError extends Error {
  constructor(path, status, reason) {
    super(`${path}: ${[status, reason].filter(Boolean).join(" ")}`);
    this.path = path;
    this.status = status;
  }
}

/** Reads files below the URL `root`; calls `onProgress(path, bytes, totalBytes, waitSeconds)`. */
export class Reader {
  constructor(root, signal, onProgress) {
    this.root = root;
    this.signal = signal;
    this.onProgress = onProgress;
  }

  async readJson(path) {
    const response = await this.#request(path);
    return this.#explainFailure(path, `not valid JSON; ${CHECK_EXPORT}`, () => response.json());
  }

  /** The numbers of a binary file, which must be exactly `length`. */
  async readArray(path, dtype, length) {
    const response = await this.#request(path);
    const bytes = await this.#explainFailure(
      path, "too large for the memory of this browser; close other tabs and try again",
      () => new Uint8Array(length * ARRAYS[dtype].BYTES_PER_ELEMENT));
    const received = await this.#explainFailure(
      path, `cut short or damaged; try again, then ${CHECK_EXPORT}`, () => {
        const inflated = path.endsWith(".gz")
          ? response.body.pipeThrough(sliceStream()).pipeThrough(new DecompressionStream("gzip"))
          : response.body;
        return this.#fill(bytes, inflated.getReader(), path);
      });
    if (received === bytes.length) return new ARRAYS[dtype](bytes.buffer);
    const contents = received > bytes.length ? `more than ${bytes.length} bytes` :
      `${received} bytes, not ${bytes.length}`;
    throw new LoadError(path, 0, `contains ${contents}; ${CHECK_EXPORT}`);
  }

  /** Fills `bytes` from a stream. Returns how many bytes came; stops if they are too many. */
  async #fill(bytes, stream, path) {
    let received = 0;
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return received;
      if (received + value.length > bytes.length) {
        stream.cancel().catch(() => {});
        return received + value.length;
      }
      bytes.set(value, received);
      received += value.length;
      this.onProgress(path, received, bytes.length);
    }
  }

  /** Sends a request; retries when the server answers 503 with Retry-After. */
  async #request(path) {
    for (let triesLeft = MAX_TRIES; ; triesLeft--) {
      this.onProgress(path, 0, 0);
      const request = fetch(new URL(path, this.root), { signal: this.signal });
      const response = await this.#explainFailure(
        path, "no answer from the server; check that it is running, then try again",
        () => request);
      if (response.ok) return response;
      const [line] = (await response.text().catch(() => "")).trim().split("\n");
      const seconds = Number(response.headers.get("Retry-After"));
      if (response.status !== 503 || !(seconds > 0) || triesLeft === 1) {
        throw new LoadError(path, response.status, line.slice(0, 200) || response.statusText);
      }
      this.onProgress(path, 0, 0, seconds);
      await sleep(seconds, this.signal);
    }
  }

  /** Runs `action`; its error becomes a LoadError with this reason, unless it was aborted. */
  async #explainFailure(path, reason, action) {
    try {
      return await action();
    } catch (error) {
      throw this.signal.aborted ? error : new LoadError(path, 0, reason);
    }
  }
}
