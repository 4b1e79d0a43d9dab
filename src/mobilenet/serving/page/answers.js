// Where answers come from: this server. A page without one replaces this module, and nothing else (src/mobilenet/web/page).
//
// models() -> [{name, task, labels, background, threshold, activation_bytes, weights_bytes, ...}]
// ask(model, image: {bitmap, and file or encode() -> file}, signal) -> Answer
// memory() -> bytes of the process that answers, or null
// CAMERA_HINT: what to do where the browser gives no camera
//
// Answer: {task, width, height, predictions: [{label, index, score, box?: [x0, y0, x1, y1], share?}], mask?: {width, height,
// classes: Uint8Array}, milliseconds: {network, queue, all}}; boxes and masks are in the image's own pixels.

export const CAMERA_HINT = "Start the server with --certificate.";

const QUERIES = {
  classification: "threshold=0&top=10",
  detection: "threshold=0.05&top=100",
  segmentation: "threshold=0&mask=runs",
};

export class AnswerError extends Error {
  constructor(message, status, retrySeconds) {
    super(message);
    this.status = status;
    this.retrySeconds = retrySeconds;
  }
}

const address = (path) => new URL(path, document.baseURI);

async function json(path, options) {
  let response;
  try {
    response = await fetch(address(path), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AnswerError("The server cannot be reached. Is it still running?", 0, null);
  }
  let value;
  try {
    value = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new AnswerError(`The server answered ${response.status} without words.`, response.status, null);
  }
  if (!response.ok) {
    const retry = Number(response.headers.get("Retry-After")) || null;
    throw new AnswerError(value.error ?? `The server answered ${response.status}.`, response.status, retry);
  }
  return value;
}

export async function models() {
  return (await json("v1/models")).models;
}

export async function memory() {
  return (await json("v1/status")).memory_bytes || null;
}

export async function ask(model, image, signal) {
  const start = performance.now();
  const path = `v1/models/${encodeURIComponent(model.name)}/predict?${QUERIES[model.task]}`;
  const headers = { "Content-Type": "application/octet-stream" };
  const body = image.file ?? (await image.encode());
  const entry = await json(path, { method: "POST", body, headers, signal });
  const { network, queue } = entry.milliseconds;
  return {
    task: entry.task,
    width: entry.size[0],
    height: entry.size[1],
    predictions: entry.predictions,
    mask: entry.mask && expanded(entry.mask),
    milliseconds: { network, queue, all: performance.now() - start },
  };
}

function expanded({ width, height, classes, lengths }) {
  const pixels = new Uint8Array(width * height);
  let end = 0;
  for (let i = 0; i < classes.length; i++) {
    pixels.fill(classes[i], end, end + lengths[i]);
    end += lengths[i];
  }
  return { width, height, classes: pixels };
}
