// A rating: shows what Python asks, says which key was pressed, waits until that is on the disk.

const BACK = "Backspace";
const ARROWS = { ArrowLeft: "left", ArrowRight: "right" };
const PATIENCE = 5000; // ms
const SHOWN = ["index", "total", "text", "image", "beside", "given", "problem", "heard"];

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function render({ model, el }) {
  const press = (key) => say(model, root, status, key);
  const bar = make("progress", { "aria-label": "rated" });
  const count = make("span", { class: "count" });
  const question = make("p", { class: "question" }, model.get("question"));
  const text = make("p", { class: "text", dir: "auto" });
  const pictures = model.get("captions").map(makePicture);
  const choices = model.get("choices").map(([key, label]) => makeButton(key, label, press));
  const undo = makeButton(BACK, "back", press);
  const keys = model.get("choices").map(([key]) => key).join(" ");
  const arrows = model.get("choices").some(([, label]) => label === ARROWS.ArrowLeft) ? " or arrows" : "";
  const status = make("p", { class: "status", role: "status", "aria-live": "polite" });
  const item = make(
    "div", { class: "item" },
    question, text, make("div", { class: "pictures" }, ...pictures.map((picture) => picture.node)),
  );
  const root = make(
    "div",
    { class: "daamkit-rating", role: "group", "aria-label": "rating", tabindex: "0",
      "data-lm-suppress-shortcuts": "true" },
    make("div", { class: "passed" }, bar, count),
    item,
    make("div", { class: "choices" }, ...choices, undo),
    make("p", { class: "note" }, `Keys: ${keys}${arrows}; Backspace goes back.`),
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
    text.replaceChildren(before, ...(marked ? [make("mark", {}, marked)] : []), after);
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
  hideStill(model.get("_still"), true);
  el.append(root);
  draw();
  return () => {
    model.off(events, show);
    hideStill(model.get("_still"), false);
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
  const button = make("button", { type: "button", "data-key": key }, make("b", {}, name), ` ${label}`);
  button.addEventListener("click", () => press(key));
  return button;
}

function makePicture(caption) {
  const image = make("img", { alt: caption, draggable: "false" });
  let url = null;
  return {
    node: make("figure", {}, image, make("figcaption", {}, caption)),
    show(png) {
      if (url) URL.revokeObjectURL(url);
      url = png?.byteLength ? URL.createObjectURL(new Blob([png], { type: "image/png" })) : null;
      if (url) image.src = url;
      else image.removeAttribute("src");
    },
  };
}

// Where scripts run, the picture for those who have none is put away.
function hideStill(name, hidden) {
  if (name) for (const still of document.querySelectorAll(`.${name}`)) still.hidden = hidden;
}

export default { render };
