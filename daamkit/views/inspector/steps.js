// The steps: a slider, play, and each coloured word's strength over them; a click jumps there.
import { shownWords } from "./hues.js";
import { makeScrubber } from "./scrubber.js";
import { colour, drawn, element } from "../elements.js";

const [WIDE, TALL] = [300, 84];

export function makeSteps(contents, view) {
  const count = Math.max(0, ...contents.columns.map(({ steps }) => steps?.count ?? 0));
  if (!count) {
    const note = 'Steps were not kept: trace with keep=("step", "site", "head").';
    return { name: "steps", node: element("p", { class: "note" }, note), show() {} };
  }
  const go = (place) => view.set({ step: place ? place - 1 : null, site: null, head: null });
  const scrubber = makeScrubber("step", count, go);
  const lines = drawn("svg", { class: "spark", viewBox: `0 0 ${WIDE} ${TALL}`, preserveAspectRatio: "none", "aria-hidden": true });
  lines.addEventListener("click", (event) => {
    const frame = lines.getBoundingClientRect();
    const share = (event.clientX - frame.left) / frame.width;
    go(1 + Math.min(count - 1, Math.max(0, Math.floor(share * count))));
  });
  const note = element("p", { class: "note" }, "Each coloured word's highest value at each step; click to jump.");
  return {
    name: "steps",
    node: element("div", {}, scrubber.node, lines, note),
    show(state) {
      const place = state.step === null ? 0 : state.step + 1;
      scrubber.show(place, place ? `${place} of ${count}` : `all ${count}`);
      lines.replaceChildren(...curves(contents, count, state));
    },
    stop: scrubber.stop,
  };
}

// Solid is the first run, dashed the next, then dotted.
function curves(contents, count, { step, pins, word, columns }) {
  const shown = shownWords(contents, pins);
  if (word !== null && !shown.some((each) => each.word === word)) shown.push({ word, hue: null });
  const runs = contents.columns.filter(({ name, steps }) => columns.includes(name) && steps);
  const peaks = (column, each) => (column.has[each] ? column.steps.peaks[column.row[each]] : []);
  const most = Math.max(1e-30, ...runs.flatMap((column) => shown.flatMap((each) => peaks(column, each.word))));
  const x = (at) => ((at + 0.5) / count) * WIDE;
  const found = runs.flatMap((column, i) =>
    shown.map((each) => {
      const points = peaks(column, each.word).map((peak, at) => `${x(at)},${TALL - 4 - (peak / most) * (TALL - 10)}`);
      const stroke = each.hue === null ? "currentColor" : colour(contents.hues[each.hue]);
      return drawn("polyline", { points: points.join(" "), stroke, class: "curve", "stroke-dasharray": ["", "6 3", "2 2", "8 2 2 2"][i % 4] });
    }),
  );
  if (step !== null) found.unshift(drawn("rect", { class: "now", x: x(step) - WIDE / count / 2, y: 0, width: WIDE / count, height: TALL }));
  return found;
}
