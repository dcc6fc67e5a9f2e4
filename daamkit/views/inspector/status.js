// What narrows the view, each with a way to let it go: nothing of it is ever out of sight.
import { columnsAt, frameOf, isShown, runsOf } from "./frames.js";
import { shownWords } from "./hues.js";
import { colour, element } from "../elements.js";

export function makeStatus(contents, view) {
  const node = element("div", { class: "status", role: "group", "aria-label": "what narrows the view" });
  let key = "";

  function show(state) {
    const chips = chipsOf(contents, view, state);
    const next = JSON.stringify([view.said, ...chips.map(({ text }) => text)]);
    if (next === key) return;
    key = next;
    const inside = node.contains(document.activeElement);
    const parts = chips.map(({ text, hue, drop }) => {
      const mark = hue === undefined ? null : element("i", { class: "hue" });
      if (mark) mark.style.background = colour(contents.hues[hue]);
      return element("button", { type: "button", class: "chip", "aria-label": `let go: ${text}`, title: text, onclick: drop }, mark, `${text} `, element("b", { "aria-hidden": true }, "×"));
    });
    if (chips.length) parts.unshift(element("button", { type: "button", class: "quiet", onclick: view.clear }, "clear all"));
    if (!chips.length) parts.push(element("span", { class: "note" }, opened(contents)));
    if (view.said) parts.splice(1, 0, element("span", { class: "note", role: "alert" }, view.said));
    node.replaceChildren(...parts);
    if (inside) (node.querySelector("button") ?? node.closest(".daamkit-inspector").querySelector(".word"))?.focus();
  }
  return { node, show };
}

function opened({ opening, words }) {
  return opening.length ? `Coloured: ${opening.map((word) => words[word].label).join(", ")}. Click words to choose others.` : "";
}

function chipsOf(contents, view, state) {
  const { word, pins, pixel, difference } = state;
  const label = (each) => contents.words[each].label;
  const chips = shownWords(contents, pins)
    .filter((each) => pins.includes(each.word))
    .map((each) => ({ text: label(each.word), hue: each.hue, drop: () => view.pin(each.word) }));
  const part = (text, changes) => chips.push({ text, drop: () => view.set(changes) });
  if (word !== null && word !== view.over) part(`map of ${label(word)}`, { word: null });
  for (const { text, changes } of narrowing(contents, state)) part(text, changes);
  const runs = runsOf(contents);
  if (difference) part(`difference from ${runs[0].name}`, { difference: false });
  const shown = runs.filter((run) => isShown(run, state));
  if (shown.length < runs.length) part(`${shown.length} of ${runs.length} runs`, { columns: columnsAt(runs, frameOf(contents, state)) });
  if (pixel !== null && !view.pointing) chips.push({ text: `pixel ${pixel.join(", ")}`, drop: view.letPixelGo });
  return chips;
}

// Which part of the maps and of the image is looked at, and what lets each go.
export function narrowing(contents, { step, site, head, region }) {
  const found = [];
  if (step !== null) found.push({ text: `step ${step + 1}`, changes: { step: null } });
  if (site !== null) {
    const name = siteName(contents, site);
    found.push({ text: head === null ? `layer ${name}` : `head ${head} of ${name}`, changes: { site: null, head: null } });
  }
  if (region !== null) found.push({ text: `box ${region[0]}–${region[2]}, ${region[1]}–${region[3]}`, changes: { region: null } });
  return found;
}

// "up_blocks.1.attentions.0.transformer_blocks.0.attn2" as "up 1.0.0".
export function siteName({ columns }, site) {
  const layer = columns.flatMap(({ layers }) => layers).find(({ name }) => name === site);
  const numbers = site.match(/\d+/g) ?? [];
  return site.includes("_block") ? `${layer?.stage ?? ""} ${numbers.slice(0, 3).join(".")}` : site;
}
