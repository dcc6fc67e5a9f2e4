// Panels of one height, of which one is seen.
import { rove } from "./strip.js";
import { element } from "../elements.js";

export function makeTabs(panels, view) {
  const id = `tabs-${Math.random().toString(36).slice(2)}`;
  const tabs = panels.map(({ name }, i) =>
    element("button", {
      type: "button", role: "tab", id: `${id}-${i}`, "aria-controls": `${id}-${i}-panel`, tabindex: i ? -1 : 0,
      onclick: () => choose(i), onfocus: () => chosen !== i && choose(i),
    }, name),
  );
  const bodies = panels.map(({ node }, i) =>
    element("div", { class: "panel", role: "tabpanel", id: `${id}-${i}-panel`, "aria-labelledby": `${id}-${i}`, tabindex: 0 }, node),
  );
  const list = element("div", { role: "tablist", class: "tablist", onkeydown: (event) => rove(event, tabs) }, ...tabs);
  const node = element("div", { class: "tabs" }, list, ...bodies);
  let chosen = -1;

  function choose(place) {
    chosen = place;
    view.tab = panels[place].name;
    tabs.forEach((tab, i) => {
      tab.setAttribute("aria-selected", i === place);
      tab.setAttribute("tabindex", i === place ? 0 : -1);
      bodies[i].hidden = i !== place;
    });
    view.show();
  }
  choose(Math.max(0, panels.findIndex(({ name }) => name === view.tab)));
  return { node, show: (state) => panels[chosen].show(state), stop: () => panels.forEach((panel) => panel.stop?.()) };
}
