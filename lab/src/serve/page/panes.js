// The panes beside the map: devices, memory groups, and where the next memory would go.
"use strict";

const panes = (() => {
  function bar(part, all, label) {
    return dom.el("meter", { min: 0, max: Math.max(all, part, 1), high: all, optimum: 0, value: part, "aria-label": label });
  }

  /// The devices; each name is a button that explains it where somebody can.
  function devices(pane, all, explain) {
    if (all.length === 0) {
      pane.replaceChildren(dom.el("p", { class: "quiet" }, "There are no memory devices: all memory is boot memory."));
      return;
    }
    const row = (device) => {
      const name = explain
        ? dom.el("button", { type: "button", class: "link", "data-device": device.id, onclick: () => explain(device.id) }, device.id)
        : device.id;
      const asked = device.requested === device.plugged ? "" : ` → ${dom.bytes(device.requested)}`;
      const words = `${dom.bytes(device.plugged)}${asked} of ${dom.bytes(device.size)}`;
      return dom.el("tr", {}, dom.el("th", { scope: "row" }, name),
        dom.el("td", { class: "whole" }, device.kind === "dimm" ? "DIMM" : "virtio-mem"), dom.el("td", { class: "number" }, String(device.node)),
        dom.el("td", {}, bar(device.plugged, device.size, words), " ", dom.el("span", { class: "whole" }, words)), dom.el("td", {}, device.state));
    };
    // A button that has the focus keeps it.
    const held = document.activeElement?.dataset?.device;
    pane.replaceChildren(dom.table("Memory devices", ["Name", "Kind", "Node", "Plugged", "State"], all.map(row)));
    if (held) pane.querySelector(`[data-device="${CSS.escape(held)}"]`)?.focus();
  }

  /// Memory groups: what of each device is in which kind of zone.
  function groups(pane, all, none) {
    if (all.length === 0) {
      pane.replaceChildren(dom.el("p", { class: "quiet" }, none));
      return;
    }
    const row = ([id, device, ...cells]) =>
      dom.el("tr", {}, dom.el("th", { scope: "row" }, `${id}: ${device}`), ...cells.map((cell) => dom.el("td", {}, cell)));
    pane.replaceChildren(dom.table("Memory groups", ["Group", "Kind", "Kernel", "Movable", "Bound"], all.map(row)));
  }

  /// Where a DIMM of the chosen size and the next blocks would go, with the sums of the ratio.
  function outlook(pane, all) {
    const { next, unknown } = all;
    if (unknown) {
      pane.replaceChildren(dom.el("p", { class: "quiet" }, unknown));
      return;
    }
    const one = (come) => {
      const words = come.comes_offline ? " comes offline, and would then be " : ": ";
      const sums = come.sums && dom.el("div", { class: "sums" },
        bar(come.sums.movable, come.sums.limit, come.sums.text), dom.el("span", { class: "quiet" }, come.sums.text));
      return dom.el("li", {}, `${come.what}${words}`, dom.el("span", { class: `zone ${come.class}` }, come.zone),
        dom.el("div", {}, `because ${come.why}`), sums);
    };
    pane.replaceChildren(dom.el("ul", { class: "outlook" }, ...next.map(one)));
  }

  /// Fills the choice of sizes that the outlook is about.
  function sizes(select, outlooks, chosen) {
    if (select.options.length === outlooks.length) return;
    select.replaceChildren(...outlooks.map(({ size }, place) =>
      dom.el("option", { value: place, selected: place === chosen }, size)));
  }

  return { devices, groups, outlook, sizes };
})();
