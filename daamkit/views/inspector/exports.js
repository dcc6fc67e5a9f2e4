// What is seen as a file: PNG, SVG, or the whole inspector as one HTML page.
import { colour, drawn, element } from "../elements.js";

export function makeExports(contents, view, model) {
  const button = (name, make) =>
    element("button", { type: "button", class: "export", onclick: () => save(name, make) }, name.toUpperCase());
  const save = async (name, make) => {
    const file = await make();
    if (file) download(file, `daamkit.${name}`);
  };
  // A page keeps its own source; behind a notebook Python makes it and answers.
  let asked = false; // several views share a widget: who asked saves
  const page = () => {
    if (model.source) return new Blob([model.source()], { type: "text/html" });
    asked = true;
    model.send({ kind: "page" });
    return null;
  };
  const answered = (message, buffers) => {
    if (message.kind === "page" && asked)
      download(new Blob([buffers[0]], { type: "text/html" }), "daamkit.html");
    asked = false;
  };
  model.on("msg:custom", answered);
  const node = element(
    "div", { class: "exports", role: "group", "aria-label": "save as" },
    "save as ", button("png", () => asPng(view)), button("svg", () => asSvg(contents, view)), button("html", page),
  );
  return { node, stop: () => model.off("msg:custom", answered) };
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const GAP = 8;

async function asPng(view) {
  const figures = view.canvases();
  const canvas = element("canvas", {
    width: figures.reduce((sum, { column }) => sum + column.width + GAP, -GAP),
    height: Math.max(...figures.map(({ column }) => column.height)),
  });
  const pen = canvas.getContext("2d");
  let x = 0;
  for (const { canvas: own, column } of figures) {
    pen.drawImage(own, x, 0);
    x += column.width + GAP;
  }
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// Pictures as they are, all text as text.
function asSvg(contents, view) {
  const figures = view.canvases();
  const { pins, word } = view.state();
  const named = word === null ? pins : [word];
  const scale = 256 / Math.max(...figures.map(({ column }) => column.height));
  const width = figures.reduce((sum, { column }) => sum + column.width * scale + GAP, -GAP);
  const text = (content, x, y, more = {}) =>
    drawn("text", { x, y, "font-family": "sans-serif", "font-size": 13, ...more }, content);
  const spans = named.map((each, i) => {
    const hue = named.length > 1 ? colour(contents.hues[i % 5]) : "black";
    return drawn("tspan", { fill: hue, "font-weight": "bold" }, `${contents.words[each].label}  `);
  });
  const title = text("", 0, 14);
  const written = (named.length ? named.map((each) => contents.words[each].label) : [contents.prompt]).join("  ").length * 8;
  const wide = Math.max(width, written); // about as wide as it is written
  title.append(...(spans.length ? spans : [contents.prompt]));
  const svg = drawn("svg", { xmlns: "http://www.w3.org/2000/svg", viewBox: `0 0 ${wide} 300`, width: wide, height: 300 }, title);
  let x = 0;
  for (const { canvas, column, caption } of figures) {
    const size = { width: column.width * scale, height: column.height * scale };
    svg.append(drawn("image", { href: canvas.toDataURL("image/png"), x, y: 22, ...size }));
    svg.append(text(caption.textContent, x, 38 + size.height, { "font-size": 12 }));
    x += size.width + GAP;
  }
  return new Blob([new XMLSerializer().serializeToString(svg)], { type: "image/svg+xml" });
}
