// What is seen as one picture: prompt, images, legend, how they were made. `sheet.py` makes the like.
import { badgeOf, seenOf } from "./columns.js";
import { baseOf } from "./frames.js";
import { shownWords } from "./hues.js";
import { narrowing } from "./status.js";
import { colour, drawn } from "../elements.js";

const [MARGIN, LINE] = [16, 24];
const [INK, SOFT] = ["#1b2230", "#5a6270"];

export function asSvg(contents, view) {
  const state = view.state();
  const figures = view.figures();
  const seen = seenOf(contents, state);
  const hues = new Map(seen.single === null ? shownWords(contents, state.pins).map(({ word, hue }) => [word, hue]) : []);
  const side = Math.max(384, 2 * Math.max(...figures.map(({ column }) => column.height)));
  const wide = ({ column }) => Math.round((side * column.width) / column.height);
  const width = Math.max(480, figures.reduce((sum, figure) => sum + wide(figure) + MARGIN, MARGIN));
  const parts = [];
  const text = (content, x, y, { tint = INK, size = 15, bold = false, right = false } = {}) =>
    parts.push(drawn("text", { x, y, "font-size": size, fill: tint, "font-weight": bold ? "bold" : false, direction: right ? "rtl" : false }, content));
  const pen = document.createElement("canvas").getContext("2d");
  const flow = (pieces, y, size, right = false) => {
    let x = 0; // from where lines begin, which may be on the right
    for (const [content, hue] of pieces)
      for (const part of hue === undefined ? content.split(" ") : [content]) {
        if (!part) continue;
        const bold = hue !== undefined;
        pen.font = `${bold ? "bold " : ""}${size}px sans-serif`;
        const needs = pen.measureText(`${part} `).width;
        if (x + needs > width - 2 * MARGIN && x > 0) [x, y] = [0, y + LINE];
        const at = right ? width - MARGIN - x : MARGIN + x;
        text(part, at, y, { size, bold, right, tint: bold ? colour(contents.hues[hue]) : INK });
        x += needs;
      }
    return y;
  };
  const top = flow(prompted(contents, hues), MARGIN + 14, 18, contents.rtl) + 14;
  const under = top + side + 20;
  let [x, lowest] = [MARGIN, under + 20];
  for (const figure of figures) {
    parts.push(drawn("image", { href: figure.canvas.toDataURL("image/png"), x, y: top, width: wide(figure), height: side }));
    parts.push(...marks(figure.column, [x, top], side, { ...state, ...(view.pointing && { pixel: null }) }));
    const badge = badgeOf(contents, figure.column, state, seen.single);
    let y = under;
    for (const [said, tint, size] of [[figure.column.name, INK, 15], [figure.column.made, SOFT, 13], [badge, INK, 13]])
      for (const line of wrapped(pen, said, wide(figure), size, tint === INK)) {
        text(line, x, y, { tint, size, bold: tint === INK });
        y += 20;
      }
    lowest = Math.max(lowest, y - 20);
    x += wide(figure) + MARGIN;
  }
  const legend = [...hues].map(([word, hue]) => [contents.words[word].label, hue]);
  const height = flow([...legend, [told(contents, view, state, seen, figures)]], lowest + 26, 14) + 14;
  const svg = drawn(
    "svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif" },
    drawn("rect", { width: "100%", height: "100%", fill: "white" }), ...parts,
  );
  return { text: new XMLSerializer().serializeToString(svg), width, height };
}

// A text in lines of at most a width, broken at spaces, or within what is longer than that.
function wrapped(pen, text, width, size, bold) {
  pen.font = `${bold ? "bold " : ""}${size}px sans-serif`;
  const lines = [];
  let line = "";
  for (const letter of text) {
    if (line && pen.measureText((line + letter).trimEnd()).width > width) {
      const space = line.lastIndexOf(" ");
      lines.push(space < 0 ? line : line.slice(0, space));
      line = space < 0 ? "" : line.slice(space + 1);
    }
    line += letter;
  }
  return text ? [...lines, line] : [];
}

// The box that was drawn and the pixel that was clicked, in white with a dark edge.
function marks({ width, height }, [left, top], side, { region, pixel }) {
  const scale = side / height;
  const edged = (shape, at) => [["black", 4], ["white", 2]].map(([stroke, wide]) => drawn(shape, { ...at, fill: "none", stroke, "stroke-width": wide }));
  const found = [];
  if (region !== null && region[2] <= height && region[3] <= width) {
    const [y, x] = [top + scale * region[0], left + scale * region[1]];
    found.push(...edged("rect", { x, y, width: scale * (region[3] - region[1]), height: scale * (region[2] - region[0]) }));
  }
  if (pixel !== null && pixel[0] < height && pixel[1] < width)
    found.push(...edged("circle", { cx: left + scale * (pixel[1] + 0.5), cy: top + scale * (pixel[0] + 0.5), r: 7 }));
  return found;
}

// What the colours mean, and what the view is narrowed to. `legend.py` says the same.
function told(contents, view, state, { single, compare }, figures) {
  const shared = state.scale === "shared";
  const to = shared ? "the strongest word's maximum" : "its own maximum";
  const unlike = (key) => new Set(contents.columns.map((column) => column[key])).size > 1;
  const per = state.step === null && unlike("passes") ? " per pass" : "";
  const said = [];
  if (single !== null) said.push(`the map of ${contents.words[single].label}${per}, to ${to}`);
  else if (contents.words.length) said.push(`opacity: the word's map${per}, to ${to}`);
  if (shared && unlike("rule")) said.push("each pooling has a scale of its own");
  const bases = figures.map(({ column }) => [column, baseOf(contents, column, state)]).filter(([column, base]) => column !== base);
  const names = [...new Set(bases.map(([, base]) => base.name))].join(", ");
  if (compare) said.push(`red: more than in ${names}, blue: less`);
  said.push(`threshold ${state.threshold.toFixed(3)}`, ...narrowing(contents, state).map(({ text }) => text));
  if (state.pixel !== null && !view.pointing) said.push(`pixel ${state.pixel.join(", ")}`);
  return said.join("; ");
}

// The prompt in pieces, each with its hue if it has one.
function prompted({ prompt, words }, hues) {
  const letters = Array.from(prompt);
  const pieces = [];
  let at = 0;
  words.forEach(({ start, end }, word) => {
    pieces.push([letters.slice(at, start).join("")], [letters.slice(start, end).join(""), hues.get(word)]);
    at = end;
  });
  return [...pieces, [letters.slice(at).join("")]];
}
