// What is at a pixel, beside it: the three first words, or that none stands out.
import { wordsAt } from "./measures.js";
import { element, percent } from "../elements.js";

export function makeTip(contents, column) {
  const rows = [0, 1, 2].map(() => {
    const [name, bar, share] = [element("span", { dir: "auto" }), element("i"), element("span")];
    return { node: element("div", { class: "row" }, name, element("div", { class: "track" }, bar), share), name, bar, share };
  });
  const none = element("div", { class: "none" }, "no word stands out");
  const tip = element("div", { class: "tip" }, ...rows.map((row) => row.node), none);
  const node = element("div", { class: "over", hidden: true, "aria-hidden": true }, tip);

  // A word stands out where its mask is, if it is not a function word.
  function show(state) {
    const { pixel, region } = state;
    node.hidden = !pixel || region !== null || pixel[0] >= column.height || pixel[1] >= column.width || !contents.words.length;
    if (node.hidden) return;
    const found = wordsAt(contents, column, pixel, state);
    const stands = found.some(({ word, within }) => within && !contents.words[word].minor);
    none.hidden = stands;
    rows.forEach((row, i) => {
      row.node.hidden = !stands || !found[i];
      if (row.node.hidden) return;
      row.name.textContent = contents.words[found[i].word].label;
      row.share.textContent = percent(found[i].share);
      row.bar.style.width = `${100 * found[i].share}%`;
    });
    const [y, x] = [(pixel[0] + 0.5) / column.height, (pixel[1] + 0.5) / column.width];
    node.style.transform = `translate(${100 * x}%, ${100 * y}%)`;
    const [wide, at] = [node.clientWidth, node.clientWidth * x];
    const aside = Math.min(Math.max(x > 0.5 ? -162 : 12, -at), wide - 150 - at); // within the image
    tip.style.transform = `translate(${aside}px, ${y > 0.5 ? "calc(-100% - 12px)" : "12px"})`;
  }
  return { node, show };
}
