// node outputs.mjs FOLDER [ISA]: runs an export for the browser. Frames come on standard input, answers go to standard output.
//
// A frame is two words of 32 bits. 0 and n: n floats, the input of the network; the answer is all outputs' floats. A width and a
// height: an image, four bytes for each pixel; the answer is a word, the length of the JSON behind it, and the mask's bytes.
import { readSync, writeSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [, , path, isa] = process.argv;
const folder = pathToFileURL(`${path}/`);
const { Engine } = await import(new URL("mobilenet/engine.js", folder));

function read(size) {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const count = readSync(0, bytes, at, size - at);
    if (count === 0) process.exit(0);
    at += count;
  }
  return bytes;
}

function write(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

const word = (value) => new Uint8Array(new Uint32Array([value]).buffer);

try {
  const engine = await Engine.load(folder, { isa });
  write(word(0x6d626e77)); // ready
  for (;;) {
    const [width, height] = new Uint32Array(read(8).buffer);
    if (width === 0) {
      const outputs = engine.run(new Float32Array(read(4 * height).buffer));
      for (const name in outputs) write(new Uint8Array(outputs[name].buffer));
    } else {
      const { mask, ...answer } = engine.predict({ data: read(4 * width * height), width, height }, { threshold: 0, top: 100 });
      const json = new TextEncoder().encode(JSON.stringify({ ...answer, isa: engine.isa }));
      write(word(json.length));
      write(json);
      if (mask) write(mask.classes);
    }
  }
} catch (error) {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}
