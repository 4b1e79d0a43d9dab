// The page: what the user gives, what is asked, what is shown.

import { CAMERA_HINT, ask, memory, models } from "./answers.js";
import { Camera, CameraError } from "./camera.js";
import { Palette, Scene, percent, shown } from "./drawing.js";

const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const camera = new Camera(find("video"), CAMERA_HINT);
const MAX_LISTED = 30;
const SAY_EVERY = 3000; // milliseconds between two announcements while the camera runs
const MEMORY_EVERY = 2000;
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

const state = {
  known: [], // models that answer
  model: null,
  image: null, // {bitmap, name}, and its file, or encode() -> file
  answer: null,
  chosen: null, // rank of the prediction that is pointed out
  asking: null, // AbortController of the question under way
  rate: 0, // images per second of the camera
  memory: null,
};
const times = { said: 0, memory: -MEMORY_EVERY };
let scene;

async function start() {
  const [known, palette] = await Promise.all([models(), fetch("palette.json").then((response) => response.json())]);
  scene = new Scene(canvas, new Palette(palette));
  state.known = known;
  listModels();
  choose(known[0]);
}

function listModels() {
  const choices = state.known.map((model, place) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "model", value: model.name });
    input.checked = place === 0;
    input.addEventListener("change", () => choose(model));
    const name = Object.assign(document.createElement("span"), { className: "name", textContent: model.name });
    const task = Object.assign(document.createElement("span"), { className: "task", textContent: model.task });
    label.append(input, name, task);
    return label;
  });
  find("models").querySelector(".loading").replaceWith(...choices);
}

function choose(model) {
  const changed = state.model?.task !== model.task;
  state.model = model;
  if (changed) find("threshold").value = Math.round(100 * (model.task === "classification" ? 0.01 : model.threshold));
  state.answer = null;
  show();
  if (state.image && !camera.on) question();
}

// Asks for the image at hand. A new question ends the one before.
async function question() {
  state.asking?.abort();
  const asking = (state.asking = new AbortController());
  const { model, image } = state;
  const slow = setTimeout(() => (find("busy").hidden = false), 300);
  try {
    const answer = await ask(model, image, asking.signal);
    if (asking.signal.aborted || model !== state.model) return;
    Object.assign(state, { answer, chosen: null });
    complain("");
    show();
    say();
    if (performance.now() - times.memory >= MEMORY_EVERY) readMemory();
  } catch (error) {
    if (error.name === "AbortError" || asking.signal.aborted) return;
    state.answer = null;
    show();
    complain(error.message);
    throw error;
  } finally {
    clearTimeout(slow);
    if (state.asking === asking) {
      state.asking = null;
      find("busy").hidden = true;
    }
  }
}

async function readMemory() {
  times.memory = performance.now();
  try {
    state.memory = await memory();
  } catch {
    state.memory = null;
  }
  showFigures();
}

async function give(file, name) {
  stopCamera();
  complain("");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    complain(`${name} cannot be shown: this browser knows no image of this kind. Save it as JPEG or PNG.`);
    return;
  }
  Object.assign(state, { image: { file, bitmap, name }, answer: null, chosen: null });
  show();
  await question().catch(() => {});
}

// ---- what is shown

const least = () => Number(find("threshold").value) / 100;

function visible() {
  return shown(state.answer, least()).map((prediction, rank) => ({ ...prediction, rank }));
}

function show() {
  const predictions = visible();
  find("threshold-shown").textContent = `${find("threshold").value} %`;
  find("empty").hidden = Boolean(state.image);
  listPredictions(predictions);
  if (state.image) {
    canvas.hidden = false;
    find("drop").classList.add("filled");
    paint(predictions);
  }
  showFigures();
  find("save").hidden = !state.answer || camera.on;
}

function paint(predictions = visible()) {
  if (!state.image || !scene) return;
  scene.draw(state.image.bitmap, state.answer, predictions, state.chosen, state.model?.background ?? null);
  canvas.setAttribute("aria-label", `${state.image.name}. ${inWords(predictions)}`);
}

function inWords(predictions) {
  if (!state.answer) return "No answer yet";
  const named = predictions.slice(0, 5).map(({ label, score, share }) => `${label} ${percent(share ?? score)}`);
  const more = predictions.length > 5 ? ` and ${predictions.length - 5} more` : "";
  return named.length ? named.join(", ") + more : find("nothing").textContent;
}

function say() {
  const now = performance.now();
  if (camera.on && now - times.said < SAY_EVERY) return;
  times.said = now;
  find("said").textContent = inWords(visible());
}

function listPredictions(predictions) {
  const list = find("predictions");
  const rows = predictions.slice(0, MAX_LISTED).map((prediction) => row(prediction));
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...rows);
  if (focused >= 0) list.querySelectorAll("button")[Math.min(focused, rows.length - 1)]?.focus();
  const nothing = find("nothing");
  nothing.hidden = rows.length > 0;
  const found = state.answer?.task === "segmentation" ? "Background only." : "Nothing above the least score.";
  nothing.textContent = state.answer ? found : state.image ? "" : "Nothing yet: give the model an image.";
}

function row(prediction) {
  const { label, index, number, score, share, rank } = prediction;
  const item = document.createElement("li");
  const points = state.answer.task !== "classification";
  const line = document.createElement(points ? "button" : "div");
  line.className = "row";
  const swatch = Object.assign(document.createElement("span"), { className: "swatch" });
  const isBackground = state.answer.task === "segmentation" && index === state.model.background;
  swatch.style.background = isBackground ? "transparent" : scene.palette.of(index, share === undefined ? number : 0);
  const name = Object.assign(document.createElement("span"), { className: "label", textContent: label });
  const value = Object.assign(document.createElement("span"), { className: "score", textContent: percent(score) });
  const bar = Object.assign(document.createElement("span"), { className: "bar" });
  bar.style.setProperty("--share", score);
  line.append(swatch, name, value, bar);
  if (share !== undefined) {
    line.append(Object.assign(document.createElement("span"), { className: "part", textContent: `${percent(share)} of the image` }));
  }
  if (points) {
    line.type = "button";
    const point = (chosen) => {
      if (state.chosen === chosen) return;
      state.chosen = chosen;
      paint();
    };
    line.addEventListener("pointerenter", () => point(rank));
    line.addEventListener("pointerleave", () => point(null));
    line.addEventListener("focus", () => point(rank));
    line.addEventListener("blur", () => point(null));
  }
  item.append(line);
  return item;
}

const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 * 10 ? 1 : 0)} MiB`;

function showFigures() {
  const { answer, model, image } = state;
  const figures = [];
  if (answer) {
    const { network, queue, all } = answer.milliseconds;
    figures.push(["Network", `${network.toFixed(1)} ms`], ["Question to answer", `${all.toFixed(0)} ms`]);
    if (queue > 20) figures.push(["In the queue", `${queue.toFixed(0)} ms`]);
    if (camera.on && state.rate) figures.push(["Camera", `${state.rate.toFixed(1)} images/s`]);
    figures.push(["Image", `${answer.width} × ${answer.height} px`]);
  }
  if (model) {
    figures.push(["Network's input", `${model.resolution[1]} × ${model.resolution[0]} px`]);
    figures.push(["Activations", mebibytes(model.activation_bytes)], ["Weights", `${mebibytes(model.weights_bytes)}, ${model.precision}`]);
  }
  if (state.memory && image) figures.push(["Server's memory", mebibytes(state.memory)]);
  const cells = figures.map(([term, value]) => {
    const pair = document.createElement("div");
    pair.append(Object.assign(document.createElement("dt"), { textContent: term }));
    pair.append(Object.assign(document.createElement("dd"), { textContent: value }));
    return pair;
  });
  find("figures").replaceChildren(...cells);
}

function complain(message) {
  const error = find("error");
  error.hidden = !message;
  if (error.textContent !== message) error.textContent = message;
}

// ---- the camera

async function runCamera() {
  let before = performance.now();
  while (camera.on) {
    const frame = await camera.frame();
    if (!frame) {
      await pause(30);
      continue;
    }
    if (!camera.on) return;
    const last = state.image?.bitmap;
    state.image = { ...frame, name: "Camera" };
    try {
      await question();
      const now = performance.now();
      const rate = 1000 / (now - before);
      state.rate = state.rate ? 0.85 * state.rate + 0.15 * rate : rate;
      before = now;
    } catch (error) {
      await pause(1000 * (error.retrySeconds ?? 2));
    }
    if (last && last !== state.image?.bitmap) last.close();
  }
}

async function toggleCamera() {
  if (camera.on) return stopCamera();
  complain("");
  const button = find("camera");
  button.disabled = true;
  try {
    await camera.start();
    state.rate = 0;
    showCamera();
    runCamera();
    find("turn").hidden = (await camera.count()) < 2;
  } catch (error) {
    camera.stop();
    complain(error instanceof CameraError ? error.message : `The camera did not start: ${error.message}`);
  } finally {
    button.disabled = false;
    showCamera();
  }
}

function stopCamera() {
  camera.stop();
  find("turn").hidden = true;
  showCamera();
  find("save").hidden = !state.answer;
}

function showCamera() {
  const button = find("camera");
  button.setAttribute("aria-pressed", String(camera.on));
  button.textContent = camera.on ? "Stop the camera" : "Use the camera";
}

// ---- what the user does

find("file").addEventListener("change", ({ target }) => {
  const [file] = target.files;
  target.value = "";
  if (file) give(file, file.name);
});
for (const button of document.querySelectorAll("[data-sample]")) {
  button.addEventListener("click", async () => {
    const name = button.dataset.sample;
    give(await (await fetch(name)).blob(), name);
  });
}
find("camera").addEventListener("click", toggleCamera);
find("turn").addEventListener("click", () => camera.turn().catch((error) => complain(error.message)));
find("threshold").addEventListener("input", () => {
  state.chosen = null;
  show();
});
find("threshold").addEventListener("change", say);
find("save").addEventListener("click", () => {
  canvas.toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob) });
    link.download = `${state.image.name.replace(/\.[^.]*$/, "")}-${state.model.name}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
});

const imageIn = (items) => [...(items ?? [])].find((file) => file.type.startsWith("image/"));
document.addEventListener("paste", (event) => {
  const file = imageIn(event.clipboardData?.files);
  if (file) give(file, file.name || "Pasted image");
});
let dragging = 0;
const highlight = (on) => find("drop").classList.toggle("over", on);
document.addEventListener("dragenter", () => highlight((dragging += 1) > 0));
document.addEventListener("dragleave", () => highlight((dragging -= 1) > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  highlight(Boolean((dragging = 0)));
  const files = [...event.dataTransfer.files];
  const file = imageIn(files) ?? files[0];
  if (file) give(file, file.name);
  else complain("What was dropped is no file. Drop an image from a folder.");
});
let resizing = 0;
new ResizeObserver(() => {
  cancelAnimationFrame(resizing);
  resizing = requestAnimationFrame(() => paint());
}).observe(find("drop"));
document.addEventListener("visibilitychange", () => {
  if (document.hidden && camera.on) stopCamera(); // nobody looks
});

start().catch((error) => {
  find("models").querySelector(".loading")?.remove();
  complain(error.message);
});
