// The timeline: memory by zone as areas one on the other, and what each device has plugged as lines; steps, since memory
// comes and goes at once.
"use strict";

class Timeline {
  constructor(figure, list) {
    this.figure = figure;
    this.list = list;
    this.samples = [];
    new ResizeObserver(() => this.draw()).observe(figure);
  }

  static MOST = 600;
  static HEIGHT = 170;
  static LEFT = 68;
  static ZONES = [["DMA", "dma"], ["DMA32", "dma"], ["Normal", "normal"], ["none", "several"], ["Movable", "movable"], ["offline", "offline"]];

  add(samples) {
    this.samples.push(...samples);
    this.samples.splice(0, this.samples.length - Timeline.MOST);
    this.draw();
  }

  clear() {
    this.samples = [];
    this.draw();
  }

  /// `steps` says that the samples are steps of a scenario, not moments.
  draw(steps = this.steps) {
    this.steps = steps;
    const width = Math.max(this.figure.clientWidth, 240);
    if (this.samples.length === 0) {
      this.figure.replaceChildren(dom.el("p", { class: "quiet" }, "Nothing was seen yet."));
      this.list.replaceChildren();
      return;
    }
    const last = this.samples.at(-1);
    const total = (sample) => Object.values(sample.zones).reduce((sum, size) => sum + size, 0);
    const highest = Math.max(...this.samples.map(total), ...this.samples.flatMap((sample) => Object.values(sample.devices)), 1);
    const begin = this.samples[0].at;
    const end = steps ? last.at + 1 : Math.max(Date.now(), last.at, begin + 1000);
    const x = (at) => Timeline.LEFT + ((at - begin) / (end - begin)) * (width - Timeline.LEFT - 8);
    const y = (size) => Timeline.HEIGHT - 22 - (size / highest) * (Timeline.HEIGHT - 34);
    const picture = dom.svg("svg", {
      viewBox: `0 0 ${width} ${Timeline.HEIGHT}`, width, height: Timeline.HEIGHT, role: "img",
      "aria-label": `Memory by zone over time; now ${this.words(last)}`,
    });
    for (const share of [0, 0.5, 1]) {
      const size = highest * share;
      picture.append(dom.svg("line", { class: "rule", x1: Timeline.LEFT, x2: width - 8, y1: y(size), y2: y(size) }),
        dom.svg("text", { class: "label", x: Timeline.LEFT - 6, y: y(size) + 4, "text-anchor": "end" }, share === 0 ? "0" : dom.bytes(size)));
    }
    this.areas(picture, x, y, end);
    this.curves(picture, x, y, end);
    const label = (at) => (steps ? (at === 0 ? "boot" : `step ${at}`) : new Date(at).toLocaleTimeString());
    picture.append(dom.svg("text", { class: "label", x: Timeline.LEFT, y: Timeline.HEIGHT - 5 }, label(begin)),
      dom.svg("text", { class: "label", x: width - 8, y: Timeline.HEIGHT - 5, "text-anchor": "end" }, steps ? label(last.at) : "now"));
    this.figure.replaceChildren(picture);
    this.key(last);
  }

  /// The moments at which a value changes, as points of a line of steps.
  points(value, x, y, end) {
    return this.samples.map((sample, place) => {
      const next = this.samples[place + 1]?.at ?? end;
      return `${x(sample.at)},${y(value(sample))} ${x(next)},${y(value(sample))}`;
    }).join(" ");
  }

  areas(picture, x, y, end) {
    const names = Timeline.ZONES.map(([name]) => name);
    // The uppermost first, so that each covers what is below it.
    [...names.keys()].reverse().forEach((place) => {
      const below = (sample) => names.slice(0, place + 1).reduce((sum, name) => sum + (sample.zones[name] ?? 0), 0);
      if (!this.samples.some((sample) => sample.zones[names[place]])) return;
      const outline = `${Timeline.LEFT},${y(0)} ${this.points(below, x, y, end)} ${x(end)},${y(0)}`;
      picture.append(dom.svg("polygon", { class: `area ${Timeline.ZONES[place][1]}`, points: outline }));
    });
  }

  curves(picture, x, y, end) {
    Object.keys(this.samples.at(-1).devices).slice(0, 8).forEach((id, place) => {
      const points = this.points((sample) => sample.devices[id] ?? 0, x, y, end);
      picture.append(dom.svg("polyline", { class: `curve curve-${place % 4}`, points }));
    });
  }

  words(sample) {
    const zones = Timeline.ZONES.filter(([name]) => sample.zones[name]);
    return zones.map(([name]) => `${name} ${dom.bytes(sample.zones[name])}`).join(", ");
  }

  /// What the colours are, with the numbers of the last sample.
  key(last) {
    const zones = Timeline.ZONES.filter(([name]) => last.zones[name]).map(([name, kind]) =>
      dom.el("li", {}, dom.el("span", { class: `swatch ${kind}`, "aria-hidden": "true" }),
        `${name === "none" ? "several zones" : name} ${dom.bytes(last.zones[name])}`));
    const devices = Object.entries(last.devices).slice(0, 8).map(([id, size], place) =>
      dom.el("li", {}, dom.el("span", { class: `swatch line curve-${place % 4}`, "aria-hidden": "true" }), `${id} ${dom.bytes(size)}`));
    this.list.replaceChildren(...zones, ...devices);
  }
}
