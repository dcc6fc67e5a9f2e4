// The images side by side: what lies over them, a pointed pixel, a brushed region.
import { mapOf } from "./maps.js";
import { differenceScale, paintDifference, paintHeat, paintMasks } from "./paint.js";
import { element } from "../elements.js";

export function makeColumns(contents, view) {
  const figures = contents.columns.map((column) => makeFigure(contents, column, view));
  const node = element("div", { class: "columns" }, ...figures.map((figure) => figure.node));

  function show(state) {
    const shown = contents.columns.filter(({ name }) => state.columns.includes(name));
    const single = state.word ?? (state.pins.length === 1 ? state.pins[0] : null);
    const compare = state.difference && single !== null && shown.length > 0;
    const scale = compare ? differenceScale(contents, shown, single, state) : 0;
    figures.forEach((figure) => figure.show(state, single, compare, scale));
    return { single, compare, scale };
  }
  return { node, show, canvases: () => figures.filter(({ node }) => !node.hidden) };
}

function makeFigure(contents, column, view) {
  const { width, height } = column;
  const canvas = element("canvas", {
    width, height, tabindex: 0, role: "application", "aria-roledescription": "image to point at",
  });
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(width, height);
  const box = element("div", { class: "box", hidden: true });
  const point = element("div", { class: "point", hidden: true });
  const caption = element("figcaption");
  const node = element("figure", {}, element("div", { class: "frame" }, canvas, box, point), caption);
  canvas.style.setProperty("--ratio", width / height);
  const picture = column.image === null ? null : Object.assign(new Image(), { src: column.image });
  if (picture) picture.onload = () => view.show();
  follow(canvas, column, view);

  function show(state, single, compare, scale) {
    node.hidden = !state.columns.includes(column.name);
    if (node.hidden) return;
    const first = contents.columns[0];
    const map = single === null ? null : mapOf(contents, column, single, state);
    const base = compare && column !== first ? mapOf(contents, first, single, state) : null;
    const alike = base && map && base.levels.length === map.levels.length && width === first.width;
    let note = column.name;
    if (single !== null && !column.has[single]) note += " (not in its prompt)";
    else if (single !== null && !map) note += " (not kept)";
    if (compare && column !== first && map && !alike) note += " (other size: no difference)";
    if (alike) note += ` - ${first.name}`;
    caption.textContent = contents.columns.length > 1 || note !== column.name ? note : "";
    for (let i = 3; i < pixels.data.length; i += 4) pixels.data[i] = 255;
    if (alike) paintDifference(contents, column, map, base, scale, pixels.data);
    else if (map) paintHeat(contents, column, map, state.threshold, pixels.data);
    else if (single === null && state.pins.length > 1) {
      const maps = state.pins.map((word) => mapOf(contents, column, word, state));
      paintMasks(contents, column, maps, state.threshold, pixels.data);
    }
    if (map || (single === null && state.pins.length > 1)) pen.putImageData(pixels, 0, 0);
    else plain(pen, picture, column);
    mark(box, point, column, state);
    canvas.setAttribute("aria-label", describe(contents, column, state, single));
  }
  return { node, show, canvas, column, caption };
}

function plain(pen, picture, { width, height }) {
  pen.fillStyle = "rgb(128 128 128)";
  pen.fillRect(0, 0, width, height);
  if (picture?.complete) pen.drawImage(picture, 0, 0, width, height);
}

function describe(contents, column, { pins }, single) {
  const label = (word) => contents.words[word].label;
  const over =
    single !== null ? `, with the map of ${label(single)}`
    : pins.length > 1 ? `, with the masks of ${pins.map(label).join(" and ")}` : "";
  return `image of ${column.prompt} (${column.name})${over}`;
}

function mark(box, point, { width, height }, { region, pixel }) {
  const share = (part, whole) => `${(100 * part) / whole}%`;
  box.hidden = region === null;
  if (region !== null) {
    const [top, left, bottom, right] = region;
    box.style.inset = `${share(top, height)} ${share(width - right, width)} ${share(height - bottom, height)} ${share(left, width)}`;
  }
  point.hidden = pixel === null || pixel[0] >= height || pixel[1] >= width;
  if (pixel !== null) {
    point.style.top = share(pixel[0] + 0.5, height);
    point.style.left = share(pixel[1] + 0.5, width);
  }
}

// The pointer: over the image it names a pixel, a click keeps it; pressed it brushes a region.
// Keys do the same.
function follow(canvas, { width, height }, view) {
  let start = null; // where a brush began
  let kept = null; // the pixel clicked
  const at = (event) => {
    const frame = canvas.getBoundingClientRect();
    const within = (share, size) => Math.min(Math.max(Math.floor(share * size), 0), size - 1);
    return [
      within((event.clientY - frame.top) / frame.height, height),
      within((event.clientX - frame.left) / frame.width, width),
    ];
  };
  const around = ([y, x], [v, u]) => [Math.min(y, v), Math.min(x, u), Math.max(y, v) + 1, Math.max(x, u) + 1];
  const moved = (here) => start && Math.max(Math.abs(here[0] - start[0]), Math.abs(here[1] - start[1])) > 2;
  const letGo = () => {
    start = null;
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const here = at(event);
    view.set(moved(here) ? { pixel: here, region: around(start, here) } : { pixel: here });
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!start) return;
    const here = at(event);
    if (!moved(here)) {
      kept = view.state().region ? kept : here;
      view.set({ region: null });
    }
    letGo();
  });
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("lostpointercapture", letGo);
  canvas.addEventListener("pointerleave", () => start || view.set({ pixel: kept }));
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Escape") {
      kept = null;
      view.set({ pixel: null, region: null });
    }
    if (!moves[event.key]) return;
    event.preventDefault();
    const { pixel, region } = view.state();
    const jump = Math.max(1, Math.round(Math.min(height, width) / 32));
    const old = pixel ?? [height >> 1, width >> 1];
    const here = [0, 1].map((axis) =>
      Math.min(Math.max(old[axis] + jump * moves[event.key][axis], 0), [height, width][axis] - 1),
    );
    if (event.shiftKey) start ??= region ? opposite(region, old) : old;
    else letGo();
    view.set(event.shiftKey ? { pixel: here, region: around(start, here) } : { pixel: here });
  });
  canvas.addEventListener("keyup", (event) => event.key === "Shift" && letGo());
}

// The corner of a region that is farthest from a pixel.
function opposite([top, left, bottom, right], [y, x]) {
  return [2 * y < top + bottom ? bottom - 1 : top, 2 * x < left + right ? right - 1 : left];
}
