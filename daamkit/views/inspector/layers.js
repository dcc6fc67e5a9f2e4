// Layer x head: what each head of each layer gives a word. Clicking one narrows the map to it.
import { element } from "../elements.js";

export function makeLayers(contents, view) {
  const column = contents.columns[0];
  const heads = Math.max(0, ...column.layers.map((layer) => layer.heads));
  const title = element("summary");
  const body = element("div", { class: "scroll" });
  const node = element("details", { class: "layers" }, title, body);
  let drawnWord;
  const cells = [];

  function build() {
    const names = [...Array(heads).keys()].map((h) => element("th", { scope: "col" }, heads > 1 ? `${h}` : "all"));
    const head = element("tr", {}, element("th", { scope: "col" }, "layer \\ head"), ...names);
    const rows = column.layers.map((layer) => {
      const own = [...Array(layer.heads).keys()].map((h) => element("td", {}, makeCell(layer, h)));
      const site = element("button", {
        type: "button", class: "site", title: layer.name, onclick: () => narrow(layer.name, null),
      }, shortName(layer));
      cells.push({ node: site, site: layer.name, head: null });
      return element("tr", {}, element("th", { scope: "row" }, site), ...own);
    });
    body.append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)));
  }

  function makeCell(layer, index) {
    const [height, width] = layer.grid;
    const canvas = element("canvas", { width, height });
    const label = `head ${index} of ${shortName(layer)}`;
    const button = element("button", {
      type: "button", class: "head", "aria-label": label, title: label,
      onclick: () => narrow(layer.name, index),
    }, canvas);
    cells.push({ node: button, site: layer.name, head: index, canvas, layer });
    return button;
  }

  // Clicking what is chosen gives it up.
  function narrow(site, head) {
    const now = view.state();
    const same = now.site === site && now.head === head;
    view.set(same ? { site: null, head: null } : { site, head, step: null });
    if (!now.pins.length && drawnWord !== undefined) view.pinOnly([drawnWord]);
  }

  // Each head by the maximum of the whole grid: what gives little is dark.
  function draw(word) {
    drawnWord = word;
    const row = column.row[word];
    const peak = Math.max(...column.layers.flatMap((layer) => layer.peaks[row]));
    for (const { canvas, layer, head } of cells.filter(({ canvas }) => canvas)) {
      const pen = canvas.getContext("2d");
      const pixels = pen.createImageData(canvas.width, canvas.height);
      const bytes = column.part(layer, word, head);
      const scale = peak > 0 ? layer.peaks[row][head] / peak / 255 : 0;
      for (let i = 0; i < bytes.length; i++) {
        const at = Math.round(bytes[i] * scale * contents.cuts) + 1;
        pixels.data.set([...contents.heat.slice(3 * at, 3 * at + 3), 255], 4 * i);
      }
      pen.putImageData(pixels, 0, 0);
    }
  }

  function show({ word, pins, site, head }) {
    const single = word ?? pins[0] ?? contents.words.findIndex((_, i) => column.has[i]);
    const chosen = site === null ? "" : `: ${site}${head === null ? "" : `, head ${head}`}`;
    title.textContent = single >= 0
      ? `Layers and heads of “${contents.words[single].label}”${chosen}`
      : "Layers and heads";
    if (!node.open || single < 0) return;
    if (!cells.length) build();
    if (drawnWord !== single && column.has[single]) draw(single);
    for (const cell of cells)
      cell.node.setAttribute("aria-pressed", cell.site === site && cell.head === head);
  }
  node.addEventListener("toggle", () => view.show());
  if (!column.layers.length) node.hidden = true;
  return { node, show };
}

// "up_blocks.1.attentions.0.transformer_blocks.0.attn2" as "up 1.0.0".
function shortName({ name, stage }) {
  const numbers = name.match(/\d+/g) ?? [];
  return /_block/.test(name) ? `${stage} ${numbers.slice(0, 3).join(".")}` : name;
}
