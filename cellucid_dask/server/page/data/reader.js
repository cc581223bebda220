// Reads files from the server that served this page.

/** @type {Record<string, any>} constructors of typed arrays */
const ARRAYS = {
  float32: Float32Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array,
  uint64: BigUint64Array,
};

// Compressed bytes per step: gzip inflates them to at most about 1000 times as many.
const SLICE = 1 << 16;
const MAX_TRIES = 12; // of a request while the server is busy
export const CHECK_EXPORT = "check the export with cellucid-dask verify";

/** Passes bytes on in small slices: a browser may inflate all the bytes that it gets at once. */
const sliceStream = () => new TransformStream({
  transform(bytes, controller) {
    for (let at = 0; at < bytes.length; at += SLICE) {
      controller.enqueue(bytes.subarray(at, at + SLICE));
    }
  },
});

/** @type {(seconds: number, signal: AbortSignal) => Promise<void>} */
const sleep = (seconds, signal) => new Promise((resolve, reject) => {
  const timer = setTimeout(resolve, 1000 * seconds);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    reject(signal.reason);
  }, { once: true });
});

/** A request that failed, or a response that is not what the format says. */
export class LoadError extends Error {
  /**
   * @param {string} path
   * @param {number} status 0 without a response
   * @param {string} reason
   */
  constructor(path, status, reason) {
    super(`${path}: ${[status, reason].filter(Boolean).join(" ")}`);
    this.path = path;
    this.status = status;
    this.reason = reason;
  }
}

/**
 * How far a file is.
 *
 * @typedef {object} Progress
 * @property {string} path
 * @property {boolean} hasResponse - until then the server may be computing the file
 * @property {number} [received] - bytes
 * @property {number} [total] - bytes; none of a file whose size is not known
 * @property {number} [waitSeconds] - until the next try, when the server is busy
 */

/** @typedef {(progress: Omit<Progress, "path">) => void} Report */

/** Reads files of the server. */
export class Reader {
  /**
   * @param {URL} root - of the paths
   * @param {AbortSignal} signal
   * @param {(request: object, progress: Progress | null) => void} onProgress - called with null
   *   when the file of a request is there, or has failed
   */
  constructor(root, signal, onProgress) {
    this.root = root;
    this.signal = signal;
    this.onProgress = onProgress;
  }

  /**
   * @param {string} path
   * @param {string} [query] - what of the file is wanted; a stored file is always sent whole
   * @returns {Promise<any>}
   */
  async readJson(path, query = "") {
    return this.#report(path, async (report) => {
      const response = await this.#request(path, query, report);
      return this.#explainFailure(path, `not valid JSON; ${CHECK_EXPORT}`, () => response.json());
    });
  }

  /**
   * The numbers of a binary file.
   *
   * @param {string} path
   * @param {string} dtype
   * @param {number} length - how many numbers the file must have
   * @returns {Promise<any>} a typed array
   */
  async readArray(path, dtype, length) {
    return this.#report(path, (report) => this.#readArray(path, dtype, length, report));
  }

  /**
   * Bytes `start` to `stop` of a file; also of a server that answers with all of it.
   *
   * @param {string} path
   * @param {number} start
   * @param {number} stop
   * @returns {Promise<Uint8Array<ArrayBuffer>>}
   */
  async readPart(path, start, stop) {
    return this.#report(path, (report) => this.#readPart(path, start, stop, report));
  }

  /**
   * @param {string} path
   * @param {string} dtype
   * @param {number} length
   * @param {Report} report
   */
  async #readArray(path, dtype, length, report) {
    const response = await this.#request(path, "", report);
    const bytes = await this.#explainFailure(
      path, "too large for the memory of this browser; close other tabs and try again",
      () => new Uint8Array(length * ARRAYS[dtype].BYTES_PER_ELEMENT));
    const received = await this.#explainFailure(
      path, `cut short or damaged; try again, then ${CHECK_EXPORT}`, () => {
        const inflated = path.endsWith(".gz")
          ? response.body.pipeThrough(sliceStream()).pipeThrough(new DecompressionStream("gzip"))
          : response.body;
        return this.#fill(bytes, inflated.getReader(), report);
      });
    if (received === bytes.length) return new ARRAYS[dtype](bytes.buffer);
    const contents = received > bytes.length ? `more than ${bytes.length} bytes` :
      `${received} bytes, not ${bytes.length}`;
    throw new LoadError(path, 0, `contains ${contents}; ${CHECK_EXPORT}`);
  }

  /**
   * @param {string} path
   * @param {number} start
   * @param {number} stop
   * @param {Report} report
   */
  async #readPart(path, start, stop, report) {
    const headers = { Range: `bytes=${start}-${stop - 1}` };
    const response = await this.#request(path, "", report, headers);
    const bytes = new Uint8Array(stop - start);
    let at = response.status === 206 ? 0 : -start; // where in `bytes` the next byte belongs
    await this.#explainFailure(path, `cut short; try again, then ${CHECK_EXPORT}`, async () => {
      const stream = response.body.getReader();
      while (at < bytes.length) {
        const { done, value } = await stream.read();
        if (done) throw new RangeError("the file ends too early");
        bytes.set(value.subarray(Math.max(0, -at), Math.max(0, bytes.length - at)), Math.max(0, at));
        at += value.length;
      }
      stream.cancel().catch(() => {});
    });
    return bytes;
  }

  /**
   * Fills `bytes` from a stream. Returns how many bytes came; stops if they are too many.
   *
   * @param {Uint8Array} bytes
   * @param {ReadableStreamDefaultReader<Uint8Array>} stream
   * @param {Report} report
   */
  async #fill(bytes, stream, report) {
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
      report({ hasResponse: true, received, total: bytes.length });
    }
  }

  /**
   * Runs `read` with a function that reports its progress, and reports its end.
   *
   * @template Contents
   * @param {string} path
   * @param {(report: Report) => Promise<Contents>} read
   */
  async #report(path, read) {
    const request = {}; // the same path may be requested again before this one ends
    try {
      return await read((progress) => this.onProgress(request, { path, ...progress }));
    } finally {
      this.onProgress(request, null);
    }
  }

  /**
   * Sends a request; retries when the server answers 503 with Retry-After.
   *
   * @param {string} path
   * @param {string} query
   * @param {Report} report
   */
  async #request(path, query, report, headers = {}) {
    const url = new URL(path, this.root);
    url.search = query;
    for (let triesLeft = MAX_TRIES; ; triesLeft--) {
      report({ hasResponse: false });
      const request = fetch(url, { signal: this.signal, headers });
      const response = await this.#explainFailure(
        path, "no answer from the server; check that it is running, then try again",
        () => request);
      if (response.ok) {
        report({ hasResponse: true });
        return response;
      }
      const [line] = (await response.text().catch(() => "")).trim().split("\n");
      const seconds = Number(response.headers.get("Retry-After"));
      if (response.status !== 503 || !(seconds > 0) || triesLeft === 1) {
        throw new LoadError(path, response.status, line.slice(0, 200) || response.statusText);
      }
      report({ hasResponse: true, waitSeconds: seconds });
      await sleep(seconds, this.signal);
    }
  }

  /**
   * Runs `action`; its error becomes a LoadError with this reason, unless it was aborted.
   *
   * @template Result
   * @param {string} path
   * @param {string} reason
   * @param {() => Result | Promise<Result>} action
   */
  async #explainFailure(path, reason, action) {
    try {
      return await action();
    } catch (error) {
      throw this.signal.aborted ? error : new LoadError(path, 0, reason);
    }
  }
}
