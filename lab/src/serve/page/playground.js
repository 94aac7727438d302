// The playground: what Linux would do, step by step, for the scenario in the editor; and where two kernels differ.
"use strict";

(() => {
  const { byId, el } = dom;
  let answers = [];
  let step = 0;
  let asked = 0;

  const maps = [byId("map"), byId("other-map")].map((grid, place) => new BlockMap(grid, (index) => explain(place, index)));
  const timeline = new Timeline(byId("timeline"), byId("timeline-key"));
  let editor = null;

  /// The answer to a question; throws with what is wrong with it.
  async function ask(question, isWanted) {
    const answer = await oracle.answer(question, isWanted);
    if (answer.problems) throw new Error(answer.problems.join("\n"));
    return answer;
  }

  function kernels() {
    return [byId("kernel").value, byId("other").value].filter((kernel, place) => place === 0 || kernel !== "");
  }

  /// Asks about the text as it is now; an answer that comes behind a later question is dropped. Of a new text the end is
  /// shown.
  async function predict(isNew) {
    asked += 1;
    document.body.classList.remove("answered");
    const mine = asked;
    try {
      const all = await Promise.all(kernels().map((kernel) => ask({ scenario: editor.text, kernel: kernel || null }, () => mine === asked)));
      if (mine !== asked) return;
      editor.complain("");
      answers = all;
      step = isNew === true ? answers[0].steps.length - 1 : Math.min(step, answers[0].steps.length - 1);
      document.body.classList.remove("stale");
      draw();
      document.body.classList.add("answered");
    } catch (error) {
      if (mine !== asked) return;
      document.body.classList.add("stale");
      editor.complain(error.message);
    }
  }

  /// What each block shows in a step, by its number.
  function looks(answer, number) {
    const all = new Map();
    const runs = answer?.steps[number]?.shown.nodes.flatMap((node) => node.strips).flatMap((strip) => strip.runs) ?? [];
    for (const [first, last, letter, kind] of runs) {
      if (kind === "absent") continue;
      for (let index = first; index <= last; index += 1) all.set(index, letter + kind);
    }
    return all;
  }

  /// The blocks that differ.
  function changes(one, other) {
    const all = new Set();
    for (const [index, look] of one) if (other.get(index) !== look) all.add(index);
    for (const index of other.keys()) if (!one.has(index)) all.add(index);
    return all;
  }

  function draw() {
    const [answer, other] = answers;
    const now = answer.steps[step];
    drawSteps(answer);
    const here = looks(answer, step);
    const marks = other ? changes(here, looks(other, step)) : step > 0 ? changes(here, looks(answer, step - 1)) : new Set();
    byId("caption").textContent = `Linux ${answer.kernel}, ${name(now)}`;
    maps[0].show(now.shown.nodes, marks);
    byId("comparison").hidden = !other;
    byId("maps").classList.toggle("pair", Boolean(other));
    const count = marks.size.toLocaleString("en");
    byId("marks").textContent = other
      ? `${count} blocks differ between the two kernels after this step.`
      : step > 0 ? `${count} blocks changed in this step; they are outlined.` : "";
    if (other) {
      byId("other-caption").textContent = `Linux ${other.kernel}, ${name(now)}`;
      maps[1].show(other.steps[step]?.shown.nodes ?? [], marks);
    }
    const remarks = answers.flatMap((one) => (one.remark ? [`Linux ${one.kernel}: ${one.remark}`] : []));
    byId("settings").textContent = [now.shown.settings, ...remarks].join("; ");
    byId("said").textContent = answers.map((one) => (other ? `Linux ${one.kernel}\n` : "") + (one.steps[step]?.text ?? "")).join("\n").trimEnd();
    panes.devices(byId("devices"), now.shown.devices, null);
    panes.groups(byId("groups"), now.shown.groups, now.shown.no_groups);
    panes.sizes(byId("ahead"), now.shown.outlooks, 2);
    outlook();
    timeline.samples = answer.steps.map((one) => one.sample);
    timeline.draw(true);
  }

  function outlook() {
    panes.outlook(byId("outlook"), answers[0].steps[step].shown.outlooks[Number(byId("ahead").value || 2)]);
  }

  function name({ step: number, action }) {
    return number === 0 ? "after the boot" : `after step ${number}: ${action}`;
  }

  function drawSteps(answer) {
    const held = byId("steps").contains(document.activeElement);
    byId("steps").replaceChildren(...answer.steps.map((one, number) => {
      const words = number === 0 ? "boot" : `${number} ${one.action}`;
      const outcome = one.outcome && one.outcome !== "done" ? ` (${one.outcome})` : "";
      const button = el("button", { type: "button", "aria-current": number === step ? "step" : null, onclick: () => { step = number; draw(); } }, words + outcome);
      return el("li", {}, button);
    }));
    if (held) byId("steps").querySelector("[aria-current]")?.focus();
  }

  async function explain(place, block) {
    const pane = byId("explained");
    const { kernel } = answers[place];
    try {
      const { changes: all } = await ask({ scenario: editor.text, kernel, block });
      const when = (one) => (one.step === 0 ? "boot" : `step ${one.step} (${one.action})`);
      const line = (one) => `${when(one)}: ${one.why.startsWith(`${one.shows}: `) ? "" : `${one.shows}; `}${one.why}`;
      dom.explain(pane, `Block ${block} on Linux ${kernel}`, all.filter((one) => one.step <= step).map(line));
    } catch (error) {
      dom.explain(pane, `Block ${block}`, [error.message]);
    }
  }

  async function begin() {
    const { scenarios, legend } = await oracle.library();
    maps.forEach((map) => map.mean(legend));
    showLegend(byId("legend"), legend, [["new", "changed, or other than on the other kernel"]]);
    editor = new Editor(byId("editor"), scenarios, predict);
    byId("kernel").addEventListener("change", predict);
    byId("other").addEventListener("change", predict);
    byId("ahead").addEventListener("change", outlook);
    for (const [id, by] of [["before", -1], ["next", 1]]) {
      byId(id).addEventListener("click", () => {
        step = Math.min(Math.max(step + by, 0), answers[0].steps.length - 1);
        draw();
      });
    }
    await predict(true);
  }

  begin().catch((error) => { byId("settings").textContent = error.message; });
})();
