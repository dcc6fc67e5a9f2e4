// A slider, and a button that plays it once round: from where it stands to the end, then the start.
import { element } from "../elements.js";

export function makeScrubber(name, most, go) {
  let timer = null;
  let now = 0;
  const value = element("output");
  const slider = element("input", {
    type: "range", min: 0, max: most, step: 1, class: name, "aria-label": name, oninput: () => go(Number(slider.value)),
  });
  const play = element("button", { type: "button", class: "play", onclick: () => (timer ? stop() : start()) }, "play");
  const next = () => {
    now = (now + 1) % (most + 1);
    go(now);
    if (now) wait();
    else stop();
  };
  const wait = () => { // for the eye, then for the frame: a slow machine shows each place too
    const own = setTimeout(() => requestAnimationFrame(() => timer === own && next()), 160);
    timer = own;
  };
  const start = () => {
    play.textContent = "pause";
    next();
  };
  const stop = () => {
    clearTimeout(timer);
    timer = null;
    play.textContent = "play";
  };
  return {
    node: element("div", { class: "beside" }, element("label", {}, `${name} `, value, slider), play),
    show(place, text) {
      now = place;
      slider.value = place;
      value.textContent = text;
      slider.setAttribute("aria-valuetext", text);
    },
    stop,
  };
}
