// Small helpers that every pane uses: elements, texts, and what the server is asked.
"use strict";

const dom = (() => {
  const byId = (id) => document.getElementById(id);

  /// An element with attributes and children; a child may be a text.
  function el(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    set(element, attributes);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  /// The same for pictures.
  function svg(name, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    set(element, attributes);
    element.append(...children);
    return element;
  }

  function set(element, attributes) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null) element.setAttribute(name, value);
    }
  }

  /// A table with a caption that only screen readers need.
  function table(caption, headings, rows) {
    const head = el("tr", {}, ...headings.map((heading) => el("th", { scope: "col" }, heading)));
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
      el("table", {}, el("caption", { class: "unseen" }, caption), el("thead", {}, head), el("tbody", {}, ...rows)));
  }

  const UNITS = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]];

  /// A size for people: "4.5 GiB".
  function bytes(number) {
    const [unit, size] = UNITS.find(([, size]) => number >= size) ?? ["bytes", 1];
    return `${Math.round((number / size) * 100) / 100} ${unit}`;
  }

  /// A size as it is typed: "4G"; exact.
  function short(number) {
    const unit = UNITS.find(([, size]) => number > 0 && number % size === 0);
    return unit ? `${number / unit[1]}${unit[0][0]}` : String(number);
  }

  /// What the server answers; throws with its words where it says no.
  async function ask(path, body, headers = {}) {
    const request = body === undefined ? {} : {
      method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers },
    };
    const response = await fetch(path, request).catch(() => null);
    if (response === null) throw new Error("The server does not answer.");
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error((answer.problems ?? [`It answers ${response.status}.`]).join("\n"));
    return answer;
  }

  /// Puts a heading and sentences into a pane that says what was asked about.
  function explain(pane, title, lines) {
    pane.replaceChildren(el("h3", {}, title), el("ul", {}, ...lines.map((line) => el("li", {}, line))));
  }

  return { byId, el, svg, table, bytes, short, ask, explain };
})();
