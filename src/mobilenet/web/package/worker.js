// The engine in a worker: one message asks, one answers. Images come as bitmaps or as pixels.
import { Engine } from "./engine.js";
import { pixelsOfBitmap } from "./pixels.js";

let engine;

const calls = {
  async load(folder, options) {
    engine = await Engine.load(new URL(folder), options);
    return { card: engine.card, labels: engine.labels, isa: engine.isa };
  },
  predict(image, options) {
    return engine.predict(image.data ? image : pixelsOfBitmap(image), options);
  },
};

self.onmessage = async ({ data: { id, call, given } }) => {
  try {
    const value = await calls[call](...given);
    self.postMessage({ id, value }, value.mask ? [value.mask.classes.buffer] : []);
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};
