// Threshold, step and play, columns and their difference; the colours' scale.
import { colour, element } from "../elements.js";

export function makeControls(contents, view) {
  const threshold = makeThreshold(contents, view);
  const step = makeStep(contents, view);
  const choice = makeChoice(contents, view);
  const node = element("div", { class: "controls" }, threshold.node, step.node, choice.node);
  return {
    node,
    show(state, seen) {
      threshold.show(state, seen);
      step.show(state);
      choice.show(state);
    },
    stop: step.stop,
  };
}

function makeThreshold(contents, view) {
  const value = element("output");
  const slider = element("input", {
    type: "range", min: 0, max: 1, step: 1 / contents.cuts, class: "threshold",
    oninput: () => view.set({ threshold: Number(slider.value) }),
  });
  const bar = element("div", { class: "bar" });
  const ends = element("div", { class: "ends" }, element("span"), element("span"));
  const node = element("div", { class: "control" }, element("label", {}, "threshold ", value, slider), bar, ends);
  const gradient = (lut) => {
    const stops = Array.from({ length: 17 }, (_, i) => {
      const at = Math.round((i / 16) * (lut.length / 3 - 1));
      return colour(lut.slice(3 * at, 3 * at + 3));
    });
    return `linear-gradient(to right, ${stops.join(", ")})`;
  };
  return {
    node,
    show({ threshold }, { compare, scale }) {
      slider.value = threshold;
      value.textContent = `${threshold.toFixed(3)} of the maximum`;
      bar.style.background = gradient(compare ? contents.diverging : contents.heat);
      const [low, high] = compare
        ? [`${(-scale).toPrecision(2)}: less`, `more: ${scale.toPrecision(2)}`]
        : ["0", "the word's maximum"];
      ends.children[0].textContent = low;
      ends.children[1].textContent = high;
    },
  };
}

function makeStep(contents, view) {
  const count = Math.max(0, ...contents.columns.map(({ steps }) => steps?.count ?? 0));
  if (!count) {
    const note = 'Steps were not kept: trace with keep=("step", "site", "head").';
    return { node: element("p", { class: "note control" }, note), show() {}, stop() {} };
  }
  let timer = null;
  const value = element("output");
  const slider = element("input", {
    type: "range", min: 0, max: count, step: 1, class: "step",
    oninput: () => go(Number(slider.value)),
  });
  const play = element("button", { type: "button", class: "play", onclick: () => (timer ? stop() : start()) }, "play");
  const go = (place) => view.set({ step: place ? place - 1 : null, site: null, head: null });
  const start = () => {
    play.textContent = "pause";
    const next = () => {
      const place = ((view.state().step ?? -1) + 2) % (count + 1);
      go(place);
      if (!place) stop();
    };
    timer = setInterval(next, 160);
    next();
  };
  const stop = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
  };
  return {
    node: element("div", { class: "control" }, element("label", {}, "step ", value, slider), play),
    show({ step }) {
      slider.value = step === null ? 0 : step + 1;
      value.textContent = step === null ? `all ${count}` : `${step + 1} of ${count}`;
    },
    stop,
  };
}

function makeChoice(contents, view) {
  const names = contents.columns.map(({ name }) => name);
  if (names.length < 2) return { node: element("span", { hidden: true }), show() {} };
  const box = (text, onchange) => {
    const input = element("input", { type: "checkbox", onchange: () => onchange(input.checked) });
    return { input, node: element("label", { class: "choice" }, input, text) };
  };
  const columns = names.map((name) =>
    box(name, (on) => {
      const left = names.filter((n) => (n === name ? on : view.state().columns.includes(n)));
      if (left.length) view.set({ columns: left });
      else view.show(); // the last one stays
    }),
  );
  const difference = box(`difference from ${names[0]}`, (on) => view.set({ difference: on }));
  const fields = [...columns, difference].map(({ node }) => node);
  return {
    node: element("fieldset", { class: "control" }, element("legend", {}, "columns"), ...fields),
    show(state) {
      columns.forEach(({ input }, i) => (input.checked = state.columns.includes(names[i])));
      difference.input.checked = state.difference;
    },
  };
}
