// What a notebook gives a widget, for a page: a model that holds its state and tells of changes.
class PageModel {
  constructor(state) {
    this.state = state;
    this.changed = new Set();
    this.listeners = [];
  }

  get(name) {
    return this.state[name];
  }

  set(name, value) {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.changed.add(name);
    for (const [event, listener] of [...this.listeners])
      if (event === `change:${name}` || event === "change") listener();
  }

  on(events, listener) {
    for (const event of events.split(" ")) this.listeners.push([event, listener]);
  }

  off(events, listener) {
    const gone = events?.split(" ");
    this.listeners = this.listeners.filter(
      ([event, own]) => (gone && !gone.includes(event)) || (listener && own !== listener),
    );
  }

  // Nobody listens behind a page, but for a test.
  save_changes() {
    const changes = Object.fromEntries([...this.changed].map((name) => [name, this.state[name]]));
    this.changed.clear();
    globalThis.daamkitSaved?.(changes);
  }

  send() {}
}

function unpack(value) {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if (typeof value.bytes !== "string")
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, unpack(each)]));
  const text = atob(value.bytes);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new DataView(bytes.buffer);
}

const source = document.documentElement.cloneNode(true);
const packed = JSON.parse(document.getElementById("state").textContent);
const entries = Object.entries(packed).map(([name, value]) => [name, unpack(value)]);
const model = new PageModel(Object.fromEntries(entries));
model.source = () => {
  const now = entries.map(([name]) => [name, name.startsWith("_") ? packed[name] : model.get(name)]);
  const text = JSON.stringify(Object.fromEntries(now)).replaceAll("<", "\\u003c");
  source.querySelector("#state").textContent = text;
  return `<!doctype html>\n${source.outerHTML}`;
};
globalThis.daamkitModel = model;
const el = document.getElementById("widget");
el.replaceChildren();
await widget.render({ model, el });
document.documentElement.dataset.ready = "yes";
