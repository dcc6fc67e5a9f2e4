// What is seen as one picture: prompt, images, legend, how they were made. `sheet.py` makes the like.
import { shownWords } from "./hues.js";
import { colour, drawn } from "../elements.js";

const [MARGIN, LINE] = [16, 24];
const [INK, SOFT] = ["#1b2230", "#5a6270"];

export function asSvg(contents, view) {
  const state = view.state();
  const figures = view.figures();
  const hues = new Map(state.word === null ? shownWords(contents, state.pins).map(({ word, hue }) => [word, hue]) : []);
  const side = Math.max(384, 2 * Math.max(...figures.map(({ column }) => column.height)));
  const wide = ({ column }) => Math.round((side * column.width) / column.height);
  const width = Math.max(480, figures.reduce((sum, figure) => sum + wide(figure) + MARGIN, MARGIN));
  const parts = [];
  const text = (content, x, y, { tint = INK, size = 15, bold = false } = {}) =>
    parts.push(drawn("text", { x, y, "font-size": size, fill: tint, "font-weight": bold ? "bold" : false }, content));
  const pen = document.createElement("canvas").getContext("2d");
  const flow = (pieces, y, size) => {
    let x = MARGIN;
    for (const [content, hue] of pieces)
      for (const part of hue === undefined ? content.split(" ") : [content]) {
        if (!part) continue;
        const bold = hue !== undefined;
        pen.font = `${bold ? "bold " : ""}${size}px sans-serif`;
        const needs = pen.measureText(`${part} `).width;
        if (x + needs > width - MARGIN && x > MARGIN) [x, y] = [MARGIN, y + LINE];
        text(part, x, y, { size, bold, tint: bold ? colour(contents.hues[hue]) : INK });
        x += needs;
      }
    return y;
  };
  const top = flow(prompted(contents, hues), MARGIN + 14, 18) + 14;
  let x = MARGIN;
  for (const figure of figures) {
    parts.push(drawn("image", { href: figure.canvas.toDataURL("image/png"), x, y: top, width: wide(figure), height: side }));
    text(figure.column.name, x, top + side + 20, { bold: true });
    text(figure.column.made, x, top + side + 40, { tint: SOFT, size: 13 });
    x += wide(figure) + MARGIN;
  }
  const to = state.scale === "shared" ? "the strongest word's maximum" : "its own maximum";
  const label = (word) => contents.words[word].label;
  const legend = state.word === null
    ? [...[...hues].map(([word, hue]) => [label(word), hue]), [`opacity: the word's map, to ${to}`]]
    : [[`the map of ${label(state.word)}, to ${to}`]];
  const height = flow(legend, top + side + 66, 14) + 14;
  const svg = drawn(
    "svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif" },
    drawn("rect", { width: "100%", height: "100%", fill: "white" }), ...parts,
  );
  return { text: new XMLSerializer().serializeToString(svg), width, height };
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
