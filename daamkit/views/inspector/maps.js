// The map that is looked at: for each pixel, how many cuts of its maximum it reaches.

// Of a word in a column, over all steps or at one, of all layers or one, of all heads or one.
// null: the prompt has no such word, or that part was not kept.
export function mapOf(contents, column, word, { step, site, head }) {
  if (!column.has[word]) return null;
  const key = `${word}/${step}/${site}/${head}`;
  column.seen ??= new Map();
  if (!column.seen.has(key)) {
    if (column.seen.size > 256) column.seen.delete(column.seen.keys().next().value);
    column.seen.set(key, makeMap(contents, column, word, step, site, head));
  }
  return column.seen.get(key);
}

function makeMap(contents, column, word, step, site, head) {
  if (step === null && site === null)
    return { levels: column.whole(word), peak: column.peaks[word], exact: true };
  const row = column.row[word];
  if (site === null) {
    if (!column.steps || step >= column.steps.count) return null;
    const values = Float32Array.from(column.part(column.steps, word, step));
    const unit = column.steps.peaks[row][step] / 255;
    return levelled(contents, column, values, column.steps.grid, unit);
  }
  const layer = column.layers.find(({ name }) => name === site);
  if (!layer || head >= layer.heads) return null;
  const chosen = head === null ? [...Array(layer.heads).keys()] : [head];
  const sum = new Float32Array(layer.grid[0] * layer.grid[1]);
  for (const each of chosen) {
    const bytes = column.part(layer, word, each);
    for (let i = 0; i < sum.length; i++) sum[i] += (bytes[i] * layer.peaks[row][each]) / 255;
  }
  return levelled(contents, column, sum, layer.grid, 1 / layer.divisors[head === null ? 1 : 0]);
}

function levelled(contents, column, values, grid, unit) {
  const large = enlarge(values, grid, [column.height, column.width]);
  const most = large.reduce((a, b) => Math.max(a, b), 0);
  const levels = new Uint8Array(large.length);
  if (most > 0)
    for (let i = 0; i < large.length; i++)
      if (large[i] >= 0) levels[i] = Math.floor((large[i] / most) * contents.cuts + 1e-5) + 1;
  return { levels, peak: most * unit, exact: false };
}

// Bicubic with cells as areas and a = -0.75, as the library enlarges: columns, then rows.
export function enlarge(values, [rows, columns], [height, width]) {
  const wide = new Float32Array(rows * width);
  resample(columns, width, (x, at, weights) => {
    for (let y = 0; y < rows; y++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += weights[k] * values[y * columns + at[k]];
      wide[y * width + x] = sum;
    }
  });
  const large = new Float32Array(height * width);
  resample(rows, height, (y, at, weights) => {
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += weights[k] * wide[at[k] * width + x];
      large[y * width + x] = sum;
    }
  });
  return large;
}

function resample(cells, pixels, put) {
  const a = -0.75;
  const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  for (let pixel = 0; pixel < pixels; pixel++) {
    const place = ((pixel + 0.5) * cells) / pixels - 0.5;
    const cell = Math.floor(place);
    const d = place - cell;
    const at = [-1, 0, 1, 2].map((k) => Math.min(Math.max(cell + k, 0), cells - 1));
    put(pixel, at, [far(d + 1), near(d), near(1 - d), far(2 - d)]);
  }
}

// The first level that is in the mask at a threshold.
export const cutAt = (contents, threshold) => Math.round(threshold * contents.cuts) + 1;

// A level as a value: the middle of what it stands for.
export function valueOf(contents, map, level) {
  return (Math.min(Math.max(level - 0.5, 0), contents.cuts) / contents.cuts) * map.peak;
}
