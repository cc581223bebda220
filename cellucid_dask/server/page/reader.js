// Asks the server this page came from for files.

const ARRAYS = {
  float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  uint64: BigUint64Array,
};

const SLICE = 1 << 16; // bytes to inflate at a time, of which at most a thousand times as many come
const TRIES = 12; // of a request for which the server has no room

/** Passes bytes on a little at a time: a browser may inflate all that it is given at once. */
const sliced = () => new TransformStream({
  transform(bytes, out) {
    for (let at = 0; at < bytes.length; at += SLICE) out.enqueue(bytes.subarray(at, at + SLICE));
  },
});

const pause = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, { once: true });
});

/** A request that failed, or an answer that is not what the format says. */
export class LoadError extends Error {
  constructor(path, status, reason) {
    super(`${path}: ${[status, reason].filter(Boolean).join(" ")}`);
    Object.assign(this, { path, status });
  }
}

/** Asks for files below the URL `root`; `tell(path, bytes, ofBytes, wait)` hears how far it is. */
export class Reader {
  constructor(root, signal, tell) {
    Object.assign(this, { root, signal, tell });
  }

  async json(path) {
    const response = await this.#request(path);
    return this.#whole(path, "is not JSON", () => response.json());
  }

  /** The numbers of a binary file, which must be exactly `length`. */
  async array(path, dtype, length) {
    const response = await this.#request(path);
    const bytes = await this.#whole(path, "is more than this browser can hold",
      () => new Uint8Array(length * ARRAYS[dtype].BYTES_PER_ELEMENT));
    const received = await this.#whole(path, "is cut short or damaged", () => {
      const inflated = path.endsWith(".gz")
        ? response.body.pipeThrough(sliced()).pipeThrough(new DecompressionStream("gzip"))
        : response.body;
      return this.#fill(bytes, inflated.getReader(), path);
    });
    if (received === bytes.length) return new ARRAYS[dtype](bytes.buffer);
    const held = received > bytes.length ? `more than ${bytes.length} bytes` :
      `${received} bytes, not ${bytes.length}`;
    throw new LoadError(path, 0, `holds ${held}`);
  }

  /** Fills `bytes`; how many there were, at least where they are too many. */
  async #fill(bytes, stream, path) {
    let at = 0;
    for (;;) {
      const { done, value } = await stream.read();
      if (done) return at;
      if (at + value.length > bytes.length) {
        stream.cancel().catch(() => {});
        return at + value.length;
      }
      bytes.set(value, at);
      at += value.length;
      this.tell(path, at, bytes.length);
    }
  }

  /** Waits where the server says when to ask again. */
  async #request(path) {
    for (let left = TRIES; ; left--) {
      this.tell(path, 0, 0);
      const request = fetch(new URL(path, this.root), { signal: this.signal });
      const response = await this.#whole(path, "no answer from the server", () => request);
      if (response.ok) return response;
      const [line] = (await response.text().catch(() => "")).trim().split("\n");
      const seconds = Number(response.headers.get("Retry-After"));
      if (response.status !== 503 || !(seconds > 0) || left === 1) {
        throw new LoadError(path, response.status, line.slice(0, 200) || response.statusText);
      }
      this.tell(path, 0, 0, seconds);
      await pause(seconds, this.signal);
    }
  }

  async #whole(path, otherwise, read) {
    try {
      return await read();
    } catch (error) {
      throw this.signal.aborted ? error : new LoadError(path, 0, otherwise);
    }
  }
}
