// Where predictions come from: from WebAssembly in the page, where it is there, or else from the server.
"use strict";

const oracle = (() => {
  let machine = null;

  /// The module in the page, or the server's; nothing where neither has one.
  async function load() {
    const text = dom.byId("wasm")?.textContent.trim();
    if (text) return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    if (dom.byId("library")) return null;
    const response = await fetch("/assets/playground.wasm");
    return response.ok ? new Uint8Array(await response.arrayBuffer()) : null;
  }

  async function begin() {
    const bytes = await load().catch(() => null);
    if (bytes) machine = (await WebAssembly.instantiate(bytes, {})).instance.exports;
    return machine ? "in this page" : "by the server";
  }

  /// Hands a text to the module, and reads the one that it gives back.
  function call(text) {
    const question = new TextEncoder().encode(text);
    const place = machine.room(question.length);
    new Uint8Array(machine.memory.buffer, place, question.length).set(question);
    machine.answer();
    const answer = new Uint8Array(machine.memory.buffer, machine.answer_start(), machine.answer_length());
    return JSON.parse(new TextDecoder().decode(answer));
  }

  /// The answer to a question; throws with what is wrong with it.
  async function ask(question) {
    const answer = machine ? call(JSON.stringify(question)) : await dom.ask("/predict", question);
    if (answer.problems) throw new Error(answer.problems.join("\n"));
    return answer;
  }

  /// The library of scenarios, and what letters mean.
  async function library() {
    const text = dom.byId("library")?.textContent;
    return text ? JSON.parse(text) : dom.ask("/library");
  }

  return { begin, ask, library };
})();
