// The prompt: a button for each word, and arcs from heads to dependents over them.
import { colour, drawn, element } from "../elements.js";

const LONGEST = 20; // words; a longer prompt has several lines, over which no arc can go

export function makeStrip(contents, view) {
  const letters = Array.from(contents.prompt); // Python counts characters, not UTF-16
  const text = (start, end) => letters.slice(start, end).join("");
  const long = contents.words.length > LONGEST;
  const buttons = contents.words.map(({ label, start, end }, word) =>
    element(
      "button",
      {
        class: "word",
        type: "button",
        "data-word": label,
        title: label,
        tabindex: word ? -1 : 0,
        onpointerenter: () => view.look(word),
        onpointerleave: () => view.look(null),
        onfocus: () => view.look(word),
        onclick: () => view.pin(word),
      },
      text(start, end),
    ),
  );
  const line = element("div", { class: long ? "words long" : "words", dir: "auto", role: "group", "aria-label": "words of the prompt" });
  let at = 0;
  contents.words.forEach(({ start, end }, word) => {
    line.append(text(at, start), buttons[word]);
    at = end;
  });
  line.append(text(at));
  line.addEventListener("keydown", (event) => moveFocus(event, buttons, view));
  line.addEventListener("focusout", (event) => line.contains(event.relatedTarget) || view.look(null));
  const arcs = drawn("svg", { class: "arcs", hidden: long || !contents.arcs.length });
  const unsaid = long ? "Arcs are drawn for prompts of up to 20 words; run.relations() has all." : contents.silent;
  const note = unsaid ? element("p", { class: "note" }, unsaid) : null;
  const strip = element("div", { class: "strip" }, arcs, line);
  const placed = new ResizeObserver(() => long || placeArcs(contents, view, strip, arcs, buttons));
  placed.observe(line);
  arcs.addEventListener("keydown", (event) => rove(event, [...arcs.children]));

  function show({ word, pins }) {
    buttons.forEach((button, i) => {
      const pinned = pins.indexOf(i);
      button.setAttribute("aria-pressed", pinned >= 0);
      button.classList.toggle("seen", i === word);
      button.style.setProperty("--hue", pinned >= 0 ? colour(contents.hues[pinned % 5]) : "");
    });
    for (const arc of arcs.children)
      arc.setAttribute("aria-pressed", pins.length === 2 && arc.dataset.pair === String(pins));
  }
  return { node: element("div", { class: "prompt" }, strip, note), show, stop: () => placed.disconnect() };
}

// Arrow keys go from word to word; Enter and space press the button.
function moveFocus(event, buttons, view) {
  if (event.key === "Escape") view.pinOnly([]);
  rove(event, buttons);
}

// Of a group only one element can be tabbed to; arrow keys go from one to the next.
function rove(event, group) {
  const now = group.indexOf(event.target);
  const back = getComputedStyle(event.currentTarget).direction === "rtl" ? 1 : -1;
  const steps = { ArrowRight: -back, ArrowDown: 1, ArrowLeft: back, ArrowUp: -1 };
  let next = now + (steps[event.key] ?? 0);
  if (event.key === "Home") next = 0;
  if (event.key === "End") next = group.length - 1;
  if (now < 0 || next === now || !group[next]) return;
  event.preventDefault();
  group[now].setAttribute("tabindex", -1);
  group[next].setAttribute("tabindex", 0);
  group[next].focus();
}

const LEVEL = 20; // pixels between an arc and the next one over it

function placeArcs(contents, view, strip, svg, buttons) {
  const left = strip.getBoundingClientRect().left - strip.scrollLeft;
  const boxes = buttons.map((button) => button.getBoundingClientRect());
  const heights = levelsOf(contents.arcs);
  const most = Math.max(0, ...heights);
  const base = most * LEVEL + 18;
  svg.setAttribute("width", strip.querySelector(".words").scrollWidth);
  svg.setAttribute("height", contents.arcs.length ? base : 0);
  const arcs = contents.arcs.map(({ head, dependent, relation }, i) => {
    const middle = (word) => boxes[word].left - left + boxes[word].width / 2;
    const shift = head < dependent ? 5 : -5; // arcs that leave a word and arrive at it stand apart
    const [from, to, top] = [middle(head) + shift, middle(dependent) - shift, base - heights[i] * LEVEL];
    const [a, b] = [contents.words[head].label, contents.words[dependent].label];
    const pick = () => view.pinOnly([head, dependent]);
    const key = (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      pick();
    };
    const lift = base - ((base - top) * 4) / 3; // so that the curve's highest point is `top`
    const curve = `M${from},${base} C${from},${lift} ${to},${lift} ${to},${base - 5}`;
    return drawn(
      "g",
      {
        class: "arc", role: "button", tabindex: i ? -1 : 0, "data-pair": `${head},${dependent}`,
        "aria-label": `${relation}: head ${a}, dependent ${b}`, onclick: pick, onkeydown: key,
      },
      drawn("path", { class: "reach", d: curve }),
      drawn("path", { class: "line", d: curve }),
      drawn("path", { class: "tip", d: `M${to - 4},${base - 7} h8 l-4,7 z` }),
      drawn("text", { x: (from + to) / 2, y: top + 3 }, relation),
    );
  });
  svg.replaceChildren(...arcs);
  view.show();
}

// How high each arc goes: above all those within it.
function levelsOf(arcs) {
  const spans = arcs.map(({ head, dependent }) => [Math.min(head, dependent), Math.max(head, dependent)]);
  const order = [...spans.keys()].sort((i, j) => spans[i][1] - spans[i][0] - spans[j][1] + spans[j][0]);
  const found = Array(arcs.length).fill(0);
  for (const [rank, i] of order.entries()) {
    const [start, end] = spans[i];
    const below = order.slice(0, rank).filter((j) => spans[j][0] < end && spans[j][1] > start);
    found[i] = 1 + Math.max(0, ...below.map((j) => found[j]));
  }
  return found;
}
