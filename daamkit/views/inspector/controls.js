// Threshold, scale, runs and their difference; what the colours mean.
import { columnsAt, frameOf, isShown, runsOf } from "./frames.js";
import { topOf } from "./maps.js";
import { colour, element } from "../elements.js";

export function makeControls(contents, view) {
  const parts = [makeThreshold(contents, view), makeScale(contents, view), makeRuns(contents, view)];
  const node = element("div", { class: "controls" }, ...parts.map((part) => part.node));
  return { node, show: (state, seen) => parts.forEach((part) => part.show(state, seen)) };
}

function makeThreshold(contents, view) {
  const value = element("output");
  const slider = element("input", {
    type: "range", min: 0, max: 1, step: 1 / contents.cuts, class: "threshold", "aria-label": "threshold",
    oninput: () => view.set({ threshold: Number(slider.value) }),
  });
  const node = element("div", { class: "control" }, element("label", {}, "threshold ", value, slider));
  return {
    node,
    show({ threshold }) {
      slider.value = threshold;
      value.textContent = threshold.toFixed(3);
      slider.setAttribute("aria-valuetext", `${threshold.toFixed(3)} of a word's maximum`);
    },
  };
}

// The scale, and the colours along it.
function makeScale(contents, view) {
  const name = `scale-${Math.random().toString(36).slice(2)}`;
  const radio = (value, text) => {
    const input = element("input", { type: "radio", name, value, onchange: () => view.set({ scale: value }) });
    return { value, input, node: element("label", { class: "choice" }, input, text) };
  };
  const radios = [radio("shared", "one scale for all words"), radio("own", "each its own")];
  const bar = element("div", { class: "bar", "aria-hidden": true });
  const ends = element("div", { class: "ends" }, element("span"), element("span"));
  const node = element(
    "div", { class: "control" },
    element("div", { class: "choices", role: "radiogroup", "aria-label": "scale" }, ...radios.map((each) => each.node)), bar, ends,
  );
  const gradient = (lut) => {
    const stops = Array.from({ length: 17 }, (_, i) => {
      const at = Math.round((i / 16) * (lut.length / 3 - 1));
      return colour(lut.slice(3 * at, 3 * at + 3));
    });
    return `linear-gradient(to right, ${stops.join(", ")})`;
  };
  return {
    node,
    show(state, { single, compare, scale }) {
      for (const { input, value } of radios) input.checked = state.scale === value;
      bar.style.background = compare ? gradient(contents.diverging)
        : single !== null ? gradient(contents.heat) : "linear-gradient(to right, transparent, currentColor)";
      const [first] = contents.columns;
      const uneven = state.step === null && contents.columns.some(({ passes }) => passes !== first.passes);
      const number = (value, digits) => (uneven ? value / first.passes : value).toPrecision(digits) + (uneven ? " per pass" : "");
      const pooling = contents.columns.some(({ rule }) => rule !== first.rule) ? `, ${first.rule} pooling` : "";
      const top = state.scale === "own" ? "the word's maximum"
        : `${number(topOf(contents, first, 0, state), 3)}${pooling}, the strongest word`;
      const [low, high] = compare
        ? [`${number(-scale, 2)}: less`, `more: ${number(scale, 2)}`]
        : ["0", contents.words.length ? top : ""];
      ends.children[0].textContent = low;
      ends.children[1].textContent = high;
    },
  };
}

function makeRuns(contents, view) {
  const runs = runsOf(contents);
  const tick = (text, onchange) => {
    const input = element("input", { type: "checkbox", onchange: () => onchange(input.checked) });
    return { input, node: element("label", { class: "choice" }, input, text) };
  };
  const boxing = tick("draw boxes", (on) => view.box(on));
  if (runs.length < 2)
    return { node: element("div", { class: "control choices" }, boxing.node), show: () => (boxing.input.checked = view.boxing) };
  const ticks = runs.map((run) =>
    tick(run.name, (on) => {
      const state = view.state();
      const left = runs.filter((each) => (each === run ? on : isShown(each, state)));
      if (left.length) view.set({ columns: columnsAt(left, frameOf(contents, state)) });
      else view.show(); // the last one stays
    }),
  );
  const difference = tick(`difference from ${runs[0].name}`, (on) => view.set({ difference: on }));
  const hint = element("span", { class: "note" }, "pin one word, or point at one"); // its room is kept
  const fields = [...ticks, difference, boxing].map((each) => each.node);
  return {
    node: element("fieldset", { class: "control choices" }, element("legend", {}, "runs"), ...fields, hint),
    show(state, { single }) {
      ticks.forEach(({ input }, i) => (input.checked = isShown(runs[i], state)));
      difference.input.checked = state.difference;
      boxing.input.checked = view.boxing;
      hint.style.visibility = state.difference && single === null ? "visible" : "hidden";
    },
  };
}
