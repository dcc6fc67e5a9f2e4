// A hand on an image: over it it names a pixel, a click keeps it; pressed, or with "box" on, it
// draws a region. A finger taps to look and scrolls the page. Keys do the same.

export function follow(canvas, { width, height }, view) {
  let start = null; // where a brush began
  let tapped = false; // by a finger that may go on to scroll
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
  const looks = (event) => event.pointerType === "touch" && !view.boxing;
  const letGo = () => {
    start = null;
    tapped = false;
  };
  const keep = (pixel) => {
    view.kept = pixel;
    view.pointing = false;
    view.set({ pixel, region: null });
  };
  canvas.addEventListener("pointerdown", (event) => {
    tapped = looks(event);
    if (event.button !== 0 || tapped) return;
    start = at(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (looks(event)) return;
    const here = at(event);
    view.pointing = true;
    view.set(moved(here) ? { pixel: here, region: around(start, here) } : { pixel: here });
  });
  canvas.addEventListener("pointerup", (event) => {
    const here = at(event);
    if (tapped) keep(here);
    else if (start && !moved(here)) {
      if (!view.state().region) view.kept = here;
      view.set({ region: null });
    }
    letGo();
  });
  canvas.addEventListener("pointercancel", letGo);
  canvas.addEventListener("lostpointercapture", letGo);
  canvas.addEventListener("pointerleave", (event) => {
    if (start || looks(event)) return;
    view.pointing = false;
    view.set({ pixel: view.kept });
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    if (event.key === "Escape") keep(null);
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
    view.kept = here;
    view.set(event.shiftKey ? { pixel: here, region: around(start, here) } : { pixel: here });
  });
  canvas.addEventListener("keyup", (event) => event.key === "Shift" && letGo());
}

// The corner of a region that is farthest from a pixel.
function opposite([top, left, bottom, right], [y, x]) {
  return [2 * y < top + bottom ? bottom - 1 : top, 2 * x < left + right ? right - 1 : left];
}
