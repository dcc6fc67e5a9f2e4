// What each head of each layer gives a word, the strongest first. Pointing at one shows its map,
// clicking narrows the view to it.
import { shownWords } from "./hues.js";
import { partPeaks } from "./maps.js";
import { siteName } from "./status.js";
import { rove } from "./strip.js";
import { element } from "../elements.js";

const MOST = 60; // heads that are drawn

export function makeHeads(contents, view) {
  const column = contents.columns[0];
  const title = element("span");
  const choice = element(
    "select", { "aria-label": "layer", onchange: () => narrow(choice.value || null, null) },
    element("option", { value: "" }, "all layers"),
    ...column.layers.map(({ name, grid }) => element("option", { value: name }, `${siteName(contents, name)} (${grid.join(" × ")})`)),
  );
  const grid = element("div", { class: "heads", role: "group", "aria-label": "heads", onpointerleave: () => view.peek(null) });
  grid.addEventListener("keydown", (event) => {
    rove(event, cells.map(({ node }) => node));
    if (event.key === "Escape") view.set({ site: null, head: null });
  });
  grid.addEventListener("focusout", (event) => grid.contains(event.relatedTarget) || view.peek(null));
  const rest = element("p", { class: "note" });
  const node = element("div", {}, element("div", { class: "beside" }, title, choice), grid, rest);
  let cells = [];
  let drawnWord = null;

  function build(word) {
    drawnWord = word;
    const ranked = partPeaks(column, word);
    const most = Math.max(1e-30, ...ranked.map(({ peak }) => peak));
    cells = ranked.slice(0, MOST).map(({ layer, head, peak }, i) => makeCell(word, layer, head, peak / most, i));
    grid.replaceChildren(...cells.map((cell) => cell.node));
    rest.textContent = ranked.length > MOST ? `The ${MOST} strongest of ${ranked.length}.` : "";
  }

  function makeCell(word, layer, head, share, place) {
    const [height, width] = layer.grid;
    const canvas = element("canvas", { width, height });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(width, height);
    const bytes = column.part(layer, word, head);
    for (let i = 0; i < bytes.length; i++) {
      const at = 3 * Math.min(255, Math.round(bytes[i] * share));
      image.data.set([...contents.heat.slice(at, at + 3), 255], 4 * i);
    }
    pen.putImageData(image, 0, 0);
    const label = layer.heads > 1 ? `head ${head} of ${siteName(contents, layer.name)}` : `layer ${siteName(contents, layer.name)}`;
    const own = layer.heads > 1 ? head : null;
    const look = () => view.peek({ site: layer.name, head: own, step: null });
    const button = element("button", {
      type: "button", class: "head", "aria-label": label, title: label, tabindex: place ? -1 : 0,
      onpointerenter: (event) => event.pointerType !== "touch" && look(),
      onfocus: () => button.matches(":focus-visible") && look(),
      onclick: () => narrow(layer.name, own),
    }, canvas);
    return { node: button, site: layer.name, head: own };
  }

  // Clicking what is chosen gives it up.
  function narrow(site, head) {
    view.peek(null);
    const now = view.state();
    const same = site !== null && now.site === site && now.head === head;
    view.set(same ? { site: null, head: null } : { site, head, step: null });
  }

  return {
    name: "layers and heads",
    node: column.layers.length ? node : element("p", { class: "note" }, "Layers were not kept."),
    show(state) {
      const [first] = shownWords(contents, state.pins);
      const word = [state.word, first?.word].find((each) => each !== null && each !== undefined && column.has[each]);
      if (word === undefined || !column.layers.length) return;
      if (word !== drawnWord) build(word);
      title.textContent = `${contents.words[word].label}, strongest first`;
      const { site, head } = view.own();
      choice.value = site ?? "";
      for (const cell of cells) cell.node.setAttribute("aria-pressed", cell.site === site && cell.head === head);
    },
  };
}
