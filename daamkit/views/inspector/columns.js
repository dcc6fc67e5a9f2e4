// The images side by side: what lies over them, a pointed pixel, a brushed region.
import { readPreview } from "./contents.js";
import { shownWords } from "./hues.js";
import { baseOf } from "./frames.js";
import { mapOf } from "./maps.js";
import { differenceScale, gapOf, over, paintDifference, paintHeat, paintWords } from "./paint.js";
import { follow } from "./pointer.js";
import { narrowing } from "./status.js";
import { makeTip } from "./tip.js";
import { element } from "../elements.js";

export function makeColumns(contents, view) {
  const figures = contents.columns.map((column) => makeFigure(contents, column, view));
  const node = element("div", { class: "columns" }, ...figures.map((figure) => figure.node));

  function show(state) {
    const seen = seenOf(contents, state);
    const { word, pins, step, site, head, threshold, scale, columns, difference } = state;
    seen.key = JSON.stringify([word, pins, step, site, head, threshold, scale, columns, difference]);
    for (const figure of figures) figure.show(state, seen);
    return seen;
  }
  return { node, show, figures: () => figures.filter(({ node: each }) => !each.hidden) };
}

// What lies over the images: one word's map; with `compare` what it has more or less than the first
// run's, on a scale of theirs; or, if none is single, words in their hues. `State` says the same.
export function seenOf(contents, state) {
  const shown = contents.columns.filter(({ name }) => state.columns.includes(name));
  const single = state.word ?? (state.difference && state.pins.length === 1 ? state.pins[0] : null);
  const compare = state.difference && single !== null && shown.some((column) => column !== baseOf(contents, column, state));
  return { single, compare, scale: compare ? differenceScale(contents, shown, single, state) : 0 };
}

function makeFigure(contents, column, view) {
  const { width, height } = column;
  const canvas = element("canvas", {
    width, height, tabindex: 0, role: "application", "aria-roledescription": "image to point at",
  });
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(width, height);
  const out = new Int32Array(pixels.data.buffer);
  const box = element("div", { class: "box", hidden: true });
  const point = element("div", { class: "over", hidden: true }, element("div", { class: "point" }));
  const badge = element("div", { class: "badge", hidden: true });
  const tip = makeTip(contents, column);
  const caption = element("figcaption", { title: `${column.name} ${column.made}` }, column.name, element("small", {}, ` ${column.made}`));
  const frame = element("div", { class: "frame" }, canvas, box, point, badge);
  const node = element("figure", {}, element("div", { class: "stage" }, frame, tip.node), caption);
  canvas.style.setProperty("--ratio", width / height);
  follow(canvas, column, view);
  let painted = null;

  function show(state, seen) {
    node.hidden = !state.columns.includes(column.name);
    if (node.hidden) return;
    const { step } = state;
    if (column.previews[step] && !column.meant.has(step)) readPreview(column, step).then(view.show);
    const reading = column.meant.get(step) === null; // until then it stays as it is: painted once
    if (painted !== seen.key && !(reading && painted)) {
      paint(state, seen);
      painted = reading ? "" : seen.key;
    }
    mark(box, point, column, state);
    tip.show(state);
  }

  function paint(state, { single, compare, scale }) {
    const said = badgeOf(contents, column, state, single);
    badge.textContent = said;
    badge.hidden = !said;
    const gap = compare && column !== baseOf(contents, column, state) ? gapOf(contents, column, single, state) : null;
    if (gap?.map) paintDifference(contents, column, gap, scale, out);
    else over(column, state, out, (ground, onto) => {
      if (single === null) paintWords(contents, column, ground, shownWords(contents, state.pins), state, onto);
      else if (mapOf(contents, column, single, state)) paintHeat(contents, column, ground, single, state, onto);
      else onto.set(ground.picture);
    });
    pen.putImageData(pixels, 0, 0);
    canvas.setAttribute("aria-label", describe(contents, column, state, single, gap?.map, said));
  }
  return { node, show, canvas, column };
}

// What a column lacks of what is shown, or what is subtracted in it. `legend.py` says the same.
export function badgeOf(contents, column, state, single) {
  const words = single === null ? shownWords(contents, state.pins).map(({ word }) => word) : [single];
  const absent = words.filter((word) => !column.has[word]);
  const labels = absent.map((word) => contents.words[word].label).join(", ");
  const said = [];
  if (absent.length) said.push(single === null ? `not in its prompt: ${labels}` : "not in its prompt");
  if (words.some((word) => column.has[word] && !mapOf(contents, column, word, state))) said.push("no map of this part");
  const base = baseOf(contents, column, state);
  if (said.length || single === null || !state.difference || column === base) return said.join("; ");
  return gapOf(contents, column, single, state).why ?? `${column.name} - ${base.name}`;
}

// The same for those who do not see it.
function describe(contents, column, state, single, differs, said) {
  const label = (word) => contents.words[word].label;
  const words = single === null ? shownWords(contents, state.pins).map(({ word }) => word) : [single];
  const names = words.filter((word) => mapOf(contents, column, word, state)).map(label).join(" and ");
  const over = !names ? [] : [differs ? `how the map of ${names} differs` : single === null ? `${names} in colour` : `the map of ${names}`];
  const parts = narrowing(contents, { ...state, region: null }).map(({ text }) => text);
  const lacking = single !== null && !names ? `${label(single)} ${said}` : said;
  const more = [...over.map((text) => `with ${text}`), ...parts, lacking].filter((text) => text);
  return [`image of ${column.prompt} (${column.name})`, ...more].join(", ");
}

function mark(box, point, { width, height }, { region, pixel }) {
  const share = (part, whole) => `${(100 * part) / whole}%`;
  box.hidden = region === null;
  if (region !== null) {
    const [top, left, bottom, right] = region;
    box.style.inset = `${share(top, height)} ${share(width - right, width)} ${share(height - bottom, height)} ${share(left, width)}`;
  }
  point.hidden = pixel === null || pixel[0] >= height || pixel[1] >= width;
  if (pixel !== null)
    point.style.transform = `translate(${share(pixel[1] + 0.5, width)}, ${share(pixel[0] + 0.5, height)})`;
}
