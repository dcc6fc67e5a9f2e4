// The prompt: a chip for each word with a bar for each run, and arcs from heads to dependents.
import { shownWords } from "./hues.js";
import { strengthOf, timesTo } from "./maps.js";
import { colour, drawn, element, percent } from "../elements.js";

export function makeStrip(contents, view) {
  const letters = Array.from(contents.prompt); // Python counts characters, not UTF-16
  const text = (start, end) => letters.slice(start, end).join("");
  const chips = contents.words.map((_, word) => makeChip(contents, view, word, text));
  const line = element("div", { class: "words", dir: "auto", role: "group", "aria-label": "words of the prompt" });
  let at = 0;
  contents.words.forEach(({ start, end }, word) => {
    line.append(text(at, start), chips[word].node);
    at = end;
  });
  line.append(text(at));
  line.addEventListener("keydown", (event) => moveFocus(event, chips.map(({ node }) => node), view));
  line.addEventListener("focusout", (event) => {
    if (view.over !== null && !line.contains(event.relatedTarget)) view.look(null); // what was tapped stays
  });
  const arcs = makeArcs(contents, view, line, chips);
  const said = contents.silent && contents.words.length ? contents.silent : "";
  const note = said ? element("p", { class: "note" }, said) : null;
  const empty = contents.words.length ? null : element("p", { class: "note" }, "The prompt is empty: no word has a map.");
  const doubts = element("p", { class: "note doubts" });
  const unread = element("p", { class: "note unread" });
  const node = element("div", { class: "prompt" }, arcs.node, line, arcs.choice, unread, doubts, note, empty);

  let drawnKey = "";
  function show(state) {
    const { word: seen, pins, step, site, head, columns } = state;
    const key = JSON.stringify([seen, pins, step, site, head, columns]);
    if (key === drawnKey) return;
    drawnKey = key;
    const hues = new Map(shownWords(contents, state.pins).map(({ word, hue }) => [word, hue]));
    const shown = contents.columns.filter(({ name }) => state.columns.includes(name));
    const strengths = shown.map((column) => contents.words.map((_, word) => strengthOf(column, word, state)));
    const most = shown.map((column) => mostOf(shown, strengths, column, state));
    const shares = (word) => strengths.map((own, i) => (own[word] === null ? null : own[word] / most[i]));
    chips.forEach((chip, word) => chip.show(state, hues.get(word), shares(word), shown));
    showDoubts(contents, chips, doubts, shown);
    showUnread(unread, shown);
    arcs.show(state);
  }
  return { node, show, place: arcs.place, stop: arcs.stop };
}

// The strongest of all words of the shown runs pooled alike, in as many passes as a column's.
function mostOf(shown, strengths, column, state) {
  const alike = shown.flatMap((each, i) => (each.rule === column.rule ? strengths[i].map((value) => value * timesTo(each, column, state)) : []));
  return Math.max(...alike, 1e-30);
}

// What models have not read of their prompts.
function showUnread(node, columns) {
  const runs = new Map(columns.filter(({ unread }) => unread).map(({ name, video, unread }) => [video ?? name, unread]));
  node.textContent = [...runs].map(([name, said]) => (columns.length > 1 ? `${name}: ${said}` : said)).join(" ");
  node.hidden = !runs.size;
}

// Words that a shown run has probably not drawn: said below the prompt, and dashed in it.
function showDoubts(contents, chips, node, columns) {
  const found = columns.flatMap(({ name, doubts }) => doubts.map(([word, says]) => ({ name, word, says })));
  chips.forEach((chip, word) => chip.node.classList.toggle("doubted", found.some((each) => each.word === word)));
  const whose = ({ name }) => (columns.length > 1 ? ` in ${name}` : "");
  node.textContent = found.map((each) => `${contents.words[each.word].label}${whose(each)}: ${each.says}`).join("; ");
  node.hidden = !found.length;
}

function makeChip(contents, view, word, text) {
  const { label, start, end, minor } = contents.words[word];
  const bars = element("span", { class: "bars", "aria-hidden": true });
  let pressing = 0;
  let held = false; // a long press has pinned: the click that follows it does not
  const letGo = () => clearTimeout(pressing);
  const node = element(
    "button",
    {
      class: minor ? "word minor" : "word", type: "button", "data-word": label, tabindex: word ? -1 : 0,
      onpointerenter: (event) => event.pointerType !== "touch" && view.pointAt(word),
      onpointerleave: (event) => event.pointerType !== "touch" && view.look(null),
      onpointerdown: (event) => {
        held = false;
        if (event.pointerType !== "touch") return;
        pressing = setTimeout(() => {
          held = true;
          view.pin(word);
        }, 450);
      },
      onpointerup: letGo, onpointercancel: letGo,
      oncontextmenu: (event) => held && event.preventDefault(),
      onfocus: () => node.matches(":focus-visible") && view.pointAt(word),
      onclick: (event) => {
        if (event.pointerType !== "touch") view.pin(word);
        else if (!held) view.look(view.state().word === word ? null : word);
      },
    },
    text(start, end), bars,
  );
  function show(state, hue, strengths, columns) {
    node.setAttribute("aria-pressed", state.pins.includes(word));
    node.classList.toggle("seen", word === state.word);
    node.classList.toggle("shown", hue !== undefined);
    node.style.setProperty("--hue", hue === undefined ? "" : colour(contents.hues[hue]));
    while (bars.children.length < strengths.length) bars.append(element("i"));
    while (bars.children.length > strengths.length) bars.lastChild.remove();
    strengths.forEach((share, i) => bars.children[i].style.setProperty("--share", share ?? 0));
    const said = (share) => (share === null ? "–" : percent(share));
    const each = strengths.map((share, i) => (columns.length > 1 ? `${columns[i].name} ${said(share)}` : said(share)));
    node.title = `${label}: its highest value is ${each.join(", ")} of the strongest word's`;
  }
  return { node, show };
}

// Arrow keys go from word to word; Enter and space press the button.
function moveFocus(event, buttons, view) {
  if (event.key === "Escape") view.pinOnly([]);
  rove(event, buttons);
}

// Of a group only one element can be tabbed to; arrow keys go from one to the next.
export function rove(event, group) {
  const now = group.indexOf(event.target);
  const back = getComputedStyle(event.currentTarget).direction === "rtl" ? 1 : -1;
  const steps = { ArrowRight: -back, ArrowDown: 1, ArrowLeft: back, ArrowUp: -1 };
  let next = now + (steps[event.key] ?? 0);
  if (event.key === "Home") next = 0;
  if (event.key === "End") next = group.length - 1;
  if (now < 0 || next === now || !group[next]) return;
  event.preventDefault();
  for (const each of group) each.setAttribute("tabindex", each === group[next] ? 0 : -1);
  group[next].focus();
}

const LEVEL = 19; // pixels between an arc and the next one over it

// Over a prompt that stands on one line; those of function words where they are asked for.
function makeArcs(contents, view, line, chips) {
  const node = drawn("svg", { class: "arcs", role: "group", "aria-label": "grammar" });
  const minor = contents.arcs.filter((arc) => arc.minor).length;
  const choice = element(
    "button", {
      type: "button", class: "quiet", hidden: true, "aria-pressed": String(view.arcs),
      onclick: () => {
        view.arcs = !view.arcs;
        choice.setAttribute("aria-pressed", view.arcs);
        place();
        view.show();
      },
    }, `${minor} more arcs`,
  );
  node.addEventListener("keydown", (event) => rove(event, [...node.children]));
  let wide = 0;
  const watch = new ResizeObserver(() => line.clientWidth !== wide && place());
  watch.observe(line);

  function place() {
    wide = line.clientWidth;
    const boxes = chips.map((chip) => chip.node.getBoundingClientRect());
    const left = line.getBoundingClientRect().left;
    const fits = boxes.every(({ top }) => Math.abs(top - boxes[0].top) < 4);
    const arcs = contents.arcs.filter((arc) => view.arcs || !arc.minor);
    choice.hidden = !fits || !minor;
    const heights = levelsOf(arcs);
    const base = arcs.length && fits ? Math.max(...heights) * LEVEL + 18 : 0;
    node.setAttribute("width", "100%");
    node.setAttribute("height", base);
    node.toggleAttribute("hidden", !base);
    node.replaceChildren(...(base ? arcs.map((arc, i) => drawArc(contents, view, arc, boxes, left, base, heights[i], i)) : []));
    show(view.state());
  }

  function show({ pins }) {
    for (const arc of node.children)
      arc.setAttribute("aria-pressed", pins.length === 2 && arc.dataset.pair === String(pins));
  }
  return { node, choice, place, show, stop: () => watch.disconnect() };
}

function drawArc(contents, view, { head, dependent, relation, says }, boxes, left, base, height, place) {
  const middle = (word) => boxes[word].left - left + boxes[word].width / 2;
  const shift = Math.sign(middle(dependent) - middle(head)) * 5; // arcs that leave a word and arrive stand apart
  const [from, to, top] = [middle(head) + shift, middle(dependent) - shift, base - height * LEVEL];
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
      class: "arc", role: "button", tabindex: place ? -1 : 0, "data-pair": `${head},${dependent}`,
      "aria-label": `${says} (${relation})`, onclick: pick, onkeydown: key,
    },
    drawn("title", {}, says),
    drawn("path", { class: "reach", d: curve }),
    drawn("path", { class: "line", d: curve }),
    drawn("path", { class: "arrow", d: `M${to - 4},${base - 7} h8 l-4,7 z` }),
    drawn("text", { x: (from + to) / 2, y: top + 3 }, relation),
  );
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
