// The map: one cell a block, with the letter and colour of its zone. A grid for screen readers; arrow keys choose a block, and
// Enter explains it.
"use strict";

class BlockMap {
  /// `explain` is called with the number of a block.
  constructor(grid, explain) {
    this.grid = grid;
    this.explain = explain;
    this.nodes = [];
    this.meanings = new Map();
    this.marked = new Set();
    this.chosen = null;
    this.columns = 0;
    this.lines = [];
    grid.addEventListener("click", (event) => this.click(event));
    grid.addEventListener("keydown", (event) => this.press(event));
    grid.addEventListener("focusin", (event) => this.choose(event.target));
    new ResizeObserver(() => this.fit()).observe(grid);
  }

  /// What classes mean, in words, for screen readers.
  mean(legend) {
    this.meanings = new Map(legend.map(([, kind, meaning]) => [kind, meaning]));
  }

  /// Draws nodes with their devices; blocks that are `marked` get an outline.
  show(nodes, marked = new Set()) {
    this.nodes = nodes;
    this.marked = marked;
    this.draw();
  }

  /// As many columns as there is room for, a power of two.
  fit() {
    const style = getComputedStyle(this.grid);
    const cell = parseFloat(style.getPropertyValue("--cell"));
    // As the style sheet has it: names are above lines where there is little room.
    const width = this.grid.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const names = width <= 640 ? 54 : 134;
    const room = Math.max((width - names) / cell, 4);
    const columns = 2 ** Math.min(Math.floor(Math.log2(room)), 7);
    if (columns === this.columns) return;
    this.columns = columns;
    this.draw();
  }

  draw() {
    if (this.columns === 0) return this.fit();
    const hadFocus = this.grid.contains(document.activeElement);
    const lines = rows.of(this.nodes, this.columns).map((line) => [this.key(line), line]);
    lines.forEach(([key, line], place) => {
      if (this.lines[place] === key) return;
      const row = this.row(line);
      const before = this.grid.children[place];
      if (before) before.replaceWith(row);
      else this.grid.append(row);
    });
    while (this.grid.children.length > lines.length) this.grid.lastElementChild.remove();
    this.grid.classList.toggle("many", lines.length > 300);
    this.lines = lines.map(([key]) => key);
    this.rove(hadFocus);
  }

  /// What a line looks like, to tell whether it changed.
  key(line) {
    const cells = line.cells?.map((run, column) =>
      run === null ? " " : `${run[2]}${run[3]}${this.marked.has(line.first + column) ? "*" : ""}`);
    return [line.title, line.gap, line.name, line.first, this.columns, cells?.join()].join("|");
  }

  row(line) {
    if (line.title) return dom.el("div", { role: "row", class: "node" }, dom.el("span", { role: "rowheader" }, line.title));
    if (line.gap) return dom.el("div", { role: "row", class: "gap" }, dom.el("span", { role: "gridcell" }, line.gap));
    const name = dom.el("span", { class: "name", title: line.name }, line.name);
    const first = dom.el("span", { class: "first" }, String(line.first));
    const cells = line.cells.map((run, column) => this.cell(run, line.first + column));
    return dom.el("div", { role: "row" }, dom.el("span", { role: "rowheader", class: "label" }, name, first),
      dom.el("span", { role: "presentation", class: "cells" }, ...cells));
  }

  cell(run, index) {
    if (run === null) return dom.el("span", { class: "cell none", role: "presentation" });
    const [, , letter, kind] = run;
    const mark = this.marked.has(index) ? " new" : "";
    const words = this.meanings.get(kind) ?? kind;
    return dom.el("span", {
      role: "gridcell", class: `cell ${kind}${mark}`, "data-block": index, tabindex: -1,
      "aria-label": `block ${index}: ${words}${mark ? ", changed" : ""}`,
    }, letter);
  }

  at(index) {
    return index === null ? null : this.grid.querySelector(`[data-block="${index}"]`);
  }

  /// One block of all can be reached with the Tab key: the chosen one.
  rove(hadFocus) {
    const cell = this.at(this.chosen) ?? this.grid.querySelector("[data-block]");
    this.grid.querySelectorAll('[tabindex="0"]').forEach((other) => other.setAttribute("tabindex", -1));
    if (!cell) return;
    cell.setAttribute("tabindex", 0);
    if (hadFocus && document.activeElement !== cell) cell.focus({ preventScroll: true });
  }

  choose(cell) {
    if (!cell.dataset?.block || Number(cell.dataset.block) === this.chosen) return;
    this.chosen = Number(cell.dataset.block);
    this.rove(false);
  }

  click(event) {
    const cell = event.target.closest("[data-block]");
    if (!cell) return;
    cell.focus();
    this.explain(Number(cell.dataset.block));
  }

  press(event) {
    const cell = event.target.closest("[data-block]");
    if (!cell || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") this.explain(Number(cell.dataset.block));
    else if (!this.move(cell, event.key)) return;
    event.preventDefault();
  }

  /// Goes to another block; whether the key is one for that.
  move(cell, key) {
    const blocks = [...this.grid.querySelectorAll("[data-block]")];
    const place = blocks.indexOf(cell);
    const row = cell.closest("[role=row]");
    const inRow = [...row.querySelectorAll("[data-block]")];
    const column = [...row.querySelectorAll(".cell")].indexOf(cell);
    const steps = {
      ArrowLeft: () => blocks[place - 1], ArrowRight: () => blocks[place + 1],
      Home: () => inRow[0], End: () => inRow.at(-1),
      ArrowUp: () => this.climb(row, column, -1), ArrowDown: () => this.climb(row, column, 1),
      PageUp: () => this.climb(row, column, -16), PageDown: () => this.climb(row, column, 16),
    };
    if (!steps[key]) return false;
    steps[key]()?.focus();
    return true;
  }

  /// The block so many lines below, or the nearest one of its line.
  climb(row, column, by) {
    const lines = [...this.grid.children].filter((line) => line.querySelector("[data-block]"));
    const place = Math.min(Math.max(lines.indexOf(row) + by, 0), lines.length - 1);
    const cells = [...lines[place].querySelectorAll(".cell")];
    const blocks = cells.filter((cell) => cell.dataset.block);
    const distance = (cell) => Math.abs(cells.indexOf(cell) - column);
    return blocks.sort((one, other) => distance(one) - distance(other))[0];
  }
}

/// What the letters mean.
function showLegend(list, legend, more = []) {
  const items = legend.map(([letter, kind, meaning]) =>
    dom.el("li", {}, dom.el("span", { class: `cell ${kind}`, "aria-hidden": "true" }, letter),
      dom.el("span", { class: "unseen" }, `${letter}: `), meaning));
  const others = more.map(([kind, meaning]) =>
    dom.el("li", {}, dom.el("span", { class: `cell ${kind}`, "aria-hidden": "true" }, " "), meaning));
  list.replaceChildren(...items, ...others);
}
