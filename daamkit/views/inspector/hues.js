// Which words are coloured on the images, each with the place of its hue, which stays its own.

export function shownWords({ opening, hues }, pins) {
  const own = new Map(opening.map((word, hue) => [word, hue]));
  const taken = new Set(pins.filter((pin) => own.has(pin)).map((pin) => own.get(pin)));
  const free = hues.map((_, hue) => hue).filter((hue) => !taken.has(hue));
  const words = pins.length ? pins : opening;
  return words.map((word) => ({ word, hue: own.has(word) ? own.get(word) : free.shift() }));
}
