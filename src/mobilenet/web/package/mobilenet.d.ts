/** What can be predicted from: anything that browsers can draw, or pixels of four bytes (red, green, blue, and one that is not read). */
export type Image =
  | ImageBitmapSource
  | { data: Uint8Array | Uint8ClampedArray; width: number; height: number };

export interface Prediction {
  label: string;
  /** Of the class in `labels`. */
  index: number;
  /** 0 to 1; of a segmenter the mean probability over the pixels of the class. */
  score: number;
  /** Of a detector: x0, y0, x1, y1 in pixels of the image. */
  box?: [number, number, number, number];
  /** Of a segmenter: the part of the image that the class covers, 0 to 1. */
  share?: number;
}

export interface Answer {
  task: "classification" | "detection" | "segmentation";
  /** Of the image, in pixels. */
  width: number;
  height: number;
  /** The best first; of a segmenter the largest first, without the background. */
  predictions: Prediction[];
  /** Of a segmenter: the class of every pixel, row by row. */
  mask?: { width: number; height: number; classes: Uint8Array };
  milliseconds: { prepare: number; network: number; decode: number; all: number };
}

export interface Card {
  name: string;
  task: Answer["task"];
  precision: "fp32" | "fp16" | "int8";
  /** Height and width of the network's input. */
  resolution: [number, number];
  background: number | null;
  threshold: number;
  activation_bytes: number;
  weights_bytes: number;
  [key: string]: unknown;
}

export interface Model {
  readonly name: string;
  readonly task: Answer["task"];
  readonly labels: string[];
  readonly card: Card;
  /** "wasm", or "wasmrelaxed" where the engine has fused multiply-adds. */
  readonly isa: string;
  /**
   * @param options.threshold the lowest score; by default 0.5 for a detector, else 0.
   * @param options.top the most predictions; by default 5 for a classifier, else all.
   * @throws MobilenetError
   */
  predict(image: Image, options?: { threshold?: number; top?: number }): Promise<Answer>;
  /** Ends the worker. */
  close(): void;
}

export class MobilenetError extends Error {}

/**
 * A model from the folder that `mobilenet export MODEL --to web` wrote.
 *
 * @param options.worker whether the network runs in a worker, so that the page stays responsive; by default where there are workers.
 * @param options.isa "wasm" or "wasmrelaxed", to choose in place of the engine's best.
 * @throws MobilenetError
 */
export function load(url: string | URL, options?: { worker?: boolean; isa?: "wasm" | "wasmrelaxed" }): Promise<Model>;
