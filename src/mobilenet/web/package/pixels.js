// From what a page has to pixels of four bytes, in the image's own size: the core resizes them as `mobilenet predict` does.

let canvas;

// Draws something on a canvas that stays in memory, and reads it.
export function pixelsOfBitmap(bitmap) {
  const { width, height } = bitmap;
  if (typeof OffscreenCanvas === "undefined") canvas ??= document.createElement("canvas");
  else canvas ??= new OffscreenCanvas(width, height);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "#fff"; // behind what is transparent
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  bitmap.close?.();
  return { data: pen.getImageData(0, 0, width, height).data, width, height };
}

// {data, width, height} as it is; anything else that browsers can show as a bitmap of our own.
export async function bitmapOf(image) {
  if (image?.data && image.width && image.height) return image;
  if (typeof createImageBitmap === "undefined") throw new TypeError("image: give {data, width, height}: this engine decodes no files");
  return createImageBitmap(image, { colorSpaceConversion: "none" });
}
