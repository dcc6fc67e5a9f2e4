// The images side by side: what lies over them, a pointed pixel, a brushed region.
import { readPreview } from "./contents.js";
import { shownWords } from "./hues.js";
import { mapOf } from "./maps.js";
import { differenceScale, over, paintDifference, paintHeat, paintWords } from "./paint.js";
import { follow } from "./pointer.js";
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
  const compare = state.difference && single !== null && shown.some((column) => column !== contents.columns[0]);
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
  const caption = element("figcaption", { title: column.made }, column.name, element("small", {}, ` ${column.made}`));
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
    const first = contents.columns[0];
    const map = single === null ? null : mapOf(contents, column, single, state);
    const base = compare && column !== first ? mapOf(contents, first, single, state) : null;
    const alike = base && map && base.levels.length === map.levels.length && width === first.width;
    const lacks = single !== null && !column.has[single] ? "not in its prompt"
      : single !== null && !map ? "not kept"
      : compare && column !== first && !alike ? "other size: no difference"
      : alike ? `${column.name} - ${first.name}` : "";
    badge.textContent = lacks;
    badge.hidden = !lacks;
    if (alike) paintDifference(contents, column, map, base, scale, out);
    else over(column, state, out, (ground, onto) => {
      if (map) paintHeat(contents, column, ground, single, state, onto);
      else if (single !== null) onto.set(ground.picture);
      else paintWords(contents, column, ground, shownWords(contents, state.pins), state, onto);
    });
    pen.putImageData(pixels, 0, 0);
    canvas.setAttribute("aria-label", describe(contents, column, state, single));
  }
  return { node, show, canvas, column };
}

function describe(contents, column, { pins }, single) {
  const label = (word) => contents.words[word].label;
  const words = shownWords(contents, pins).map(({ word }) => label(word));
  const over =
    single !== null ? `, with the map of ${label(single)}`
    : words.length ? `, with ${words.join(" and ")} in colour` : "";
  return `image of ${column.prompt} (${column.name})${over}`;
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
