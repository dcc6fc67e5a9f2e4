// The map that is looked at: for each pixel, how many cuts of its maximum it reaches.

const HELD = 48e6; // bytes of maps of parts that a column keeps
const FINEST = 256; // longest side to which the map of a part is computed: a cell is several pixels

// Of a word in a column, over all steps or at one, of all layers or one, of all heads or one.
// Its cells are pixels, or where `times` is more squares of so many pixels a side.
// null: the prompt has no such word, or the run no such part.
export function mapOf(contents, column, word, state) {
  if (!column.has[word]) return null;
  const { step, site, head } = state;
  const key = `${word}/${step}/${site}/${head}`;
  column.seen ??= new Map();
  if (!column.seen.has(key)) {
    if (column.seen.size * FINEST ** 2 > HELD)
      column.seen.delete(column.seen.keys().next().value);
    column.seen.set(key, makeMap(contents, column, word, state));
  }
  return column.seen.get(key);
}

function makeMap(contents, column, word, state) {
  const { width, height } = column;
  if (state.step === null && state.site === null)
    return { levels: column.whole(word), peak: column.peaks[word], times: 1, width, height };
  const part = partOf(column, word, state);
  if (part === null) return null;
  const cells = cellsOf(column);
  const { levels, most } = levelled(contents, enlarge(part.values, part.grid, [cells.height, cells.width]));
  return { levels, peak: most * part.unit, ...cells };
}

// The cells of the map of a part: so many pixels a side, and how many of them.
export function cellsOf({ width, height }) {
  const times = Math.ceil(Math.max(width, height) / FINEST);
  return { times, width: Math.ceil(width / times), height: Math.ceil(height / times) };
}

// A step's, a layer's or a head's cells, and what one unit of them is; null where not kept.
function partOf(column, word, { step, site, head }) {
  const row = column.row[word];
  if (site === null) {
    if (!column.steps || step >= column.steps.count) return null;
    const values = column.part(column.steps, word, step);
    return { values, grid: column.steps.grid, unit: column.steps.peaks[row][step] / 255 };
  }
  const layer = column.layers.find(({ name }) => name === site);
  if (!layer || head >= layer.heads) return null;
  if (head !== null) {
    const unit = layer.peaks[row][head] / 255 / layer.divisors[0];
    return { values: column.part(layer, word, head), grid: layer.grid, unit };
  }
  layer.sums ??= new Map();
  if (!layer.sums.has(word)) {
    const sum = new Float32Array(layer.grid[0] * layer.grid[1]);
    for (let each = 0; each < layer.heads; each++) {
      const bytes = column.part(layer, word, each);
      const unit = layer.peaks[row][each] / 255;
      for (let i = 0; i < sum.length; i++) sum[i] += bytes[i] * unit;
    }
    layer.sums.set(word, sum);
  }
  return { values: layer.sums.get(word), grid: layer.grid, unit: 1 / layer.divisors[1] };
}

function levelled(contents, large) {
  let most = 0;
  for (let i = 0; i < large.length; i++) if (large[i] > most) most = large[i];
  const levels = new Uint8Array(large.length);
  const scale = most > 0 ? contents.cuts / most : 0;
  if (most > 0)
    for (let i = 0; i < large.length; i++)
      if (large[i] >= 0) levels[i] = Math.floor(large[i] * scale + 1e-5) + 1;
  return { levels, most };
}

// A word's highest value in what is looked at: by its cells, where it is a part. null as in `mapOf`.
export function strengthOf(column, word, state) {
  if (!column.has[word]) return null;
  if (state.step === null && state.site === null) return column.peaks[word];
  if (state.site === null) return column.steps?.peaks[column.row[word]][state.step] ?? null;
  const part = partOf(column, word, state);
  if (part === null) return null;
  let most = 0;
  for (const value of part.values) if (value > most) most = value;
  return most * part.unit;
}

// What a column's values are multiplied by to be those of as many passes as another's.
export const timesTo = (column, other, { step }) => (step === null ? other.passes / column.passes : 1);

// The value of a column that is shown strongest: the word's own maximum; or that of all words of all
// runs pooled alike, where a sum over other passes counts as often over its.
export function topOf(contents, column, word, state) {
  if (state.scale === "own") return mapOf(contents, column, word, state)?.peak ?? 0;
  const { step, site, head } = state;
  const key = JSON.stringify([contents.columns.length, step, site, head]);
  if (contents.tops?.key !== key) contents.tops = { key };
  return (contents.tops[`${column.rule}/${column.passes}`] ??= Math.max(
    0,
    ...contents.columns
      .filter(({ rule }) => rule === column.rule)
      .flatMap((each) => contents.words.map((_, i) => strengthOf(each, i, state) * timesTo(each, column, state))),
  ));
}

// A word's value at a pixel, and whether its mask has it.
export function valueAt(contents, column, word, [y, x], state) {
  if (state.step === null && state.site === null) {
    const map = mapOf(contents, column, word, state);
    const level = map.levels[y * column.width + x];
    return { value: valueOf(contents, map, level), within: level >= cutAt(contents, state.threshold) };
  }
  const part = partOf(column, word, state);
  if (part === null) return null;
  const [rows, columns] = part.grid;
  const down = weightsOf(rows, column.height);
  const along = weightsOf(columns, column.width);
  let sum = 0;
  for (let j = 0; j < 4; j++)
    for (let i = 0; i < 4; i++)
      sum += down.weights[4 * y + j] * along.weights[4 * x + i] * part.values[down.at[4 * y + j] * columns + along.at[4 * x + i]];
  const value = Math.max(sum, 0) * part.unit;
  return { value, within: value > 0 && value >= state.threshold * strengthOf(column, word, state) };
}

// Bicubic with cells as areas and a = -0.75, as the library enlarges: columns, then rows.
export function enlarge(values, [rows, columns], [height, width]) {
  const wide = new Float32Array(rows * width);
  const given = Float32Array.from(values);
  const along = weightsOf(columns, width);
  for (let y = 0; y < rows; y++)
    for (let x = 0, k = 0; x < width; x++) {
      let sum = 0;
      for (const end = k + 4; k < end; k++) sum += along.weights[k] * given[y * columns + along.at[k]];
      wide[y * width + x] = sum;
    }
  const large = new Float32Array(height * width);
  const down = weightsOf(rows, height);
  for (let y = 0; y < height; y++)
    for (let j = 4 * y; j < 4 * y + 4; j++) {
      const weight = down.weights[j];
      for (let x = 0, from = down.at[j] * width, to = y * width; x < width; x++)
        large[to + x] += weight * wide[from + x];
    }
  return large;
}

// For each pixel the four cells around it, and what each counts.
const weightsHeld = new Map();

function weightsOf(cells, pixels) {
  const key = `${cells}/${pixels}`;
  if (!weightsHeld.has(key)) weightsHeld.set(key, makeWeights(cells, pixels));
  return weightsHeld.get(key);
}

function makeWeights(cells, pixels) {
  const a = -0.75;
  const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  const at = new Int32Array(4 * pixels);
  const weights = new Float32Array(4 * pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const place = ((pixel + 0.5) * cells) / pixels - 0.5;
    const cell = Math.floor(place);
    const d = place - cell;
    weights.set([far(d + 1), near(d), near(1 - d), far(2 - d)], 4 * pixel);
    for (let k = 0; k < 4; k++) at[4 * pixel + k] = Math.min(Math.max(cell + k - 1, 0), cells - 1);
  }
  return { at, weights };
}

// The highest level of each row: most rows have no mask, and are passed over.
export function highestOf(map) {
  return (map.highest ??= highestIn(map.levels, map.width, map.height));
}

function highestIn(levels, width, height) {
  const highest = new Uint8Array(height);
  for (let y = 0, i = 0; y < height; y++) {
    let most = 0;
    for (const end = i + width; i < end; i++) most = Math.max(most, levels[i]);
    highest[y] = most;
  }
  return highest;
}

// The first level that is in the mask at a threshold.
export const cutAt = (contents, threshold) => Math.round(threshold * contents.cuts) + 1;

// 1 where a level is in the mask, else 0: without a branch, which costs much at a mask's edges.
export const reaches = (level, cut) => (cut - 1 - level) >>> 31;

// A level as a value: the middle of what it stands for.
export function valueOf(contents, map, level) {
  return (Math.min(Math.max(level - 0.5, 0), contents.cuts) / contents.cuts) * map.peak;
}

// What all levels stand for, as shares of the value that is shown strongest; at most 1.
export function sharesOf(contents, map, top) {
  const shares = new Float64Array(256);
  for (let level = 0; level < 256; level++)
    shares[level] = top > 0 ? Math.min(valueOf(contents, map, level) / top, 1) : 0;
  return shares;
}

// All heads of all layers by the highest value they give a word, the strongest first.
export function partPeaks(column, word) {
  const row = column.row[word];
  return column.layers
    .flatMap((layer) => layer.peaks[row].map((peak, head) => ({ layer, head, peak })))
    .sort((a, b) => b.peak - a.peak);
}
