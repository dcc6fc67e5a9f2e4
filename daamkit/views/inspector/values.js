// What is measured of what is seen: two words' overlap, a pixel's words, a region's words.
import { mapOf } from "./maps.js";
import { overlapOf, wordsAt, wordsIn } from "./measures.js";
import { colour, element, percent } from "../elements.js";

export function makeValues(contents) {
  const tables = element("div", { class: "values" });
  const spoken = element("p", { class: "spoken", "aria-live": "polite" });
  const node = element("div", {}, tables, spoken);
  const regions = new Map(); // by column: what was measured last, and of what
  let speaking = 0;
  const label = (word) => contents.words[word].label;

  function show(state) {
    const columns = contents.columns.filter(({ name }) => state.columns.includes(name));
    const parts = [];
    if (state.pins.length >= 2) parts.push(...pairs(columns, state));
    if (state.region) parts.push(...columns.map((column) => regionOf(column, state)));
    else if (state.pixel) parts.push(...columns.map((column) => pixelOf(column, state)));
    if (!parts.length) parts.push(help());
    if (state.step !== null || state.site !== null)
      parts.push(element("p", { class: "note" }, "Of a part of the maps, from 8 bits: near, not exact."));
    const next = parts.filter((part) => part !== null);
    const same = next.length === tables.children.length
      && next.every((part, i) => part === tables.children[i] || part.outerHTML === tables.children[i].outerHTML);
    if (same) return;
    tables.replaceChildren(...next);
    clearTimeout(speaking);
    speaking = setTimeout(say, 500); // not while the pointer moves
  }

  function say() {
    const rows = [...tables.querySelectorAll("h3, tr")].slice(0, 12);
    spoken.textContent = rows.map((row) => [...(row.cells ?? [row])].map((cell) => cell.textContent).join(" ")).join("; ");
  }

  function pairs(columns, state) {
    const [a, b] = state.pins;
    const mark = (word, i) => {
      const hue = element("i", { class: "hue" });
      hue.style.background = colour(contents.hues[i]);
      return element("span", {}, hue, label(word));
    };
    const rows = columns.map((column) => {
      const maps = [a, b].map((word) => mapOf(contents, column, word, state));
      if (maps.includes(null)) return [column.name, "-", "-", "-"];
      const { iou, iod, ioh } = overlapOf(contents, ...maps, state.threshold);
      return [column.name, ...[iou, iod, ioh].map((share) => share.toFixed(4))];
    });
    const title = element("h3", {}, mark(a, 0), " and ", mark(b, 1));
    const more = state.pins.length > 2 ? element("p", { class: "note" }, "The first two pins are measured.") : null;
    const kinds = element("p", { class: "note" }, "IoD: share of the dependent (second) within the head (first); IoH: the reverse.");
    return [element("section", {}, title, table("pairs", ["", "IoU", "IoD", "IoH"], rows), kinds, more)];
  }

  function pixelOf(column, state) {
    const [y, x] = state.pixel;
    if (y >= column.height || x >= column.width) return null;
    const rows = wordsAt(contents, column, state.pixel, state)
      .slice(0, 8)
      .map(({ word, share, value }) => [label(word), percent(share), value.toPrecision(2)]);
    return titled(column, `Pixel ${y}, ${x}`, table("pixel", ["word", "share", "value"], rows));
  }

  // Measured anew only where something changed: it takes all pixels of all words.
  function regionOf(column, state) {
    const { region, threshold, step, site, head } = state;
    const key = JSON.stringify([region, threshold, step, site, head]);
    if (regions.get(column)?.key !== key) regions.set(column, { key, part: measure(column, state) });
    return regions.get(column).part;
  }

  function measure(column, state) {
    const [top, left, bottom, right] = state.region;
    if (bottom > column.height || right > column.width) return null;
    const rows = wordsIn(contents, column, state.region, state).map(({ word, mass, iou, lift }) => [
      label(word), percent(mass), iou.toFixed(2), lift.toFixed(2),
    ]);
    const name = `Rows ${top}-${bottom}, columns ${left}-${right}`;
    const note = element("p", { class: "note" }, "Click the image, or press Escape, to let the box go.");
    return titled(column, name, table("region", ["word", "mass", "IoU", "lift"], rows), note);
  }

  function titled(column, text, ...body) {
    const of = contents.columns.length > 1 ? `${column.name}: ` : "";
    return element("section", {}, element("h3", {}, `${of}${text}`), ...body);
  }
  return { node, show, stop: () => clearTimeout(speaking) };
}

function table(kind, names, rows) {
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map(([first, ...rest]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((cell) => element("td", {}, cell))),
  );
  return element("table", { "data-kind": kind }, element("thead", {}, head), element("tbody", {}, ...body));
}

function help() {
  const lines = [
    "Point at a word: its map. Click it: it stays; a second one is measured against it.",
    "Click an arc: its head and dependent.",
    "Point at the image: which words are there. Draw a box: which words are in it.",
  ];
  return element("ul", { class: "note" }, ...lines.map((line) => element("li", {}, line)));
}
