// The inspector: its state is the widget's traits, everything seen is drawn from it.
import { readAbout, readColumns } from "./contents.js";
import { makeColumns } from "./columns.js";
import { makeControls } from "./controls.js";
import { makeExports } from "./exports.js";
import { makeFrames } from "./frames.js";
import { makeHeads } from "./heads.js";
import { makeStatus } from "./status.js";
import { makeSteps } from "./steps.js";
import { makeStrip } from "./strip.js";
import { makeTabs } from "./tabs.js";
import { makeValues } from "./values.js";
import { makeView, TRAITS } from "./view.js";
import { element, hideStill } from "../elements.js";

async function render({ model, el }) {
  const contents = readAbout(model);
  await readColumns(contents, model);
  const view = makeView(contents, model);
  const root = element("div", {
    class: "daamkit-inspector", role: "region", "aria-label": `attention inspector: ${contents.prompt}`,
    "data-lm-suppress-shortcuts": "true", // JupyterLab's keys stay out
  });
  let parts = [];
  const build = () => {
    const restore = placeIn(root);
    parts.forEach((part) => part.stop?.());
    parts = assemble(contents, view, model, root);
    view.draw();
    restore();
  };
  let reading = Promise.resolve(); // one after the other
  const more = () => {
    reading = reading.then(() => readColumns(contents, model)).then(build);
  };
  const events = TRAITS.map((name) => `change:${name}`).join(" ");
  model.on(events, view.show);
  model.on("change:_names", more);
  hideStill(model.get("_still"), 1);
  el.append(root);
  build();
  return () => {
    for (const part of [view, ...parts]) part.stop?.();
    model.off(events, view.show);
    model.off("change:_names", more);
    hideStill(model.get("_still"), -1);
  };
}

// All that is seen, anew: when a run comes, nothing that is known of the others is computed again.
function assemble(contents, view, model, root) {
  const strip = makeStrip(contents, view);
  const status = makeStatus(contents, view);
  const columns = makeColumns(contents, view);
  const controls = makeControls(contents, view);
  const values = makeValues(contents);
  const panels = [makeFrames(contents, view), makeSteps(contents, view), makeHeads(contents, view), makeExports(contents, view, model)];
  const tabs = makeTabs(panels.filter((panel) => panel), view);
  const panel = element("div", { class: "side" }, controls.node, values.node, tabs.node);
  const desk = element("div", { class: "desk" }, columns.node, panel);
  root.replaceChildren(strip.node, status.node, desk);
  view.figures = columns.figures;
  view.draw = () => {
    const state = view.state();
    root.style.setProperty("--runs", state.columns.length);
    root.dataset.runs = state.columns.length;
    root.classList.toggle("boxing", view.boxing);
    const seen = columns.show(state);
    strip.show(state);
    status.show(view.own());
    controls.show(state, seen);
    values.show(state);
    tabs.show(state);
    root.dataset.drawn = Number(root.dataset.drawn ?? 0) + 1;
  };
  strip.place();
  return [strip, values, tabs];
}

// Where a person is in it, and the way back there: what has the focus, how far panels are scrolled.
function placeIn(root) {
  const called = (node) => node.getAttribute("aria-label") ?? node.dataset.word ?? node.labels?.[0]?.textContent ?? node.textContent;
  const panels = () => [...root.querySelectorAll(".values, .panel")];
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  const name = focused && called(focused);
  const tops = panels().map(({ scrollTop }) => scrollTop);
  return () => {
    panels().forEach((panel, i) => (panel.scrollTop = tops[i] ?? 0));
    if (focused) [...root.querySelectorAll(focused.tagName)].find((node) => called(node) === name)?.focus({ preventScroll: true });
  };
}

export default { render };
