// A video is a column for each frame of its maps, of which one is shown: which, and a way through.
import { makeScrubber } from "./scrubber.js";
import { element } from "../elements.js";

// The runs with their columns: an image's one, a video's frames.
export function runsOf({ columns }) {
  const runs = new Map();
  for (const column of columns) {
    const name = column.video ?? column.name;
    runs.set(name, [...(runs.get(name) ?? []), column]);
  }
  return [...runs].map(([name, own]) => ({ name, columns: own }));
}

export const isShown = (run, { columns }) => run.columns.some(({ name }) => columns.includes(name));

// Names of the columns of runs at a frame; of a shorter video its last, of an image its own.
export function columnsAt(runs, frame) {
  return runs.map(({ columns }) => columns[Math.min(frame, columns.length - 1)].name);
}

// The column that one is compared with: the first run's at its frame.
export function baseOf(contents, column, state) {
  const frame = column.frame ?? frameOf(contents, state);
  const [{ columns }] = runsOf(contents);
  return columns[Math.min(frame, columns.length - 1)];
}

// The first frame that is shown.
export function frameOf(contents, { columns }) {
  const shown = contents.columns.filter(({ name, frame }) => frame !== null && columns.includes(name));
  return shown.length ? Math.min(...shown.map(({ frame }) => frame)) : 0;
}

// null where there is no video.
export function makeFrames(contents, view) {
  const runs = runsOf(contents);
  const count = Math.max(0, ...runs.map(({ columns }) => columns.length));
  if (count < 2) return null;
  const scrubber = makeScrubber("frame", count - 1, (place) => {
    const state = view.state();
    view.set({ columns: columnsAt(runs.filter((run) => isShown(run, state)), place) });
  });
  const note = element("p", { class: "note" }, "The maps of a video have fewer frames than it has: each lies over the one that it stands for.");
  return {
    name: "frames",
    node: element("div", {}, scrubber.node, note),
    show(state) {
      const place = frameOf(contents, state);
      scrubber.show(place, `${place + 1} of ${count}`);
    },
    stop: scrubber.stop,
  };
}
