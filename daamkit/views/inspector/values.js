// What is measured of what is seen, in one table with a column a run: two words' overlap, a
// pixel's words, a box's words.
import { shownWords } from "./hues.js";
import { mapOf } from "./maps.js";
import { overlapOf, wordsAt, wordsIn } from "./measures.js";
import { colour, element, percent } from "../elements.js";

export function makeValues(contents) {
  const body = element("div", { class: "values", tabindex: 0, role: "region", "aria-label": "results" });
  const spoken = element("p", { class: "spoken", "aria-live": "polite" });
  const node = element("div", { class: "results" }, body, spoken);
  const regions = new Map(); // by column: what was measured last, and of what
  let speaking = 0;
  let shown = "";
  const label = (word) => contents.words[word].label;

  function show(state) {
    const columns = contents.columns.filter(({ name }) => state.columns.includes(name));
    const parts = state.region ? regionOf(columns, state)
      : state.pins.length > 1 ? pairOf(columns, state)
      : state.pixel ? pixelOf(columns, state)
      : [help()];
    if (state.step !== null || state.site !== null)
      parts.push(element("p", { class: "note" }, "Of a part of the maps, from 8 bits: near, not exact."));
    const next = parts.map((part) => part.outerHTML).join("");
    if (next === shown) return;
    shown = next;
    body.replaceChildren(...parts);
    clearTimeout(speaking);
    speaking = setTimeout(say, 500); // not while the pointer moves
  }

  function say() {
    const rows = [...body.querySelectorAll(".headline, tr")].slice(0, 8);
    spoken.textContent = rows.map((row) => [...(row.cells ?? [row])].map((cell) => cell.textContent).join(" ")).join("; ");
  }

  // Of two words: how much of both is shared, and how much of each lies on the other.
  function pairOf(columns, state) {
    const [a, b] = state.pins;
    const hues = new Map(shownWords(contents, state.pins).map(({ word, hue }) => [word, hue]));
    const mark = (word) => {
      const hue = element("i", { class: "hue" });
      hue.style.background = colour(contents.hues[hues.get(word)]);
      return element("span", { class: "named" }, hue, label(word));
    };
    const found = columns.map((column) => {
      const maps = [a, b].map((word) => mapOf(contents, column, word, state));
      return maps.includes(null) ? null : overlapOf(contents, ...maps, state.threshold);
    });
    const say = (share) => `${percent(share.iou)}; ${percent(share.iod)} of `;
    const title = found.length === 1 && found[0]
      ? element("p", { class: "headline" }, `overlap ${say(found[0])}`, mark(b), " lies on ", mark(a))
      : element("p", { class: "headline" }, "overlap of ", mark(a), " and ", mark(b));
    const rows = [["overlap", "iou"], [`of ${label(b)} on ${label(a)}`, "iod"], [`of ${label(a)} on ${label(b)}`, "ioh"]];
    const short = { iou: "IoU", iod: "IoD", ioh: "IoH" };
    const cells = rows.map(([name, key]) => [
      [name, short[key]], ...found.map((share) => (share ? [percent(share[key]), share[key].toFixed(4)] : ["–", ""])),
    ]);
    const more = state.pins.length > 2 ? [element("p", { class: "note" }, "The first two pins are measured.")] : [];
    return [title, table("pairs", "", columns, cells), ...more];
  }

  // Rows are words, in the order of the first run.
  function byWord(columns, found, cell) {
    const order = [...new Set(found.flatMap((rows) => rows.map(({ word }) => word)))];
    return order.map((word) => [
      [label(word), ""],
      ...columns.map((_, i) => {
        const row = found[i].find((each) => each.word === word);
        return row ? cell(row) : ["–", ""];
      }),
    ]);
  }

  function pixelOf(columns, state) {
    const [y, x] = state.pixel;
    const found = columns.map((column) =>
      y < column.height && x < column.width ? wordsAt(contents, column, state.pixel, state) : []);
    const rows = byWord(columns, found, ({ share, value }) => [percent(share), value.toPrecision(2)]);
    return [element("p", { class: "headline" }, `pixel ${y}, ${x}: each word's share`), table("pixel", "word", columns, rows)];
  }

  function regionOf(columns, state) {
    const found = columns.map((column) => measured(column, state));
    const rows = byWord(columns, found, ({ inside, iou, lift }) => [percent(inside), `×${lift.toFixed(2)} IoU ${iou.toFixed(2)}`]);
    const note = "How much of a word's map lies in the box; × as often as if it were spread evenly. A click on the image lets the box go.";
    return [
      element("p", { class: "headline" }, "share of each word in the box"),
      table("region", "word", columns, rows), element("p", { class: "note" }, note),
    ];
  }

  // Measured anew only where something changed: it takes many pixels of all words.
  function measured(column, state) {
    const { region, threshold, step, site, head } = state;
    if (region[2] > column.height || region[3] > column.width) return [];
    const key = JSON.stringify([region, threshold, step, site, head]);
    if (regions.get(column)?.key !== key)
      regions.set(column, { key, rows: wordsIn(contents, column, region, state) });
    return regions.get(column).rows;
  }
  return { node, show, stop: () => clearTimeout(speaking) };
}

// Cells are what is said and, small behind it, what is behind it.
function table(kind, corner, columns, rows) {
  const first = corner ? element("th", { scope: "col" }, corner) : element("td");
  const names = columns.map(({ name }) => element("th", { scope: "col" }, columns.length > 1 ? name : "this run"));
  const filled = (node, [text, small]) => {
    node.append(element("span", { dir: "auto" }, text), small ? element("small", {}, ` ${small}`) : "");
    return node;
  };
  const body = rows.map(([name, ...cells]) =>
    element("tr", {}, filled(element("th", { scope: "row" }), name), ...cells.map((cell) => filled(element("td"), cell))),
  );
  return element("table", { "data-kind": kind }, element("thead", {}, element("tr", {}, first, ...names)), element("tbody", {}, ...body));
}

function help() {
  const lines = [
    "Point at a word: its whole map. Click words to colour others; two are measured against each other.",
    "Point at the image: which words are there. Draw a box: which words are in it.",
    "On a touch screen: tap to look, hold a word to pin it.",
  ];
  return element("ul", { class: "note" }, ...lines.map((line) => element("li", {}, line)));
}
