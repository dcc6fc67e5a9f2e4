// Numbers of what is seen: overlap of two masks, words at a pixel, words in a region.
import { cutAt, mapOf, valueOf } from "./maps.js";

// As `measures.overlap`: IoU, and the shared part of the dependent's and of the head's area.
export function overlapOf(contents, a, b, threshold) {
  const cut = cutAt(contents, threshold);
  let head = 0;
  let dependent = 0;
  let both = 0;
  for (let i = 0; i < a.levels.length; i++) {
    const inA = a.levels[i] >= cut;
    const inB = b.levels[i] >= cut;
    head += inA;
    dependent += inB;
    both += inA && inB;
  }
  const share = (whole) => (whole ? both / whole : 0);
  return { iou: share(head + dependent - both), iod: share(dependent), ioh: share(head) };
}

// The words by their share of what all words' maps have at a pixel.
export function wordsAt(contents, column, [y, x], state) {
  const rows = knownMaps(contents, column, state).map(({ word, map }) => ({
    word,
    value: valueOf(contents, map, map.levels[y * column.width + x]),
  }));
  const total = rows.reduce((sum, row) => sum + row.value, 0);
  return rows
    .map((row) => ({ ...row, share: total > 0 ? row.value / total : 0 }))
    .sort((a, b) => b.share - a.share);
}

// The words by the share of their map that lies in a region; the IoU of their mask with it; and
// the lift: that share over the region's share of the image.
export function wordsIn(contents, column, region, state) {
  const [top, left, bottom, right] = region;
  const cut = cutAt(contents, state.threshold);
  const area = (bottom - top) * (right - left);
  return knownMaps(contents, column, state)
    .map(({ word, map }) => {
      let inside = 0;
      let total = 0;
      let mask = 0;
      let both = 0;
      for (let y = 0, i = 0; y < column.height; y++)
        for (let x = 0; x < column.width; x++, i++) {
          const within = y >= top && y < bottom && x >= left && x < right;
          const value = valueOf(contents, map, map.levels[i]);
          total += value;
          mask += map.levels[i] >= cut;
          if (within) {
            inside += value;
            both += map.levels[i] >= cut;
          }
        }
      const mass = total > 0 ? inside / total : 0;
      const iou = area + mask - both > 0 ? both / (area + mask - both) : 0;
      return { word, mass, iou, lift: (mass * column.height * column.width) / area };
    })
    .sort((a, b) => b.mass - a.mass);
}

function knownMaps(contents, column, state) {
  return contents.words
    .map((_, word) => ({ word, map: mapOf(contents, column, word, state) }))
    .filter(({ map }) => map !== null);
}
