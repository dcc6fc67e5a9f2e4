// The image and what lies over it, a pixel a number (alpha, blue, green, red). `painting.py` makes
// the same; over a step's preview nearly. Nothing is allocated for a pixel.
import { baseOf } from "./frames.js";
import { cellsOf, cutAt, highestOf, mapOf, reaches, sharesOf, timesTo, topOf, valueOf } from "./maps.js";
import { jointOf } from "./measures.js";

const [HEAT, HUE] = [0.65, 0.7]; // opacity over grey of a single map, and of a word's hue
const mix = (over, under, opacity) => Math.floor(opacity * over + (1 - opacity) * under + 0.5);
export const rgba = (red, green, blue) => (255 << 24) | (blue << 16) | (green << 8) | red;

// Words over a picture: the higher a word's map, the more the picture is grey in its hue. Where
// several masks lie on each other: stripes, or the one that is strongest there.
export function paintWords(contents, column, ground, shown, state, out) {
  const layers = shown.map(({ word, hue }) => layerOf(contents, column, word, hue, state)).filter((layer) => layer);
  const striped = state.pins.length > 0;
  const { picture, grey, width, height } = ground;
  out.set(picture);
  if (!layers.length) return;
  const cut = cutAt(contents, state.threshold);
  const masks = masksOf(layers, cut);
  const [{ map }] = layers;
  const times = timesOf(ground, map);
  const at = across(width, times);
  const stripe = Math.max(2, Math.floor(Math.min(height, width) / 42));
  for (let y = 0; y < height; y++) {
    const row = Math.floor(y / times);
    if (!layers.some((layer) => layer.highest[row] >= cut)) continue; // the picture alone
    for (let x = 0, i = y * width; x < width; x++, i++) {
      const cell = row * map.width + at[x];
      const here = masks[cell];
      if (here === 0) continue;
      let which = ALONE[here];
      if (which < 0 && striped) which = TURNS[here][Math.floor((x + y) / stripe) % TURNS[here].length];
      else if (which < 0) which = strongest(layers, here, cell);
      out[i] = tinted(picture[i], grey[i], layers[which], cell);
    }
  }
}

// Which of up to five layers have a pixel in their masks, a bit each: these layers, and the only one.
const TURNS = Array.from({ length: 32 }, (_, bits) => [0, 1, 2, 3, 4].filter((k) => bits & (1 << k)));
const ALONE = Int8Array.from(TURNS, (layers) => (layers.length === 1 ? layers[0] : -1));

function masksOf(layers, cut) {
  const cells = layers[0].levels.length;
  const masks = held("masks", Uint8Array, cells).fill(0);
  layers.forEach((layer, k) => addMask(masks, layer, cut, k));
  return masks;
}

function addMask(masks, { map: { width, height }, levels, highest }, cut, k) {
  for (let y = 0; y < height; y++)
    if (highest[y] >= cut)
      for (let i = y * width, end = i + width; i < end; i++) masks[i] |= reaches(levels[i], cut) << k;
}

function strongest(layers, here, i) {
  let best = 0;
  let most = -1;
  for (let k = 0; k < layers.length; k++) {
    if (!(here & (1 << k))) continue;
    const share = layers[k].shares[layers[k].levels[i]];
    if (share > most) {
      most = share;
      best = k;
    }
  }
  return best;
}

// Fills `out` with a picture under `fill(ground, pixels)`: the image, or, where that was kept, what the
// model meant it to be at the step, in the cells of the maps of parts.
export function over(column, { step }, out, fill) {
  const meant = column.meant.get(step);
  if (!meant) return fill(column, out);
  const ground = { ...cellsOf(column), ...meant };
  const cells = held("cells", Int32Array, ground.picture.length);
  fill(ground, cells);
  spread(cells, ground, out, column);
}

// Each cell as so many pixels a side.
function spread(cells, ground, out, { width, height }) {
  const at = across(width, ground.times);
  for (let y = 0; y < height; y++) {
    const [start, row] = [y * width, (y / ground.times) * ground.width];
    if (y % ground.times) out.copyWithin(start, start - width, start);
    else for (let x = 0; x < width; x++) out[start + x] = cells[row + at[x]];
  }
}

function layerOf(contents, column, word, hue, state) {
  const map = mapOf(contents, column, word, state);
  if (map === null) return null;
  const shares = sharesOf(contents, map, topOf(contents, column, word, state));
  const opacity = Uint8Array.from(shares, (share) => Math.floor(255 * share + 0.5));
  const tint = Int32Array.from({ length: 256 }, (_, grey) => rgba(...contents.hues[hue].map((part) => mix(part, grey, HUE))));
  return { map, levels: map.levels, highest: highestOf(map), shares, opacity, tint };
}

function tinted(under, grey, { levels, opacity, tint }, cell) {
  const share = opacity[levels[cell]];
  const hue = tint[grey];
  const outer = blend(hue & TWO, under & TWO, share);
  return (255 << 24) | outer | (blend((hue >> 8) & 255, (under >> 8) & 255, share) << 8);
}

// (share * over + (255 - share) * under + 127) / 255, rounded down: of two colours in one number.
const TWO = 0xff00ff;

function blend(over, under, share) {
  const sum = (Math.imul(over, share) + Math.imul(under, 255 - share) + 0x7f007f) | 0;
  return ((sum + 0x10001 + ((sum >>> 8) & TWO)) >>> 8) & TWO;
}

// One map: its colours over the grey image, and a white line around what reaches the threshold.
export function paintHeat(contents, column, ground, word, state, out) {
  const map = mapOf(contents, column, word, state);
  const shares = sharesOf(contents, map, topOf(contents, column, word, state));
  contents.mixed ??= mixHeat(contents.heat);
  const table = held("table", Int32Array, 65536); // of each level over each grey
  for (let level = 0; level <= contents.cuts + 1; level++) {
    const at = Math.min(255, Math.floor(shares[level] * 256));
    table.set(contents.mixed.subarray(at << 8, (at + 1) << 8), level << 8);
  }
  table.fill(-1, LINE_LEVEL << 8); // white
  const marked = held("marked", Uint8Array, map.levels.length);
  marked.set(map.levels);
  for (const cell of outline(map, cutAt(contents, state.threshold))) marked[cell] = LINE_LEVEL;
  lookUp(ground, map, marked, ground.grey, null, table, out);
}

// Each of 256 colours over each grey.
function mixHeat(heat) {
  const mixed = new Int32Array(65536);
  for (let i = 0; i < 65536; i++) {
    const [at, under] = [3 * (i >> 8), i & 255];
    mixed[i] = rgba(mix(heat[at], under, HEAT), mix(heat[at + 1], under, HEAT), mix(heat[at + 2], under, HEAT));
  }
  return mixed;
}

// Room to work in that is used again: to ask for new memory takes longer than to paint.
const rooms = new Map();

function held(name, Kind, size) {
  if (rooms.get(name)?.length !== size) rooms.set(name, new Kind(size));
  return rooms.get(name);
}

const LINE_LEVEL = 255; // which no map has

// How many pixels of the ground a map's cell is, a side; and for each x the place of its cell.
const timesOf = (ground, map) => map.times / (ground.times ?? 1);
const across = (width, times) => Uint16Array.from({ length: width }, (_, x) => Math.floor(x / times));

// Each pixel's colour, from a table by the level of its cell and a number of the pixel or the cell.
function lookUp(ground, map, levels, ofPixels, ofCells, table, out) {
  const times = timesOf(ground, map);
  const at = across(ground.width, times);
  for (let y = 0, i = 0; y < ground.height; y++)
    for (let x = 0, row = Math.floor(y / times) * map.width; x < ground.width; x++, i++) {
      const cell = row + at[x];
      out[i] = table[(levels[cell] << 8) | (ofPixels === null ? ofCells[cell] : ofPixels[i])];
    }
}

// A mask's cells that touch the outside, and on large images those that touch these.
function outline(map, cut) {
  const { levels, width, height } = map;
  const highest = highestOf(map);
  const taken = held("taken", Uint8Array, levels.length).fill(0);
  let edge = [];
  for (let y = 0; y < height; y++)
    for (let x = 0, i = y * width; x < width && highest[y] >= cut; x++, i++) {
      if (levels[i] < cut) continue;
      const outside =
        (x > 0 && levels[i - 1] < cut) || (x < width - 1 && levels[i + 1] < cut) ||
        (y > 0 && levels[i - width] < cut) || (y < height - 1 && levels[i + width] < cut);
      if (!outside) continue;
      taken[i] = 1;
      edge.push(i);
    }
  const line = [...edge];
  for (let left = Math.floor(Math.min(height, width) / 256) - 1; left > 0; left--) {
    const next = [];
    for (const i of edge) {
      const x = i % width;
      for (const near of [x > 0 ? i - 1 : i, x < width - 1 ? i + 1 : i, i - width, i + width])
        if (levels[near] >= cut && !taken[near]) {
          taken[near] = 1;
          next.push(near);
        }
    }
    for (const i of next) line.push(i);
    edge = next;
  }
  return line;
}

// What a column's map has more (one end) or less (the other) than that which it is compared with.
export function paintDifference(contents, column, { map, other, own, base }, scale, out) {
  const table = held("table", Int32Array, 65536); // of each level of both
  for (let pair = 0; pair < 65536; pair++) {
    const more = own[pair >> 8] - base[pair & 255];
    const at = 3 * Math.min(254, Math.max(0, 127 + Math.floor((scale > 0 ? more / scale : 0) * 127 + 0.5)));
    table[pair] = rgba(contents.diverging[at], contents.diverging[at + 1], contents.diverging[at + 2]);
  }
  lookUp(column, map, map.levels, null, other.levels, table, out);
}

// A column's map, the other that is subtracted, and what the levels of both stand for in as many
// passes; or `why` that cannot be.
export function gapOf(contents, column, word, state) {
  const first = baseOf(contents, column, state);
  const [map, other] = [column, first].map((each) => mapOf(contents, each, word, state));
  if (!other) return { why: `no map in ${first.name}: no difference` };
  if (column.width !== first.width || column.height !== first.height) return { why: "other size: no difference" };
  if (column.rule !== first.rule) return { why: "other pooling: no difference" };
  const times = timesTo(column, first, state);
  return map && { map, other, own: middles(contents, map).map((value) => value * times), base: middles(contents, other) };
}

function middles(contents, map) {
  return Float64Array.from({ length: 256 }, (_, level) => valueOf(contents, map, level));
}

// The largest difference in any of these columns: their common scale.
export function differenceScale(contents, columns, word, state) {
  let scale = 0;
  for (const column of columns) {
    const gap = gapOf(contents, column, word, state);
    if (!gap || gap.why || gap.map === gap.other) continue;
    const counts = jointOf(gap.map, gap.other);
    for (let pair = 0; pair < 65536; pair++)
      if (counts[pair] > 0) scale = Math.max(scale, Math.abs(gap.own[pair >> 8] - gap.base[pair & 255]));
  }
  return scale;
}
