// Elements of a page; text is text, never HTML.

export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function drawn(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export const percent = (share) => `${Math.round(100 * share)} %`;
export const colour = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

// While a view is there, the picture for those who have none is put away.
export function hideStill(name, more) {
  if (!name) return;
  for (const still of document.querySelectorAll(`.${name}`)) {
    still.dataset.views = Number(still.dataset.views ?? 0) + more;
    still.hidden = Number(still.dataset.views) > 0;
  }
}
