// Numbers of what is seen: overlap of two masks, words at a pixel, words in a region.
import { cutAt, mapOf, reaches, valueAt, valueOf } from "./maps.js";

// As `measures.overlap`: IoU, and the shared part of the dependent's and of the head's area.
export function overlapOf(contents, a, b, threshold) {
  const cut = cutAt(contents, threshold);
  const counts = jointOf(a, b);
  let [head, dependent, both] = [0, 0, 0];
  for (let pair = 0; pair < 65536; pair++) {
    const [inA, inB] = [reaches(pair >> 8, cut), reaches(pair & 255, cut)];
    head += inA * counts[pair];
    dependent += inB * counts[pair];
    both += inA * inB * counts[pair];
  }
  const share = (whole) => (whole ? both / whole : 0);
  return { iou: share(head + dependent - both), iod: share(dependent), ioh: share(head) };
}

// How many pixels have which level in the one map and which in the other; the last pairs are known.
const pairs = [];

export function jointOf(a, b) {
  const known = pairs.find((pair) => pair.a === a && pair.b === b);
  if (known) return known.counts;
  const counts = pairs.length < 8 ? new Uint32Array(65536) : pairs.pop().counts.fill(0);
  countPairs(a.levels, b.levels, counts);
  pairs.unshift({ a, b, counts });
  return counts;
}

function countPairs(first, second, counts) {
  for (let i = 0; i < first.length; i++) counts[(first[i] << 8) | second[i]]++;
}

// The words by their share of what all words' maps have at a pixel; whether their masks have it.
export function wordsAt(contents, column, pixel, state) {
  const rows = [];
  for (let word = 0; word < contents.words.length; word++) {
    const found = column.has[word] ? valueAt(contents, column, word, pixel, state) : null;
    if (found) rows.push({ word, ...found });
  }
  const total = rows.reduce((sum, row) => sum + row.value, 0);
  for (const row of rows) row.share = total > 0 ? row.value / total : 0;
  return rows.sort((a, b) => b.share - a.share);
}

// The words by the share of their map that lies in a region; the IoU of their mask with it; and
// the lift: that share over the region's share of the image.
export function wordsIn(contents, column, region, state) {
  const cut = cutAt(contents, state.threshold);
  const rows = [];
  for (let word = 0; word < contents.words.length; word++) {
    const map = mapOf(contents, column, word, state);
    if (map === null) continue;
    const [top, left, bottom, right] = [0, 1, 2, 3].map((i) => (i < 2 ? Math.floor : Math.ceil)(region[i] / map.times));
    const area = (bottom - top) * (right - left);
    map.counts ??= countIn(map, [0, 0, map.height, map.width]);
    const cells = [top, left, bottom, right];
    if (map.within?.cells.join() !== cells.join()) map.within = { cells, counts: countsIn(map, cells) };
    const within = map.within.counts;
    let [part, total, mask, both] = [0, 0, 0, 0];
    for (let level = 0; level < 256; level++) {
      const value = valueOf(contents, map, level);
      part += within[level] * value;
      total += map.counts[level] * value;
      if (level >= cut) {
        mask += map.counts[level];
        both += within[level];
      }
    }
    const inside = total > 0 ? part / total : 0;
    const iou = area + mask - both > 0 ? both / (area + mask - both) : 0;
    rows.push({ word, inside, iou, lift: (inside * map.height * map.width) / area });
  }
  return rows.sort((a, b) => b.inside - a.inside);
}

// How many cells of a region have which level: from what is known of none, of all, or of the region
// before, whichever differs least.
function countsIn(map, region) {
  const none = { cells: [0, 0, 0, 0], counts: new Float64Array(256) };
  const all = { cells: [0, 0, map.height, map.width], counts: map.counts };
  const work = ({ cells }) => areaOf(outside(cells, region)) + areaOf(outside(region, cells));
  const known = [none, all, map.within ?? none].sort((a, b) => work(a) - work(b))[0];
  const counts = known.counts.slice();
  for (const part of outside(known.cells, region)) countIn(map, part, counts, -1);
  for (const part of outside(region, known.cells)) countIn(map, part, counts, 1);
  return counts;
}

// What of a region lies outside of another: above, below, left and right of what they share.
function outside([top, left, bottom, right], other) {
  const clip = (x, low, high) => Math.min(Math.max(x, low), high);
  const [above, below] = [clip(other[0], top, bottom), clip(other[2], top, bottom)];
  const [before, after] = [clip(other[1], left, right), clip(other[3], left, right)];
  return [
    [top, left, above, right], [below, left, bottom, right],
    [above, left, below, before], [above, after, below, right],
  ];
}

const areaOf = (regions) => regions.reduce((sum, [top, left, bottom, right]) => sum + (bottom - top) * (right - left), 0);

function countIn({ levels, width }, [top, left, bottom, right], counts = new Float64Array(256), by = 1) {
  for (let y = top; y < bottom; y++)
    for (let i = y * width + left, end = y * width + right; i < end; i++) counts[levels[i]] += by;
  return counts;
}
