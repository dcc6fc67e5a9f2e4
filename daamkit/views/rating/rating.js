// A rating: shows what Python asks, says which key was pressed, waits until that is on the disk.
import { element, hideStill } from "../elements.js";

const BACK = "Backspace";
const ARROWS = { ArrowLeft: "left", ArrowRight: "right" };
const PATIENCE = 5000; // ms
const SHOWN = ["index", "total", "text", "image", "beside", "given", "problem", "heard"];

function render({ model, el }) {
  const press = (key) => say(model, root, status, key);
  const bar = element("progress", { "aria-label": "rated" });
  const count = element("span", { class: "count" });
  const question = element("p", { class: "question" }, model.get("question"));
  const text = element("p", { class: "text", dir: "auto" });
  const pictures = model.get("captions").map(makePicture);
  const choices = model.get("choices").map(([key, label]) => makeButton(key, label, press));
  const undo = makeButton(BACK, "back", press);
  const keys = model.get("choices").map(([key]) => key).join(" ");
  const arrows = model.get("choices").some(([, label]) => label === ARROWS.ArrowLeft) ? " or arrows" : "";
  const status = element("p", { class: "status", role: "status", "aria-live": "polite" });
  const item = element(
    "div", { class: "item" },
    question, text, element("div", { class: "pictures" }, ...pictures.map((picture) => picture.node)),
  );
  const root = element(
    "div",
    { class: "daamkit-rating", role: "group", "aria-label": "rating", tabindex: "0",
      "data-lm-suppress-shortcuts": "true" },
    element("div", { class: "passed" }, bar, count),
    item,
    element("div", { class: "choices" }, ...choices, undo),
    element("p", { class: "note" }, `Keys: ${keys}${arrows}; Backspace goes back.`),
    status,
  );

  function draw() {
    if (isWaiting(model)) return;
    const [index, total] = [model.get("index"), model.get("total")];
    const left = index < total;
    const focused = root.querySelector(":focus");
    bar.max = total;
    bar.value = index;
    count.textContent = `${index} of ${total} rated`;
    item.hidden = !left;
    const [before, marked, after] = model.get("text");
    text.replaceChildren(before, ...(marked ? [element("mark", {}, marked)] : []), after);
    pictures.forEach((picture, i) => picture.show(model.get(i ? "beside" : "image")));
    for (const button of choices) {
      button.hidden = !left;
      button.setAttribute("aria-pressed", button.dataset.key === model.get("given"));
    }
    undo.hidden = index === 0;
    root.setAttribute("aria-busy", "false");
    const now = left ? `Item ${index + 1} of ${total}: ${marked || before}` : "All is rated. Thank you.";
    status.textContent = model.get("problem") || now;
    status.classList.toggle("heard", left && model.get("problem") === ""); // seen it is already
    if (focused?.hidden) root.focus(); // a button that is gone
  }

  const events = SHOWN.map((name) => `change:${name}`).join(" ");
  let coming = false;
  const show = () => {
    if (coming) return;
    coming = true;
    queueMicrotask(() => {
      coming = false;
      draw();
    });
  };
  root.addEventListener("keydown", (event) => {
    const key = meant(event, model.get("choices"));
    if (!key) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) press(key);
  });
  model.on(events, show);
  hideStill(model.get("_still"), 1);
  el.append(root);
  draw();
  return () => {
    model.off(events, show);
    hideStill(model.get("_still"), -1);
    for (const picture of pictures) picture.show(null);
  };
}

const turn = (model) => model.get("said")?.turn ?? 0;
const isWaiting = (model) => turn(model) > model.get("heard");

function say(model, root, status, key) {
  const [index, total] = [model.get("index"), model.get("total")];
  if (isWaiting(model) || (key === BACK ? index === 0 : index === total)) return;
  const now = turn(model) + 1;
  root.setAttribute("aria-busy", "true");
  model.set("said", { turn: now, item: index, key });
  model.save_changes();
  setTimeout(() => {
    if (model.get("heard") >= now) return;
    status.classList.remove("heard");
    status.textContent = "Python has not replied: is the kernel running? This answer may be lost.";
  }, PATIENCE);
}

// The key of a choice that a keyboard event means, or nothing.
function meant(event, choices) {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  if (event.key === BACK) return BACK;
  const found = choices.find(
    ([key, label]) => key === event.key.toLowerCase() || label === ARROWS[event.key],
  );
  return found?.[0];
}

function makeButton(key, label, press) {
  const name = key === BACK ? "⌫" : key;
  const button = element("button", { type: "button", "data-key": key }, element("b", {}, name), ` ${label}`);
  button.addEventListener("click", () => press(key));
  return button;
}

function makePicture(caption) {
  const image = element("img", { alt: caption, draggable: "false" });
  let url = null;
  return {
    node: element("figure", {}, image, element("figcaption", {}, caption)),
    show(png) {
      if (url) URL.revokeObjectURL(url);
      url = png?.byteLength ? URL.createObjectURL(new Blob([png], { type: "image/png" })) : null;
      if (url) image.src = url;
      else image.removeAttribute("src");
    },
  };
}

export default { render };
