// MobileNet models in the browser: load(url) and predict(image). See mobilenet.d.ts for the types.
import { Engine, MobilenetError } from "./engine.js";
import { bitmapOf, pixelsOfBitmap } from "./pixels.js";

export { MobilenetError };

// A model from the folder that `mobilenet export MODEL --to web` wrote.
export async function load(url, { worker = typeof Worker !== "undefined", isa } = {}) {
  const folder = new URL(`${String(url).replace(/\/$/, "")}/`, base());
  if (!worker) return new Model(new Here(await Engine.load(folder, { isa })));
  const there = new There();
  try {
    const { card, labels, isa: used } = await there.call("load", [folder.href, { isa }]);
    return new Model(Object.assign(there, { card, labels, isa: used }));
  } catch (error) {
    there.close();
    throw error;
  }
}

// What a relative address is relative to: the page, the worker, or in node the working folder.
function base() {
  const here = globalThis.document?.baseURI ?? globalThis.location?.href;
  return here ?? `file://${process.cwd().replaceAll("\\", "/").replace(/^(?!\/)/, "/")}/`;
}

class Model {
  #place;

  constructor(place) {
    this.#place = place;
    const { card, isa } = place;
    const labels = card.classes ? card.classes.map((index) => place.labels[index]) : place.labels;
    Object.assign(this, { card, labels, isa, name: card.name, task: card.task });
  }

  // What is in an image, video frame, canvas, file, or {data, width, height} with four bytes for each pixel.
  async predict(image, options = {}) {
    return this.#place.predict(await bitmapOf(image), options);
  }

  close() {
    this.#place.close();
  }
}

// The engine in this thread.
class Here {
  constructor(engine) {
    this.engine = engine;
    const { card, labels, isa } = engine;
    Object.assign(this, { card, labels, isa });
  }

  predict(image, options) {
    if (!this.engine) throw new MobilenetError("the model was closed");
    return this.engine.predict(image.data ? image : pixelsOfBitmap(image), options);
  }

  close() {
    this.engine = null;
  }
}

// The engine in a worker.
class There {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.asked = new Map();
    this.count = 0;
    this.worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.asked.get(id);
      this.asked.delete(id);
      if (error === undefined) resolve(value);
      else reject(new MobilenetError(error));
    };
    this.worker.onerror = (event) => this.end(`the worker failed: ${event.message ?? "it could not be loaded"}`);
  }

  call(call, given, transfer = []) {
    if (this.ended) return Promise.reject(new MobilenetError(this.ended));
    return new Promise((resolve, reject) => {
      this.asked.set(++this.count, { resolve, reject });
      this.worker.postMessage({ id: this.count, call, given }, transfer);
    });
  }

  predict(image, options) {
    const given = image.data || typeof OffscreenCanvas !== "undefined" ? image : pixelsOfBitmap(image);
    if (given.data) {
      const { data, width, height } = given; // ImageData itself would be copied with its methods
      return this.call("predict", [{ data, width, height }, options], given === image ? [] : [data.buffer]);
    }
    return this.call("predict", [given, options], [given]);
  }

  end(reason) {
    this.ended = reason;
    for (const { reject } of this.asked.values()) reject(new MobilenetError(reason));
    this.asked.clear();
    this.worker.terminate();
  }

  close() {
    this.end("the model was closed");
  }
}
