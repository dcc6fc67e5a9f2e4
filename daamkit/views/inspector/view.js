// The state that is seen, and what changes it.
import { columnsAt, frameOf, runsOf } from "./frames.js";

export const TRAITS = [
  "word", "pins", "step", "site", "head", "threshold", "scale", "region", "pixel", "columns", "difference",
];

export function makeView(contents, model) {
  const index = (label) => contents.words.findIndex((word) => word.label === label);
  const label = (word) => contents.words[word].label;
  let waiting = 0;
  let saving = 0;
  let peeked = null; // a part that is pointed at: seen, not chosen
  const save = () => {
    saving = 0;
    try {
      model.save_changes();
    } catch {
      // No kernel hears it any more; the view works on.
    }
  };
  const view = {
    boxing: false, // a finger draws boxes
    kept: model.get("pixel") ?? null, // the pixel clicked
    pointing: false, // whether `pixel` is where the pointer is
    over: null, // the word that the pointer or the focus is on: with it `word` is let go
    tab: null, // the name of the panel chosen
    arcs: false, // those of function words too
    said: "", // what the status line says, until something changes
    stop() {
      cancelAnimationFrame(waiting);
      clearTimeout(saving);
      if (saving) save();
    },
    // The traits, with words as their places in the prompt.
    own() {
      const state = Object.fromEntries(TRAITS.map((name) => [name, model.get(name) ?? null]));
      const word = state.word === null ? null : index(state.word);
      return { ...state, word, pins: state.pins.map(index) };
    },
    state: () => ({ ...view.own(), ...peeked }),
    peek(part) {
      peeked = part;
      view.show();
    },
    say(text) {
      view.said = text;
      view.show();
    },
    set(changes) {
      view.said = "";
      for (const [name, value] of Object.entries(changes))
        if (JSON.stringify(model.get(name)) !== JSON.stringify(value)) model.set(name, value);
      saving ||= setTimeout(save, 60);
      view.show();
    },
    show() {
      waiting ||= requestAnimationFrame(() => {
        waiting = 0;
        view.draw?.();
      });
    },
    look(word) {
      view.over = null;
      view.set({ word: word === null ? null : label(word) });
    },
    pointAt(word) {
      view.look(word);
      view.over = word;
    },
    pinOnly: (words) => view.set({ pins: words.map(label), word: null }),
    // As many as there are hues: then one is to be taken off before another comes.
    pin(word) {
      const { pins } = view.own();
      const others = pins.filter((pin) => pin !== word);
      if (others.length < pins.length) view.pinOnly(others);
      else if (pins.length < contents.hues.length) view.pinOnly([...pins, word]);
      else view.say(`All ${pins.length} hues are taken: let one go first`);
    },
    box(on) {
      view.boxing = on;
      view.show();
    },
    letPixelGo() {
      view.kept = null;
      view.set({ pixel: null });
    },
    // Lets go of all that has a chip; threshold and scale have none, and stay.
    clear() {
      view.kept = null;
      const columns = columnsAt(runsOf(contents), frameOf(contents, view.state()));
      view.set({ pins: [], word: null, step: null, site: null, head: null, region: null, pixel: null, difference: false, columns });
    },
  };
  return view;
}
