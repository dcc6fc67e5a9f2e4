// The inspector: its state is the widget's traits, everything seen is drawn from it.
import { readContents } from "./contents.js";
import { makeColumns } from "./columns.js";
import { makeControls } from "./controls.js";
import { element, hideStill } from "../elements.js";
import { makeExports } from "./exports.js";
import { makeLayers } from "./layers.js";
import { mixHeat } from "./paint.js";
import { makeStrip } from "./strip.js";
import { makeValues } from "./values.js";

const TRAITS = [
  "word", "pins", "step", "site", "head", "threshold", "region", "pixel", "columns", "difference",
];

async function render({ model, el }) {
  const contents = await readContents(model.get("_about"), model.get("_data"));
  contents.table = mixHeat(contents.heat);
  const view = makeView(contents, model);
  const strip = makeStrip(contents, view);
  const columns = makeColumns(contents, view);
  const controls = makeControls(contents, view);
  const layers = makeLayers(contents, view);
  const values = makeValues(contents);
  const exports = makeExports(contents, view, model);
  const root = element(
    "div", { class: "daamkit-inspector", role: "region", "aria-label": `attention inspector: ${contents.prompt}`,
      "data-lm-suppress-shortcuts": "true" }, // JupyterLab's keys stay out
    strip.node,
    element("div", { class: "desk" }, columns.node, element("div", { class: "side" }, controls.node, values.node)),
    layers.node,
    exports.node,
  );
  view.canvases = columns.canvases;
  view.draw = () => {
    const state = view.state();
    strip.show(state);
    controls.show(state, columns.show(state));
    layers.show(state);
    values.show(state);
    root.dataset.drawn = Number(root.dataset.drawn ?? 0) + 1;
  };
  const events = TRAITS.map((name) => `change:${name}`).join(" ");
  model.on(events, view.show);
  hideStill(model.get("_still"), 1);
  el.append(root);
  view.draw();
  return () => {
    for (const part of [view, strip, controls, values, exports]) part.stop();
    model.off(events, view.show);
    hideStill(model.get("_still"), -1);
  };
}

function makeView(contents, model) {
  const index = (label) => contents.words.findIndex((word) => word.label === label);
  const label = (word) => contents.words[word].label;
  let waiting = 0;
  let saving = 0;
  const save = () => {
    saving = 0;
    model.save_changes();
  };
  const view = {
    stop() {
      cancelAnimationFrame(waiting);
      clearTimeout(saving);
      if (saving) save();
    },
    // The traits, with words as their places in the prompt.
    state() {
      const state = Object.fromEntries(TRAITS.map((name) => [name, model.get(name) ?? null]));
      const word = state.word === null ? null : index(state.word);
      return { ...state, word, pins: state.pins.map(index) };
    },
    set(changes) {
      for (const [name, value] of Object.entries(changes))
        if (JSON.stringify(model.get(name)) !== JSON.stringify(value)) model.set(name, value);
      saving ||= setTimeout(save, 60);
      view.show();
    },
    show() {
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        view.draw();
      });
    },
    look: (word) => view.set({ word: word === null ? null : label(word) }),
    pinOnly: (words) => view.set({ pins: words.map(label), word: null }),
    pin(word) {
      const { pins } = view.state();
      const others = pins.filter((pin) => pin !== word);
      view.pinOnly(others.length < pins.length ? others : [...pins, word]);
    },
  };
  return view;
}

export default { render };
