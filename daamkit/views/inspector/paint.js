// The image and what lies over it, as RGBA pixels. `painting.py` makes the same.
import { cutAt, mapOf, valueOf } from "./maps.js";

export const OPACITY = 0.65;
const mix = (over, under, opacity) => Math.floor(opacity * over + (1 - opacity) * under + 0.5);

// One map: its colours over the grey image, and a white line around what reaches the threshold.
export function paintHeat(contents, column, map, threshold, pixels) {
  const { heat } = contents;
  for (let i = 0; i < map.levels.length; i++)
    for (let c = 0; c < 3; c++)
      pixels[4 * i + c] = mix(heat[3 * map.levels[i] + c], column.grey[i], OPACITY);
  const cut = cutAt(contents, threshold);
  const mask = map.levels.map((level) => (level >= cut ? 1 : 0));
  const line = outline(mask, column.height, column.width);
  for (let i = 0; i < line.length; i++) if (line[i]) pixels.fill(255, 4 * i, 4 * i + 3);
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
        if (
          (y > 0 && !inner[i - width]) || (y < height - 1 && !inner[i + width]) ||
          (x > 0 && !inner[i - 1]) || (x < width - 1 && !inner[i + 1])
        )
          next[i] = 0;
    inner = next;
  }
  return mask.map((inside, i) => (inside && !inner[i] ? 1 : 0));
}
