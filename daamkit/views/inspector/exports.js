// What is seen, to hand on: PNG and SVG with prompt, legend and seed; the inspector as one HTML
// page; the view as Python.
import { columnsAt, runsOf } from "./frames.js";
import { asSvg } from "./sheet.js";
import { element } from "../elements.js";

export function makeExports(contents, view, model) {
  const button = (name, make) =>
    element("button", { type: "button", class: "export", onclick: () => save(name, make) }, name.toUpperCase());
  const said = element("span", { class: "note", "aria-live": "polite" });
  const save = async (name, make) => {
    said.textContent = "";
    const file = await make();
    if (file) download(file, `daamkit.${name}`);
  };
  const svg = () => new Blob([asSvg(contents, view).text], { type: "image/svg+xml" });
  // A page keeps its own source; behind a notebook Python makes it and answers.
  let asked = 0; // several views share a widget: who asked saves
  const page = () => {
    if (model.source) return new Blob([model.source()], { type: "text/html" });
    said.textContent = "asking Python …";
    asked = setTimeout(() => {
      said.textContent = "No kernel has answered: HTML wants one, PNG and SVG do not. Run the cell again.";
      asked = 0;
    }, 8000);
    try {
      model.send({ kind: "page" });
    } catch {
      said.textContent = "There is no kernel any more: run the cell again.";
    }
    return null;
  };
  const answered = (message, buffers) => {
    if (message.kind !== "page" || !asked) return;
    clearTimeout(asked);
    asked = 0;
    said.textContent = "";
    download(new Blob([buffers[0]], { type: "text/html" }), "daamkit.html");
  };
  model.on("msg:custom", answered);
  const code = element("textarea", { class: "code", readonly: true, rows: 5, "aria-label": "this view as Python", spellcheck: "false", onfocus: () => code.select() });
  const copy = element("button", { type: "button", onclick: copied }, "copy as Python");
  async function copied() {
    try {
      await navigator.clipboard.writeText(code.value);
      said.textContent = "copied";
    } catch {
      code.focus(); // selected: the keys copy it
      said.textContent = "press Ctrl+C";
    }
  }
  const files = element("div", { class: "exports", role: "group", "aria-label": "save as" }, "save ", button("png", () => asPng(contents, view)), button("svg", svg), button("html", page));
  return {
    name: "share",
    node: element("div", {}, files, code, element("div", { class: "exports" }, copy, said)),
    show: () => (code.value = asPython(contents, view.own())),
    stop() {
      clearTimeout(asked);
      model.off("msg:custom", answered);
    },
  };
}

function download(blob, name) {
  const url = URL.createObjectURL(blob);
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

async function asPng(contents, view) {
  const { text, width, height } = asSvg(contents, view);
  const page = new Image();
  page.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await page.decode();
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(page, 0, 0, width, height);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

// As `Inspector.code` has it.
function asPython(contents, state) {
  const text = (value) => `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'").replaceAll("\n", "\\n")}'`;
  const list = (values) => `[${values.join(", ")}]`;
  const label = (word) => text(contents.words[word].label);
  const runs = runsOf(contents);
  const lines = [`inspector = daamkit.Inspector(*runs, names=${list(runs.map(({ name }) => text(name)))})`];
  const add = (name, value) => lines.push(`inspector.${name} = ${value}`);
  if (state.word !== null) add("word", label(state.word));
  if (state.pins.length) add("pins", list(state.pins.map(label)));
  if (state.step !== null) add("step", state.step);
  if (state.site !== null) add("site", text(state.site));
  if (state.head !== null) add("head", state.head);
  if (state.threshold !== 0.4) add("threshold", state.threshold);
  if (state.scale !== "shared") add("scale", text(state.scale));
  if (state.region !== null) add("region", list(state.region));
  if (state.pixel !== null) add("pixel", list(state.pixel));
  if (String(state.columns) !== String(columnsAt(runs, 0))) add("columns", list(state.columns.map(text)));
  if (state.difference) add("difference", "True");
  return `${lines.join("\n")}\n`;
}
