// The core in WebAssembly, in the thread that calls it. `mobilenet.js` puts it into a worker.

export class MobilenetError extends Error {}

// Two little modules: one with an instruction of SIMD128, one with an instruction of relaxed SIMD.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253,
  128, 2, 11];
const has = (bytes) => WebAssembly.validate(new Uint8Array(bytes));

export const CARD = "model.json";
export const PROGRAM = "model.program";
export const WEIGHTS = "model.weights";
const FORMAT = 1; // of the card
const MAX_DETECTIONS = 10_000;

// The answer of a server, or a file of node's: browsers load none.
async function responseOf(url) {
  if (url.protocol === "file:") {
    const { readFile } = await import("node:fs/promises");
    const bytes = await readFile(url).catch((error) => {
      throw new MobilenetError(`${url}: ${error.message}`);
    });
    return new Response(bytes);
  }
  const response = await fetch(url).catch((error) => {
    throw new MobilenetError(`${url}: cannot be fetched: ${error.message}`);
  });
  if (!response.ok) throw new MobilenetError(`${url}: the server answered ${response.status}`);
  return response;
}

const bytesOf = async (url) => new Uint8Array(await (await responseOf(url)).arrayBuffer());

// The module for this engine: "wasmrelaxed" where it has fused multiply-adds, else "wasm". Compiled while it arrives, if the server
// says what it is.
async function compiled(isa) {
  if (!has(SIMD)) throw new MobilenetError("this browser has no SIMD in WebAssembly; Chrome 91, Firefox 89 and Safari 16.4 have");
  const relaxed = isa ? isa === "wasmrelaxed" : has(RELAXED);
  const url = relaxed ? new URL("./mobilenet-relaxed.wasm", import.meta.url) : new URL("./mobilenet-simd.wasm", import.meta.url);
  const response = await responseOf(url);
  if (response.headers.get("content-type") === "application/wasm") return WebAssembly.compileStreaming(response);
  return WebAssembly.compile(await response.arrayBuffer());
}

export class Engine {
  // folder: URL of what `mobilenet export --to web` wrote. isa: "wasm" or "wasmrelaxed" to choose the module.
  static async load(folder, { isa } = {}) {
    const [module, card, program, weights] = await Promise.all([
      compiled(isa),
      ...[CARD, PROGRAM].map((name) => bytesOf(new URL(name, folder))),
      responseOf(new URL(WEIGHTS, folder)), // its first bytes: the others go where the core reads them
    ]);
    const parsed = JSON.parse(new TextDecoder().decode(card));
    if (parsed.format !== FORMAT) {
      throw new MobilenetError(`${folder}: format ${parsed.format}; this package reads ${FORMAT}; export the model again`);
    }
    const engine = new Engine(await WebAssembly.instantiate(module, imports()), parsed);
    engine.open(program, await engine.received(weights));
    return engine;
  }

  constructor(instance, card) {
    this.card = card;
    this.core = instance.exports;
    current = this.core;
    this.core._initialize?.();
    this.stack = this.core.__stack_pointer?.value;
  }

  // The weights of a response, in the core's memory.
  async received(response) {
    const { weights_bytes: expected } = this.card;
    const place = this.room(expected);
    let count = 0;
    const reader = response.body.getReader();
    for (let part; !(part = await reader.read()).done; count += part.value.length) {
      if (count + part.value.length > expected) throw new MobilenetError(`weights: more bytes than the ${expected} of ${CARD}`);
      this.view(Uint8Array, place + count, part.value.length).set(part.value);
    }
    if (count < expected) throw new MobilenetError(`weights: ${count} bytes of the ${expected} that ${CARD} says`);
    return place;
  }

  // `weights`: where they are. They are packed anew, and their place is free again.
  open(program, weights) {
    const { card } = this;
    const place = this.room(program.length);
    this.view(Uint8Array, place, program.length).set(program);
    this.model = this.made((made) => this.call("mobilenet_load", place, program.length, weights, card.weights_bytes, made));
    this.core.free(place);
    this.core.free(weights);
    this.isa = this.text(this.core.mobilenet_isa(this.model));
    this.labels = this.readLabels();
    this.card = { ...card, activation_bytes: this.arenaBytes() };
    this.outputs = this.readOutputs();
    const [height, width] = card.resolution;
    this.input = this.room(3 * height * width * 4);
    this.places = this.room(4 * this.outputs.length); // pointers, as mobilenet_run takes them
    this.outputs.forEach((output, i) => (this.view(Uint32Array, this.places, this.outputs.length)[i] = output.at));
    this.runner = this.made((place) => this.call("mobilenet_runner_new", this.model, 0, 0, place));
    if (card.task === "detection") this.prepareBoxes();
  }

  // pixels: {data: bytes of red, green, blue and one that is not read, width, height}
  predict({ data, width, height }, { threshold, top } = {}) {
    const start = performance.now();
    this.prepare(data, width, height);
    const prepared = performance.now();
    this.call("mobilenet_run", this.runner, this.input, this.places);
    const ran = performance.now();
    const answer = this.answer(width, height, threshold, top);
    const end = performance.now();
    const milliseconds = { prepare: prepared - start, network: ran - prepared, decode: end - ran, all: end - start };
    return { task: this.card.task, width, height, ...answer, milliseconds };
  }

  // The outputs by name for an input, 3 * height * width floats.
  run(input) {
    const [height, width] = this.card.resolution;
    if (input.length !== 3 * height * width) throw new MobilenetError(`input of ${input.length} floats: must be ${3 * height * width}`);
    this.view(Float32Array, this.input, input.length).set(input);
    this.call("mobilenet_run", this.runner, this.input, this.places);
    return Object.fromEntries(this.outputs.map((output) => [output.name, this.view(Float32Array, output.at, output.size).slice()]));
  }

  prepare(data, width, height) {
    if (!(width > 0 && height > 0) || data.length !== 4 * width * height) {
      throw new MobilenetError(`pixels: ${data.length} bytes for ${width} x ${height}; must be 4 for each pixel`);
    }
    const place = this.room(data.length);
    try {
      this.view(Uint8Array, place, data.length).set(data);
      this.call("mobilenet_prepare", this.model, place, width, height, 4, 4 * width, this.input);
    } finally {
      this.core.free(place);
    }
  }

  answer(width, height, threshold, top) {
    switch (this.card.task) {
      case "classification":
        return this.classes(threshold ?? 0, top ?? 5);
      case "detection":
        return this.detections(width, height, threshold ?? 0.5, top ?? Infinity);
      case "segmentation":
        return this.segments(width, height, threshold ?? 0, top ?? Infinity);
      default:
        throw new MobilenetError(`task ${this.card.task}: this package does not know it`);
    }
  }

  classes(threshold, top) {
    const [logits] = this.outputs.map(({ at, size }) => this.view(Float32Array, at, size));
    const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    if (!Number.isFinite(highest) || logits.some(Number.isNaN)) throw new MobilenetError("an output is not finite");
    const powers = Array.from(logits, (logit) => Math.exp(logit - highest));
    const total = powers.reduce((a, b) => a + b, 0);
    const order = [...powers.keys()].sort((a, b) => powers[b] - powers[a] || a - b);
    const predictions = order.slice(0, top).map((index) => ({ label: this.labels[index], index, score: powers[index] / total }));
    return { predictions: predictions.filter(({ score }) => score >= threshold) };
  }

  // The part of the input that shows an image: all of it, except where it is padded. Python rounds halves to even.
  content(width, height) {
    const [rows, columns] = this.card.resolution;
    const { fit, enlarge } = this.card.preprocessing;
    if (fit !== "pad") return [columns, rows];
    const scale = Math.min(columns / width, rows / height, enlarge ?? Infinity);
    const rounded = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
    const within = (x, most) => Math.min(Math.max(rounded(x), 1), most);
    return [within(width * scale, columns), within(height * scale, rows)];
  }

  prepareBoxes() {
    const { heads, decoding, default_boxes: defaults } = this.card;
    const named = Object.fromEntries(this.outputs.map((output) => [output.name, output]));
    const maps = heads.classes.map((name, i) => ({ logits: named[name], codes: named[heads.boxes[i]] }));
    const written = (Type, values) => {
      const place = this.room(values.length * Type.BYTES_PER_ELEMENT);
      this.view(Type, place, values.length).set(values);
      return place;
    };
    // Classes without a name are left out afterwards: they do not suppress the others.
    const most = this.card.classes ? MAX_DETECTIONS : decoding.max_detections;
    const doubles = new Float64Array(Uint8Array.from(atob(defaults), (letter) => letter.charCodeAt(0)).buffer);
    this.boxes = {
      maps: maps.length,
      logits: written(Uint32Array, maps.map(({ logits }) => logits.at)),
      codes: written(Uint32Array, maps.map(({ codes }) => codes.at)),
      cells: written(Int32Array, maps.map(({ codes }) => codes.height * codes.width)),
      anchors: written(Int32Array, maps.map(({ codes }) => codes.channels / 4)),
      defaults: written(Float64Array, doubles),
      slots: (4 * maps[0].logits.channels) / maps[0].codes.channels,
      most,
      found: this.room(4 * 6 * most),
      numbers: this.card.classes && new Map(this.card.classes.map((index, number) => [index, number])),
    };
  }

  detections(width, height, threshold, top) {
    const { boxes: b, card } = this;
    const { scores, codes, iou, max_detections: most, max_candidates: candidates } = card.decoding;
    const [columns, rows] = this.content(width, height);
    const window = [(card.resolution[1] * width) / columns, (card.resolution[0] * height) / rows];
    const count = this.guarded(
      "mobilenet_web_detections", b.maps, b.logits, b.codes, b.cells, b.anchors, b.defaults, b.slots, scores === "softmax",
      codes === "yxhw", threshold, iou, b.most, candidates ?? 0, width, height, ...window, b.found,
    );
    if (count < 0) throw new MobilenetError("an output is not finite");
    const found = this.view(Float32Array, b.found, 6 * count);
    const predictions = Array.from({ length: count }, (_, i) => {
      const [x0, y0, x1, y1, score, index] = found.subarray(6 * i, 6 * i + 6);
      return { label: this.labels[index], index: b.numbers ? b.numbers.get(index) : index, score, box: [x0, y0, x1, y1] };
    });
    return { predictions: predictions.filter(({ index }) => index !== undefined).slice(0, Math.min(most, top)) };
  }

  segments(width, height, threshold, top) {
    const [{ at, channels, height: rows, width: pitch }] = this.outputs;
    const [partWidth, partHeight] = this.content(width, height);
    const mask = this.room(width * height + 4 * channels + 4);
    const confidence = mask + width * height + ((4 - ((width * height) % 4)) % 4);
    try {
      const given = [at, channels, rows, pitch, partWidth, partHeight, width, height, mask, confidence];
      const finite = this.guarded("mobilenet_web_segments", ...given);
      if (!finite) throw new MobilenetError("an output is not finite");
      const classes = this.view(Uint8Array, mask, width * height).slice();
      const scores = this.view(Float32Array, confidence, channels);
      const counts = new Array(channels).fill(0);
      for (const index of classes) counts[index]++;
      const order = [...counts.keys()].sort((a, b) => counts[b] - counts[a] || a - b);
      const predictions = order
        .filter((index) => counts[index] && index !== this.card.background)
        .slice(0, top)
        .map((index) => ({ label: this.labels[index], index, score: scores[index], share: counts[index] / classes.length }));
      return { predictions: predictions.filter(({ score }) => score >= threshold), mask: { width, height, classes } };
    } finally {
      this.core.free(mask);
    }
  }

  // ---- the core's memory

  view(Type, at, count) {
    return new Type(this.core.memory.buffer, at, count); // memory that grows gets another buffer
  }

  room(bytes) {
    const place = this.core.malloc(bytes);
    if (!place) throw new MobilenetError(`no memory for ${bytes} bytes; give a smaller image`);
    return place;
  }

  text(at) {
    const bytes = new Uint8Array(this.core.memory.buffer);
    return new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at)));
  }

  // Calls a function of the core. Where it gives up, nothing is unwound: its stack is put back.
  guarded(name, ...rest) {
    current = this.core;
    try {
      return this.core[name](...rest);
    } catch (error) {
      if (this.stack !== undefined) this.core.__stack_pointer.value = this.stack;
      if (error instanceof WebAssembly.RuntimeError) throw new MobilenetError(`${name}: no memory is left, or the files are damaged`);
      throw error;
    }
  }

  // Calls a function of the C interface that returns a status. Throws MobilenetError if it fails.
  call(name, ...rest) {
    if (this.guarded(name, ...rest) !== 0) throw new MobilenetError(this.text(this.core.mobilenet_message()));
  }

  // The pointer that a function writes to a place.
  made(write) {
    const place = this.room(4);
    try {
      write(place);
      return this.view(Uint32Array, place, 1)[0];
    } finally {
      this.core.free(place);
    }
  }

  readLabels() {
    const labels = [];
    for (let at; (at = this.core.mobilenet_label(this.model, labels.length)); ) labels.push(this.text(at));
    return labels;
  }

  arenaBytes() {
    const place = this.room(28); // mobilenet_info: five integers, arena_bytes, image_bytes
    this.core.mobilenet_describe(this.model, place);
    const bytes = this.view(Uint32Array, place, 7)[5];
    this.core.free(place);
    return bytes;
  }

  readOutputs() {
    const outputs = [];
    const place = this.room(16); // mobilenet_output: name, channels, height, width
    for (let i = 0; this.core.mobilenet_describe_output(this.model, i, place) === 0; i++) {
      const [name, channels, height, width] = this.view(Uint32Array, place, 4);
      const size = channels * height * width;
      outputs.push({ name: this.text(name), channels, height, width, size, at: this.room(4 * size) });
    }
    this.core.free(place);
    return outputs;
  }
}

// ---- what the core asks of JavaScript

let current; // the core that is running

// Messages are thrown. Of the system interface the C library mentions functions that are never called.
function imports() {
  const failed = (at) => {
    const bytes = new Uint8Array(current.memory.buffer);
    throw new MobilenetError(new TextDecoder().decode(bytes.subarray(at, bytes.indexOf(0, at))));
  };
  const absent = () => 52; // ENOSYS
  const environ_sizes_get = (count, bytes) => { // no environment variables
    const words = new DataView(current.memory.buffer);
    words.setUint32(count, 0, true);
    words.setUint32(bytes, 0, true);
    return 0;
  };
  const system = new Proxy({ environ_sizes_get, environ_get: () => 0 }, { get: (known, name) => known[name] ?? absent });
  return { env: new Proxy({ failed }, { get: (known, name) => known[name] ?? absent }), wasi_snapshot_preview1: system };
}
