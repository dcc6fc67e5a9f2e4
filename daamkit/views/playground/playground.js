// The playground's controls: what is set goes to Python as traits, what is pressed as messages.
import { element, hideStill } from "../elements.js";

const FIELDS = {
  steps: ["steps", 1, 1000],
  width: ["width", 0, 4096],
  height: ["height", 0, 4096],
};
const PLAIN = {
  AttendAndExcite: "Attend-and-Excite: no ticked word is left out",
  DivideAndBind: "Divide & Bind: no ticked word is left out, adjectives keep to their nouns",
  SynGen: "SynGen: adjectives keep to their nouns",
  SelfAttentionGuidance: "Self-Attention Guidance: sharper",
  PerturbedAttentionGuidance: "Perturbed-Attention Guidance: firmer shapes",
  SmoothedEnergyGuidance: "Smoothed-Energy Guidance: firmer shapes, softer",
};

function render({ model, el }) {
  // Python answers each question; where no answer comes, there is no kernel, or it is at work.
  let deaf = "";
  let asked = 0;
  const say = (text) => {
    clearTimeout(asked);
    deaf = text;
    wrong();
  };
  const tell = (act) => {
    try {
      act();
    } catch {
      say("No kernel: run the cell again.");
    }
  };
  const ask = (kind, more = {}) => {
    clearTimeout(asked);
    asked = setTimeout(() => say("No kernel has answered: it is at work, or gone; then run the cell again."), 8000);
    tell(() => model.send({ kind, ...more }));
  };
  const heard = (message) => {
    if (message.kind === "heard") say("");
  };
  const set = (name, value) =>
    tell(() => {
      model.set(name, value);
      model.save_changes();
    });
  const drawings = [];
  const shows = (names, draw) => {
    drawings.push([names.map((name) => `change:${name}`).join(" "), draw]);
    draw();
  };

  const prompt = element("textarea", { rows: 2, class: "prompt", dir: "auto", "aria-label": "prompt" });
  prompt.addEventListener("change", () => set("prompt", prompt.value));
  prompt.addEventListener("input", () => later(() => set("prompt", prompt.value)));
  prompt.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook's keys
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    begin();
  });

  const seed = number("seed", "seed", 0, Number.MAX_SAFE_INTEGER);
  const dice = button("dice", "another seed", () => ask("dice"), "⚄");
  const fields = Object.entries(FIELDS).map(([name, [label, low, high]]) => number(name, label, low, high));

  const ticks = element("div", { class: "ticks", role: "group", "aria-label": "words to guide" });
  const methods = element("div", { class: "methods", role: "group", "aria-label": "guidance" });
  for (const name of model.get("_known")) {
    const [title, what] = (PLAIN[name] ?? name).split(": ");
    const box = element("input", { type: "checkbox", "data-method": name });
    box.addEventListener("change", () => set("methods", toggled(model.get("methods"), name, box.checked)));
    methods.append(element("label", { title: what ?? "" }, box, ` ${title}`));
  }

  const generate = button("generate", "Generate (Ctrl+Enter)", () => begin(), "Generate");
  const stop = button("stop", "stop, and keep what was made so far", () => ask("stop"), "Stop");
  const lasts = element("span", { class: "lasts", hidden: !model.get("unstoppable") }, model.get("unstoppable"));
  const bar = element("progress", { max: 1, "aria-label": "progress" });
  const status = element("span", { class: "status", role: "status" });
  const problem = element("p", { class: "problem", role: "alert" });

  const cells = element("div", { class: "cells" });
  const history = element("div", { class: "history", role: "group", "aria-label": "pictures made so far" });

  const word = element("select", { class: "word", "aria-label": "word to change" });
  let changed = false; // by hand; until then it is the longest word
  word.addEventListener("change", () => { changed = true; });
  const to = element("input", { class: "to", "aria-label": "what stands there instead", placeholder: "another word" });
  const change = button("change", "make it again with that word changed, and compare", () =>
    ask("change", { word: word.value, to: to.value.trim() }), "Change and compare");
  to.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter" && !change.disabled) change.click();
  });
  to.addEventListener("input", () => enable());

  const save = button("save", "write the picture, its maps and its code", () => ask("save"), "Save");
  const copy = button("copy", "copy the code that makes the picture shown", () => copied(), "Copy as Python");
  const code = element("pre", { class: "code", tabindex: 0, "aria-label": "code" });
  const told = element("span", { class: "told", role: "status" });

  const root = element(
    "div",
    { class: "daamkit-playground", role: "group", "aria-label": "playground", "data-lm-suppress-shortcuts": "true" },
    prompt,
    element("div", { class: "row settings" }, seed.node, dice, ...fields.map((field) => field.node)),
    element("div", { class: "row" }, element("span", { class: "name" }, "guide"), ticks),
    element("div", { class: "row" }, element("span", { class: "name" }, "with"), methods),
    element("div", { class: "row" }, generate, stop, lasts, bar, status),
    problem,
    cells,
    element("div", { class: "row" }, element("span", { class: "name" }, "same seed, change"), word, "to", to, change),
    element("div", { class: "row" }, save, copy, told),
    element("details", {}, element("summary", {}, "code"), code),
    history,
  );

  function begin() {
    if (model.get("busy")) return;
    set("prompt", prompt.value);
    ask("generate");
  }

  function number(name, label, low, high) {
    const input = element("input", { type: "number", min: low, max: high, class: name, "aria-label": label });
    input.addEventListener("keydown", (event) => event.stopPropagation());
    input.addEventListener("change", () => {
      const value = Math.round(Number(input.value));
      if (input.value !== "" && value >= low && value <= high) set(name, value);
      else draw();
    });
    const draw = () => {
      input.value = model.get(name) || (low ? low : name === "seed" ? 0 : "");
      if (!low && name !== "seed") input.placeholder = "model's";
    };
    shows([name], draw);
    return { node: element("label", { class: "field" }, `${label} `, input) };
  }

  function enable() {
    const [busy, some] = [model.get("busy"), model.get("history").length > 0];
    generate.disabled = busy;
    stop.disabled = !busy || model.get("unstoppable") !== "";
    save.disabled = copy.disabled = !some;
    change.disabled = busy || !some || to.value.trim() === "";
    root.setAttribute("aria-busy", busy);
  }

  async function copied() {
    try {
      await navigator.clipboard.writeText(model.get("code"));
      told.textContent = "copied";
    } catch {
      root.querySelector("details").open = true; // no clipboard here: to be copied by hand
      getSelection().selectAllChildren(code);
      told.textContent = "select and copy it below";
    }
  }

  shows(["prompt"], () => {
    if (prompt.value !== model.get("prompt") && document.activeElement !== prompt) prompt.value = model.get("prompt");
  });
  shows(["_offered"], () => {
    const [before, named] = [word.value, model.get("_offered")];
    word.replaceChildren(...named.map((name) => element("option", {}, name)));
    const longest = named.reduce((found, each) => (each.length > found.length ? each : found), "");
    changed &&= named.includes(before);
    word.value = changed ? before : longest;
  });
  shows(["words", "subjects"], () => {
    const chosen = model.get("subjects");
    refill(ticks, model.get("words").map((name) => {
      const pressed = chosen.includes(name);
      const chip = element("button", { type: "button", "data-word": name, "aria-pressed": String(pressed) }, name);
      chip.addEventListener("click", () => set("subjects", toggled(model.get("subjects"), name, !pressed)));
      return chip;
    }));
  });
  shows(["methods"], () => {
    for (const box of methods.querySelectorAll("input")) box.checked = model.get("methods").includes(box.dataset.method);
  });
  shows(["busy", "history"], enable);
  shows(["progress", "busy"], () => {
    bar.value = model.get("progress");
    bar.style.visibility = model.get("busy") ? "visible" : "hidden";
  });
  shows(["status"], () => { status.textContent = model.get("status"); });
  function wrong() {
    problem.textContent = deaf || model.get("problem");
    problem.hidden = problem.textContent === "";
  }
  shows(["problem"], wrong);
  shows(["code"], () => {
    code.textContent = model.get("code") || "Generate a picture: here stands the Python that makes it again.";
    told.textContent = "";
  });
  shows(["cells"], () => fillPictures(cells, model.get("cells").map(([caption, png]) => thumbnail(png, caption))));
  shows(["history", "pinned", "shown"], () =>
    fillPictures(history, model.get("history").map(([title, png], at) => {
      const pin = element("input", { type: "checkbox", "aria-label": `compare ${title}` });
      pin.checked = model.get("pinned").includes(at);
      pin.addEventListener("change", () => set("pinned", toggled(model.get("pinned"), at, pin.checked)));
      const picture = thumbnail(png, model.get("_called")[at] ?? title, ""); // the caption names the button
      const choose = element("button", { type: "button", "aria-pressed": String(model.get("shown") === at), title }, picture);
      choose.addEventListener("click", () => set("shown", at));
      return element("div", { class: "made" }, choose, element("label", {}, pin, " compare"));
    })));

  for (const [names, draw] of drawings) model.on(names, draw);
  model.on("msg:custom", heard);
  prompt.value = model.get("prompt");
  hideStill(model.get("_still"), 1);
  el.append(root);
  return () => {
    for (const [names, draw] of drawings) model.off(names, draw);
    model.off("msg:custom", heard);
    clearTimeout(asked);
    hideStill(model.get("_still"), -1);
    fillPictures(cells, []);
    fillPictures(history, []);
  };
}

let waiting = null;
function later(act) {
  clearTimeout(waiting);
  waiting = setTimeout(act, 250);
}

const toggled = (list, item, on) => (on ? [...list.filter((each) => each !== item), item] : list.filter((each) => each !== item));

function button(name, title, act, text) {
  const node = element("button", { type: "button", class: name, title, "aria-label": title }, text);
  node.addEventListener("click", act);
  return node;
}

function thumbnail(png, caption, alt = caption) {
  const image = element("img", { alt, draggable: "false" });
  image.src = URL.createObjectURL(new Blob([png], { type: "image/png" }));
  return element("figure", {}, image, element("figcaption", {}, caption));
}

// New pictures in the place of old ones, whose memory is given back.
function fillPictures(place, nodes) {
  for (const image of place.querySelectorAll("img")) URL.revokeObjectURL(image.src);
  refill(place, nodes);
}

// New buttons in the place of old ones; who was at the third is at the third.
function refill(place, nodes) {
  const all = () => [...place.querySelectorAll("button, input")];
  const at = all().indexOf(document.activeElement);
  place.replaceChildren(...nodes);
  all()[at]?.focus({ preventScroll: true });
}

export default { render };
