// The oracle of the playground as a page without a server has it: a module of wasm in the page itself (base64, in the element
// "module"), in a thread of its own, which is ended when an answer takes too long.
"use strict";

const oracle = (() => {
  /// Seconds that an answer may take, as on a server.
  const SECONDS = 10;
  let place = null;
  let worker = null;
  let last = Promise.resolve();

  const bytes = (id) => Uint8Array.from(atob(document.getElementById(id).textContent.trim()), (letter) => letter.charCodeAt(0));

  function start() {
    place ??= URL.createObjectURL(new Blob([document.getElementById("worker").textContent], { type: "text/javascript" }));
    const started = new Worker(place);
    const module = bytes("module");
    started.postMessage(module, [module.buffer]);
    return started;
  }

  function end() {
    worker.terminate();
    worker = null;
  }

  /// What the module says; null asks for the library.
  function ask(question) {
    worker ??= start();
    return new Promise((resolve, reject) => {
      const fail = (why) => { end(); reject(new Error(why)); };
      const timer = setTimeout(() => fail(`The answer takes more than ${SECONDS} seconds; \`dimmer-lab predict\` has no such limit.`), SECONDS * 1000);
      worker.onmessage = ({ data: { text, trouble } }) => {
        clearTimeout(timer);
        if (trouble === undefined) resolve(JSON.parse(text));
        else fail(trouble);
      };
      worker.onerror = ({ message }) => {
        clearTimeout(timer);
        fail(`This browser does not run the oracle: ${message}`);
      };
    });
  }

  /// One question after the other; one that nobody waits for any more is not asked.
  function queue(question, isWanted) {
    const mine = last.then(() => {
      if (!isWanted()) throw new Error("Another question came.");
      const told = ask(question);
      worker.postMessage(question);
      return told;
    });
    last = mine.catch(() => {});
    return mine;
  }

  return {
    library: () => queue(null, () => true),
    answer: (question, isWanted = () => true) => queue(JSON.stringify(question), isWanted),
  };
})();
