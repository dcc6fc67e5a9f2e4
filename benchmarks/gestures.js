// What a hand does in the inspector, as functions that end when it is drawn; the i-th time a little
// otherwise.
() => {
  const frame = () => new Promise(requestAnimationFrame);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const set = (traits) => Object.entries(traits).forEach(([name, value]) => daamkitModel.set(name, value));
  const words = all(".word");
  const label = (i) => words[i].dataset.word;
  const canvas = document.querySelector(".columns canvas");
  canvas.setPointerCapture = () => {}; // these pointers are made up
  const pointer = (type, share, node = canvas) => {
    const box = canvas.getBoundingClientRect();
    const [clientX, clientY] = [box.left + share * box.width, box.top + share * box.height];
    node.dispatchEvent(new PointerEvent(type, { clientX, clientY, pointerId: 1, button: 0, bubbles: true }));
  };
  const slide = (selector, value) => {
    const slider = document.querySelector(selector);
    slider.value = value;
    slider.dispatchEvent(new Event("input"));
  };
  const cut = (i) => slide("input.threshold", 0.3 + 0.02 * i);
  const tab = (name) => all("[role=tab]").find(({ textContent }) => textContent === name).click();
  const hover = (i) => pointer("pointerenter", 0, words[i]);
  const clear = () => set({ word: null, pins: [], step: null, region: null, pixel: null, scale: "shared", difference: false });
  const nothing = () => {};
  const gestures = {
    "hover a word": [nothing, hover],
    "pin a word": [clear, (i) => words[i].click()],
    "threshold, nouns": [nothing, cut],
    "threshold, two pins": [() => set({ pins: [label(5), label(6)] }), cut],
    "threshold, two pins and a box": [() => set({ pins: [label(5), label(6)], region: [9, 9, 800, 800] }), cut],
    "hover a pixel": [nothing, (i) => pointer("pointermove", 0.1 + 0.07 * i)],
    "draw a box": [() => pointer("pointerdown", 0.02), (i) => pointer("pointermove", 0.1 + 0.07 * i)],
    "go to a step, with previews": [() => pointer("pointerup", 0.9), (i) => slide("input.step", 1 + (i % 8))],
    "toggle the scale": [nothing, (i) => set({ scale: i % 2 ? "shared" : "own" })],
    "hover a word, heads open": [() => tab("layers and heads"), hover],
    "point at a head": [nothing, (i) => pointer("pointerenter", 0, all(".head")[i])],
    difference: [() => set({ pins: [label(5)], difference: true }), (i) => set({ pins: [label(i)] })],
  };
  const drawn = async (act) => {
    act();
    await frame();
    await frame();
  };
  globalThis.gestures = Object.fromEntries(
    Object.entries(gestures).map(([name, [begin, make]]) => [
      name, { begin: () => drawn(begin), make: (i) => drawn(() => make(i)), end: () => drawn(clear) },
    ]),
  );
  return Object.keys(gestures);
}
