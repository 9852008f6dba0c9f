// Elements, icons, and text that somebody else wrote. Nothing here ever parses HTML.

/** An element: attributes, `on…` listeners, then children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else if (value !== false && value != null) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function svg(tag, attributes = {}) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function icon(name) {
  const element = svg("svg", { class: "icon", "aria-hidden": "true" });
  element.append(svg("use", { href: `#i-${name}` }));
  return element;
}

export const byId = (id) => document.getElementById(id);

/** The colour of the n-th member: hues far from each other, the same in every place. */
export const hue = (index) => [38, 255, 150, 345, 200, 300, 95, 225, 15, 170, 275, 60][index % 12];

/** Two letters that stand for a member. */
export function initials(name) {
  const [first, second] = name.split(/[-_\s]+/).filter(Boolean);
  return (second ? first[0] + second[0] : (first ?? "?").slice(0, 2)).toUpperCase();
}

export const avatar = (seat) =>
  h("span", { class: "avatar", style: { "--hue": seat.hue }, "aria-hidden": "true" }, initials(seat.id));

export const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

const INLINE = /(\*\*[^*\n]+\*\*|`[^`\n]+`)/;

function inline(text) {
  return text.split(INLINE).map((part, index) => {
    if (index % 2 === 0) return part;
    return part[0] === "`" ? h("code", {}, part.slice(1, -1)) : h("strong", {}, part.slice(2, -2));
  });
}

const ITEM = /^\s*(?:[-*•]|\d+[.)])\s+/;

/** Paragraphs, lists, headings, bold and code; whatever else there is stays as it was written. */
export function prose(text) {
  const blocks = [];
  let list = null;
  for (const line of text.trim().split("\n")) {
    const item = ITEM.exec(line);
    const last = blocks.at(-1);
    if (item) {
      const tag = /\d/.test(item[0]) ? "ol" : "ul";
      if (list?.localName !== tag) blocks.push((list = h(tag)));
      list.append(h("li", {}, inline(line.slice(item[0].length))));
    } else if (!line.trim()) {
      list = null;
      blocks.push(null);
    } else if (/^#{1,4} /.test(line)) {
      list = null;
      blocks.push(h("h4", {}, inline(line.replace(/^#+ /, ""))));
    } else if (last?.localName === "p") last.append(h("br"), ...inline(line));
    else if (list && /^\s/.test(line)) list.lastChild.append(" ", ...inline(line.trim()));
    else {
      list = null;
      blocks.push(h("p", {}, inline(line)));
    }
  }
  return blocks.filter(Boolean);
}
