// What narrows the view, each with a way to let it go: nothing of it is ever out of sight.
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
      return element("button", { type: "button", class: "chip", "aria-label": `let go: ${text}`, onclick: drop }, mark, `${text} `, element("b", { "aria-hidden": true }, "×"));
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
  const chips = shownWords(contents, state.pins)
    .filter(({ word }) => state.pins.includes(word))
    .map(({ word, hue }) => ({ text: contents.words[word].label, hue, drop: () => view.pin(word) }));
  const { step, site, head, region, pixel, difference, columns } = state;
  const part = (text, changes) => chips.push({ text, drop: () => view.set(changes) });
  if (step !== null) part(`step ${step + 1}`, { step: null });
  if (site !== null && head !== null) part(`head ${head} of ${siteName(contents, site)}`, { site: null, head: null });
  else if (site !== null) part(`layer ${siteName(contents, site)}`, { site: null });
  if (difference) part(`difference from ${contents.columns[0].name}`, { difference: false });
  const all = contents.columns.map(({ name }) => name);
  if (columns.length < all.length) part(`${columns.length} of ${all.length} runs`, { columns: all });
  if (region !== null) part(`box ${region[0]}–${region[2]}, ${region[1]}–${region[3]}`, { region: null });
  if (pixel !== null && !view.pointing) chips.push({ text: `pixel ${pixel.join(", ")}`, drop: view.letPixelGo });
  return chips;
}

// "up_blocks.1.attentions.0.transformer_blocks.0.attn2" as "up 1.0.0".
export function siteName({ columns }, site) {
  const layer = columns.flatMap(({ layers }) => layers).find(({ name }) => name === site);
  const numbers = site.match(/\d+/g) ?? [];
  return /_block/.test(site) ? `${layer?.stage ?? ""} ${numbers.slice(0, 3).join(".")}` : site;
}
