// What each head of each layer gives a word, the strongest first; with a layer chosen, all of that
// layer's. Pointing at one shows its map, clicking narrows the view to it.
import { shownWords } from "./hues.js";
import { partPeaks } from "./maps.js";
import { rgba } from "./paint.js";
import { siteName } from "./status.js";
import { rove } from "./strip.js";
import { element } from "../elements.js";

const MOST = 60; // heads of all layers that are drawn

export function makeHeads(contents, view) {
  const title = element("span", { class: "title" });
  const choice = element("select", { "aria-label": "layer", onchange: () => narrow(choice.value || null, null) });
  const grid = element("div", { class: "heads", role: "group", "aria-label": "heads", onpointerleave: () => view.peek(null) });
  grid.addEventListener("keydown", (event) => {
    rove(event, cells.map(({ node }) => node));
    if (event.key === "Escape") view.set({ site: null, head: null });
  });
  grid.addEventListener("focusout", (event) => grid.contains(event.relatedTarget) || view.peek(null));
  const rest = element("p", { class: "note" });
  const whole = element("div", {}, element("div", { class: "beside" }, title, choice), grid, rest);
  const none = element("p", { class: "note" }, "Layers were not kept.");
  const heat = Int32Array.from({ length: 256 }, (_, i) => rgba(...contents.heat.slice(3 * i, 3 * i + 3)));
  let column = null; // whose heads they are: of the first run shown that has layers
  let only = null; // the layer whose heads alone are drawn
  let cells = [];
  let built = "";
  const shownOf = (names) => contents.columns.find(({ name, layers }) => names.includes(name) && layers.length) ?? null;
  choose(shownOf(view.own().columns)); // before it is seen

  function choose(next) {
    if (next === null || column === next) return;
    column = next;
    const options = column.layers.map(({ name, grid: size }) => element("option", { value: name }, `${siteName(contents, name)} (${size.join(" × ")})`));
    choice.replaceChildren(element("option", { value: "" }, "all layers"), ...options);
  }

  function build(word) {
    const ranked = partPeaks(column, word);
    const shown = only === null ? ranked.slice(0, MOST) : ranked.filter(({ layer }) => layer.name === only);
    const most = Math.max(1e-30, shown[0].peak);
    cells = shown.map((part, i) => makeCell(word, part, most, i));
    grid.replaceChildren(...cells.map((cell) => cell.node));
    rest.textContent = only === null && ranked.length > MOST ? `The ${MOST} strongest of ${ranked.length}; choose a layer for all of its heads.` : "";
  }

  function makeCell(word, { layer, head, peak }, most, place) {
    const [height, width] = layer.grid;
    const canvas = element("canvas", { width, height });
    const pen = canvas.getContext("2d");
    const image = pen.createImageData(width, height);
    const out = new Int32Array(image.data.buffer);
    const bytes = column.part(layer, word, head);
    for (let i = 0; i < out.length; i++) out[i] = heat[Math.min(255, Math.round((bytes[i] * peak) / most))];
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

  // A layer that is chosen is drawn alone; a head that is chosen among all leaves them there.
  function alone({ site, head }) {
    const among = only === null && head !== null && cells.some((cell) => cell.site === site && cell.head === head);
    return among || !column.layers.some(({ name }) => name === site) ? null : site;
  }

  return {
    name: "layers and heads",
    node: element("div", {}, whole, none),
    show(state) {
      const next = shownOf(state.columns);
      whole.hidden = next === null;
      none.hidden = next !== null;
      if (next === null) return;
      choose(next);
      const [first] = shownWords(contents, state.pins);
      const word = [state.word, first?.word].find((each) => each !== null && each !== undefined && column.has[each]);
      const more = contents.columns.length > 1 ? ` in ${column.name}` : "";
      if (word === undefined) {
        title.textContent = title.title = `No shown word is in the prompt${more}`;
        grid.replaceChildren();
        built = rest.textContent = "";
        return;
      }
      const { site, head } = view.own();
      only = alone({ site, head });
      const key = JSON.stringify([column.name, word, only]);
      if (key !== built) build(word);
      built = key;
      title.textContent = title.title = `${contents.words[word].label}${more}, strongest first`;
      choice.value = only ?? "";
      for (const cell of cells) cell.node.setAttribute("aria-pressed", cell.site === site && cell.head === head);
    },
  };
}
