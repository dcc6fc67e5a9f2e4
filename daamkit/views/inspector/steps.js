// The steps: a slider, play, and each coloured word's strength over them; a click jumps there.
import { shownWords } from "./hues.js";
import { runsOf } from "./frames.js";
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
  const legend = element("p", { class: "note runs" });
  const note = element("p", { class: "note" }, "Each coloured word's highest value; click to jump.");
  return {
    name: "steps",
    node: element("div", {}, scrubber.node, lines, legend, note),
    show(state) {
      const place = state.step === null ? 0 : state.step + 1;
      scrubber.show(place, place ? `${place} of ${count}` : `all ${count}`);
      lines.replaceChildren(...curves(contents, count, state));
      legend.replaceChildren(...runsShown(contents, state).flatMap(({ name, dash }) => [dashed(dash), ` ${name} `]));
      legend.hidden = contents.columns.length < 2;
    },
    stop: scrubber.stop,
  };
}

const DASHES = ["", "6 3", "2 2", "8 2 2 2"]; // solid is the first run, dashed the next, then dotted

// The runs that are shown and have steps, each with its dash, which stays its own.
function runsShown(contents, { columns }) {
  return runsOf(contents).flatMap((run, i) => {
    const column = run.columns.find(({ name, steps }) => columns.includes(name) && steps);
    return column ? [{ name: run.name, column, dash: DASHES[i % DASHES.length] }] : [];
  });
}

function dashed(dash) {
  const line = drawn("path", { d: "M0,4 h28", stroke: "currentColor", "stroke-width": 2, "stroke-dasharray": dash });
  return drawn("svg", { width: 28, height: 8, "aria-hidden": true }, line);
}

function curves(contents, count, state) {
  const { step, pins, word } = state;
  const shown = shownWords(contents, pins);
  if (word !== null && !shown.some((each) => each.word === word)) shown.push({ word, hue: null });
  const runs = runsShown(contents, state);
  const peaks = (column, each) => (column.has[each] ? column.steps.peaks[column.row[each]] : []);
  const most = (rule) =>
    Math.max(1e-30, ...runs.flatMap(({ column }) => (column.rule === rule ? shown.flatMap((each) => peaks(column, each.word)) : [])));
  const x = (at) => ((at + 0.5) / count) * WIDE;
  const found = runs.flatMap(({ column, dash }) => {
    const top = most(column.rule);
    return shown.map((each) => {
      const own = peaks(column, each.word);
      const y = (peak) => TALL - 4 - (peak / top) * (TALL - 10);
      const points = own.length === 1
        ? [-0.3, 0.3].map((aside) => `${x(aside)},${y(own[0])}`) // of one step, a line within it
        : own.map((peak, at) => `${x(at)},${y(peak)}`);
      const stroke = each.hue === null ? "currentColor" : colour(contents.hues[each.hue]);
      return drawn("polyline", { points: points.join(" "), stroke, class: "curve", "stroke-dasharray": dash });
    });
  });
  if (step !== null) found.unshift(drawn("rect", { class: "now", x: x(step) - WIDE / count / 2, y: 0, width: WIDE / count, height: TALL }));
  return found;
}
