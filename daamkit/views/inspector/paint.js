// The image and what lies over it, as RGBA pixels. `painting.py` makes the same.
import { cutAt, mapOf, valueOf } from "./maps.js";

export const OPACITY = 0.65;
const mix = (over, under, opacity) => Math.floor(opacity * over + (1 - opacity) * under + 0.5);

// One map: its colours over the grey image, and a white line around what reaches the threshold.
export function paintHeat(contents, column, map, threshold, pixels) {
  const { levels } = map;
  const { grey } = column;
  const { table } = contents;
  const words = new Uint32Array(pixels.buffer); // a pixel at a time
  for (let i = 0; i < levels.length; i++) words[i] = table[levels[i] * 256 + grey[i]];
  const cut = cutAt(contents, threshold);
  const mask = new Uint8Array(levels.length);
  for (let i = 0; i < levels.length; i++) mask[i] = levels[i] >= cut ? 1 : 0;
  const line = outline(mask, column.height, column.width);
  for (let i = 0; i < line.length; i++) if (line[i]) words[i] = 0xffffffff;
}

// The colour of each level over each grey, as one number: alpha, blue, green, red.
export function mixHeat(heat) {
  const table = new Uint32Array((heat.length / 3) * 256);
  for (let i = 0; i < table.length; i++) {
    const at = 3 * (i >> 8);
    const red = mix(heat[at], i & 255, OPACITY);
    const green = mix(heat[at + 1], i & 255, OPACITY);
    const blue = mix(heat[at + 2], i & 255, OPACITY);
    table[i] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
  return table;
}

// Several words: the mask of each in its hue, in stripes where they overlap.
export function paintMasks(contents, column, maps, threshold, pixels) {
  const cut = cutAt(contents, threshold);
  const stripe = Math.max(2, Math.floor(Math.min(column.height, column.width) / 42));
  for (let y = 0, i = 0; y < column.height; y++)
    for (let x = 0; x < column.width; x++, i++) {
      const here = [];
      maps.forEach((map, k) => map && map.levels[i] >= cut && here.push(k));
      const hue = contents.hues[here[Math.floor((x + y) / stripe) % here.length] % 5];
      for (let c = 0; c < 3; c++)
        pixels[4 * i + c] = here.length ? mix(hue[c], column.grey[i], OPACITY) : column.grey[i];
    }
}

// What a column's map has more (one end) or less (the other) than the first column's.
export function paintDifference(contents, column, map, first, scale, pixels) {
  for (let i = 0; i < map.levels.length; i++) {
    const more = valueOf(contents, map, map.levels[i]) - valueOf(contents, first, first.levels[i]);
    const at = 127 + Math.round((scale > 0 ? more / scale : 0) * 127);
    for (let c = 0; c < 3; c++) pixels[4 * i + c] = contents.diverging[3 * at + c];
  }
}

// The largest difference from the first column in any of these: their common scale.
export function differenceScale(contents, columns, word, state) {
  const first = mapOf(contents, contents.columns[0], word, state);
  let scale = 0;
  for (const column of columns) {
    const map = mapOf(contents, column, word, state);
    if (!map || !first || map.levels.length !== first.levels.length) continue;
    for (let i = 0; i < map.levels.length; i++) {
      const more = valueOf(contents, map, map.levels[i]) - valueOf(contents, first, first.levels[i]);
      scale = Math.max(scale, Math.abs(more));
    }
  }
  return scale;
}

// A mask's pixels that touch the outside; two pixels wide on large images.
function outline(mask, height, width) {
  let inner = mask;
  for (let n = Math.max(1, Math.floor(Math.min(height, width) / 256)); n > 0; n--) {
    const next = inner.slice();
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++)
        if (inner[i]) {
          const above = y === 0 || inner[i - width];
          const below = y === height - 1 || inner[i + width];
          const before = x === 0 || inner[i - 1];
          const after = x === width - 1 || inner[i + 1];
          if (!(above && below && before && after)) next[i] = 0;
        }
    inner = next;
  }
  const line = new Uint8Array(mask.length);
  for (let i = 0; i < mask.length; i++) line[i] = mask[i] && !inner[i] ? 1 : 0;
  return line;
}
