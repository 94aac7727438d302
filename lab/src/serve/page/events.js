// The log of events: the machine's, and what came of what was done on this page. New ones are read out.
"use strict";

class EventLog {
  static MOST = 500;

  constructor(list) {
    this.list = list;
    this.clear();
  }

  clear() {
    this.list.replaceChildren(dom.el("li", { class: "quiet none" }, "Nothing has happened yet."));
  }

  add(events) {
    if (events.length === 0) return;
    this.list.querySelector(".none")?.remove();
    // Many at once are those from before: they are there to be read, not to be read out.
    this.list.setAttribute("aria-live", events.length > 10 ? "off" : "polite");
    const isAtEnd = this.list.scrollTop + this.list.clientHeight >= this.list.scrollHeight - 8;
    this.list.append(...events.map(({ seconds, text }) =>
      dom.el("li", {}, dom.el("span", { class: "time" }, `${seconds.toFixed(1)} s`), dom.el("span", {}, text))));
    while (this.list.children.length > EventLog.MOST) this.list.firstElementChild.remove();
    if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}
