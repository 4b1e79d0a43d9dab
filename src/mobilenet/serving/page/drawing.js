// An image and its answer on a canvas. Knows neither cameras nor where answers come from.

const TINT = 0.45; // opacity of a class in a mask
const MAX_MASK_SIDE = 1024;
const FONT = "600 14px system-ui, sans-serif";
const TAG_HEIGHT = 22;
const PADDING = 6;

export class Palette {
  // {colors, texts}: for each class the colors of its first, second ... object, and of letters on them
  constructor({ colors, texts }) {
    this.colors = colors;
    this.texts = texts;
  }

  of(index, number = 0) {
    const shades = this.colors[index % this.colors.length];
    return shades[number % shades.length];
  }

  textOn(index, number = 0) {
    const shades = this.texts[index % this.texts.length];
    return shades[number % shades.length];
  }
}

export const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

// The predictions that a threshold leaves, each with the number among those of its class.
export function shown(answer, threshold) {
  const seen = new Map();
  const left = [];
  for (const prediction of answer?.predictions ?? []) {
    if (prediction.score < threshold) continue;
    const number = seen.get(prediction.index) ?? 0;
    seen.set(prediction.index, number + 1);
    left.push({ ...prediction, number });
  }
  return left;
}

export class Scene {
  constructor(canvas, palette) {
    this.canvas = canvas;
    this.palette = palette;
    this.tinted = null; // the mask that was tinted last, and how
  }

  // bitmap: the image. answer: of it, or null. predictions: of `shown`. chosen: the one to point out, or null.
  draw(bitmap, answer, predictions, chosen, background) {
    const room = this.canvas.parentElement;
    const ratio = window.devicePixelRatio || 1;
    const maxHeight = Math.max(240, 0.72 * window.innerHeight);
    const width = Math.min(room.clientWidth, (maxHeight * bitmap.width) / bitmap.height);
    const height = (width * bitmap.height) / bitmap.width;
    const pixels = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== pixels[0] || this.canvas.height !== pixels[1]) [this.canvas.width, this.canvas.height] = pixels;
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.imageSmoothingQuality = "high";
    pen.drawImage(bitmap, 0, 0, ...pixels);
    pen.setTransform(pixels[0] / width, 0, 0, pixels[1] / height, 0, 0);
    if (!answer) return;
    const place = { pen, width, height, scale: width / answer.width, taken: [] };
    if (answer.task === "segmentation") this.drawMask(place, answer, predictions, chosen, background);
    else if (answer.task === "detection") this.drawBoxes(place, predictions, chosen);
    else this.drawLabels(place, predictions.slice(0, 3));
  }

  drawBoxes(place, predictions, chosen) {
    const { pen, scale } = place;
    const area = ({ box: [x0, y0, x1, y1] }) => (x1 - x0) * (y1 - y0);
    pen.lineJoin = "round";
    for (const each of [...predictions].sort((a, b) => area(b) - area(a))) {
      const [x0, y0, x1, y1] = each.box.map((side) => side * scale);
      const faded = chosen !== null && chosen !== each.rank;
      pen.globalAlpha = faded ? 0.35 : 1;
      for (const [color, line] of [["rgb(0 0 0 / 55%)", 5], [this.palette.of(each.index, each.number), 3]]) {
        pen.strokeStyle = color;
        pen.lineWidth = line;
        pen.strokeRect(x0 + 1.5, y0 + 1.5, Math.max(x1 - x0 - 3, 1), Math.max(y1 - y0 - 3, 1));
      }
    }
    for (const each of predictions) {
      const [x0, y0, , y1] = each.box.map((side) => side * scale);
      const faded = chosen !== null && chosen !== each.rank;
      pen.globalAlpha = faded ? 0.35 : 1;
      const spots = [[x0, y0 - TAG_HEIGHT], [x0, y0], [x0, y1], [x0, y1 - TAG_HEIGHT]];
      this.tag(place, `${each.label} ${percent(each.score)}`, each, spots);
    }
    pen.globalAlpha = 1;
  }

  drawLabels(place, predictions) {
    let y = place.height - PADDING - TAG_HEIGHT * predictions.length - 3 * (predictions.length - 1);
    for (const each of predictions) {
      this.tag(place, `${each.label} ${percent(each.score)}`, each, [[PADDING, y]]);
      y += TAG_HEIGHT + 3;
    }
  }

  // A tag at the first of the spots where it fits and covers no other; without room it is left out.
  tag({ pen, width, height, taken }, text, { index, number }, spots) {
    pen.font = FONT;
    const wide = Math.min(pen.measureText(text).width + 2 * PADDING, width);
    for (const [left, top] of spots) {
      const x = Math.min(Math.max(left, 0), width - wide);
      if (top < 0 || top + TAG_HEIGHT > height) continue;
      if (taken.some(([a, b, c]) => x < a + c && x + wide > a && Math.abs(top - b) < TAG_HEIGHT)) continue;
      taken.push([x, top, wide]);
      pen.fillStyle = this.palette.of(index, number);
      pen.beginPath();
      pen.roundRect(x, top, wide, TAG_HEIGHT, 4);
      pen.fill();
      pen.fillStyle = this.palette.textOn(index, number);
      pen.textBaseline = "middle";
      pen.fillText(text, x + PADDING, top + TAG_HEIGHT / 2 + 0.5, width - 2 * PADDING);
      return;
    }
  }

  drawMask(place, { mask }, predictions, chosen, background) {
    if (!mask) return;
    const drawn = predictions.filter(({ index }) => index !== background);
    const one = drawn.find(({ rank }) => rank === chosen);
    const classes = (one ? [one] : drawn).map(({ index }) => index);
    const key = classes.join();
    if (this.tinted?.mask !== mask || this.tinted.key !== key) {
      this.tinted = { mask, key, canvas: tint(mask, new Set(classes), this.palette) };
    }
    const { pen, width, height } = place;
    pen.drawImage(this.tinted.canvas, 0, 0, width, height);
    this.drawLabels(place, drawn.map((each) => ({ ...each, number: 0, score: each.share })));
  }
}

// A canvas of the mask with these classes tinted and outlined, and nothing elsewhere.
function tint({ width, height, classes }, visible, palette) {
  const step = Math.max(1, Math.max(width, height) / MAX_MASK_SIDE);
  const [columns, rows] = [Math.max(1, Math.floor(width / step)), Math.max(1, Math.floor(height / step))];
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [columns, rows];
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(columns, rows);
  const colors = new Map([...visible].map((index) => [index, numbers(palette.of(index))]));
  const reach = Math.max(1, Math.round(Math.max(columns, rows) / 350));
  const at = (x, y) => {
    if (x < 0 || y < 0 || x >= columns || y >= rows) return -1;
    return classes[Math.floor((y + 0.5) * step) * width + Math.floor((x + 0.5) * step)];
  };
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const index = at(x, y);
      const color = colors.get(index);
      if (!color) continue;
      const inside = [at(x - reach, y), at(x + reach, y), at(x, y - reach), at(x, y + reach)].every((i) => i === index || i === -1);
      const place = 4 * (y * columns + x);
      image.data.set(color, place);
      image.data[place + 3] = inside ? 255 * TINT : 255;
    }
  }
  pen.putImageData(image, 0, 0);
  return canvas;
}

const numbers = (color) => [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
