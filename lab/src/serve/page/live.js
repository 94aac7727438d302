// The page of machines: one is chosen, and what the server tells of it is drawn.
"use strict";

(() => {
  const { byId, el, ask } = dom;
  let machine = null;
  let source = null;
  let shown = null;

  const map = new BlockMap(byId("map"), (index) => { deeds.choose(index); explain(`blocks/${index}`); });
  const timeline = new Timeline(byId("timeline"), byId("timeline-key"));
  const log = new EventLog(byId("events"));
  const deeds = new Deeds(byId("deeds"), () => machine);
  byId("ahead").addEventListener("change", () => outlook());

  /// Asks what there is to say of a block or a device.
  async function explain(what) {
    try {
      const { title, lines } = await ask(`/machines/${encodeURIComponent(machine)}/${what}`);
      dom.explain(byId("explained"), title, lines);
    } catch (error) {
      dom.explain(byId("explained"), "Not known", [error.message]);
    }
  }

  function outlook() {
    const place = Number(byId("ahead").value || 2);
    panes.outlook(byId("outlook"), shown.outlooks[place]);
  }

  function show(news) {
    if (news.is_fresh) log.clear();
    const trouble = byId("trouble");
    trouble.hidden = !news.trouble;
    if (trouble.textContent !== (news.trouble ?? "")) trouble.textContent = news.trouble ?? "";
    document.body.classList.toggle("stale", Boolean(news.trouble));
    log.add(news.events);
    if (news.samples.length > 0) timeline.add(news.samples);
    if (news.shown === null) {
      if (shown === null) byId("settings").textContent = news.trouble ? "" : "Waiting for the guest …";
      return;
    }
    shown = news.shown;
    byId("settings").textContent = shown.settings;
    byId("pending").textContent = shown.pending.length > 0 ? `Still changing: ${shown.pending.join("; ")}` : "";
    byId("empty").hidden = shown.nodes.length > 0;
    map.show(shown.nodes);
    panes.devices(byId("devices"), shown.devices, (id) => explain(`devices/${encodeURIComponent(id)}`));
    panes.groups(byId("groups"), shown.groups, shown.no_groups);
    panes.sizes(byId("ahead"), shown.outlooks, 2);
    outlook();
    deeds.show(shown);
  }

  /// Follows another machine.
  function follow(name) {
    source?.close();
    machine = name;
    shown = null;
    for (const button of byId("machines").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.textContent === name));
    }
    document.title = `${name} – Dimmer`;
    log.clear();
    timeline.clear();
    map.show([]);
    source = new EventSource(`/machines/${encodeURIComponent(name)}/stream`);
    source.onopen = () => {
      // All that is kept is told again.
      log.clear();
      timeline.samples = [];
    };
    source.onmessage = (event) => show(JSON.parse(event.data));
    source.onerror = () => show({ trouble: "The server does not answer; it is tried again.", events: [], samples: [], shown: null });
  }

  async function begin() {
    const { machines, legend } = await ask("/machines");
    map.mean(legend);
    showLegend(byId("legend"), legend);
    byId("nothing").hidden = machines.length > 0;
    byId("page").hidden = machines.length === 0;
    byId("machines").replaceChildren(...machines.map((name) =>
      el("li", {}, el("button", { type: "button", onclick: () => follow(name) }, name))));
    byId("machines").hidden = machines.length < 2;
    if (machines.length > 0) follow(machines[0]);
  }

  begin().catch((error) => show({ trouble: error.message, events: [], samples: [], shown: null }));
})();
