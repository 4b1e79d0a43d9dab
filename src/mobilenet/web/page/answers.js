// Where answers come from: the model beside this page, run by this browser. See the server's module of this name for the functions.
import { load } from "./mobilenet/mobilenet.js";

export const CAMERA_HINT = "Put this page on such a server.";

const WISHES = { classification: { top: 10 }, detection: { threshold: 0.05 }, segmentation: {} };
let loaded;

export class AnswerError extends Error {}

const model = () => (loaded ??= load("."));

export async function models() {
  if (location.protocol === "file:") throw new AnswerError("Browsers run no page from a file: serve this folder (python -m http.server).");
  navigator.serviceWorker?.register("offline.js").catch(() => {}); // without it the page needs its server
  const { card } = await model();
  return [card];
}

export async function memory() {
  return null;
}

// A file is decoded again, with its colors as they stand in it. A frame of the camera is taken as it is.
export async function ask(_, image, signal) {
  const start = performance.now();
  const network = await model();
  signal.throwIfAborted();
  const answer = await network.predict(image.file ?? image.bitmap, WISHES[network.task]);
  const queue = 0;
  return { ...answer, milliseconds: { network: answer.milliseconds.network, queue, all: performance.now() - start } };
}
