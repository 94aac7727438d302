// Blocks in lines: by node, then by device, each line aligned to its own length, so that one column holds numbers with the
// same last digits. Lines without a plugged block are summed up; of very large machines also lines that are all alike.
"use strict";

const rows = (() => {
  /// Most blocks that are drawn one by one.
  const MOST = 16384;

  /// The lines: {title} of a node, {name, first, cells} with a run or null for each column, or {gap} in words.
  function rowsOf(nodes, columns) {
    const all = nodes.flatMap((node) => node.strips).flatMap((strip) => strip.runs);
    const plugged = all.filter(([, , , kind]) => kind !== "absent").reduce((sum, [first, last]) => sum + last - first + 1, 0);
    const isLarge = plugged > MOST;
    const lines = [];
    for (const node of nodes) {
      lines.push({ title: node.title });
      for (const strip of node.strips) lines.push(...linesOf(strip, columns, isLarge));
    }
    return lines;
  }

  function linesOf(strip, columns, isLarge) {
    const lines = [];
    let name = strip.name;
    let place = 0;
    const { runs } = strip;
    while (place < runs.length) {
      let first = Math.floor(runs[place][0] / columns) * columns;
      const behind = lines.at(-1)?.first;
      if (behind !== undefined && first <= behind) first = behind + columns;
      if (first > runs[place][1]) { place += 1; continue; }
      // So many whole lines are of this run alone.
      const whole = first < runs[place][0] ? 0 : Math.floor((runs[place][1] + 1 - first) / columns);
      const isAbsent = runs[place][3] === "absent";
      if (whole > 1 && (isAbsent || (isLarge && whole > 3)) && name === "") {
        const what = isAbsent ? "not plugged" : `like the one above`;
        lines.push({ gap: `${(whole * columns).toLocaleString("en")} more blocks ${what}`, first: first + (whole - 1) * columns });
        continue;
      }
      lines.push({ name, first, cells: cellsOf(runs, place, first, columns) });
      name = "";
    }
    return lines;
  }

  function cellsOf(runs, place, first, columns) {
    const cells = new Array(columns).fill(null);
    for (let run = place; run < runs.length && runs[run][0] < first + columns; run += 1) {
      const end = Math.min(runs[run][1], first + columns - 1);
      for (let index = Math.max(runs[run][0], first); index <= end; index += 1) cells[index - first] = runs[run];
    }
    return cells;
  }

  return { of: rowsOf };
})();
