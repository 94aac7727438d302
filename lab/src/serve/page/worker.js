// The module of wasm, which comes first, and each question to it, answered in turn.
"use strict";

let instance = null;

/// The text that the module has put at this place.
function text(module, place) {
  return new TextDecoder().decode(new Uint8Array(module.memory.buffer, place >>> 0, module.length() >>> 0));
}

function answer(module, question) {
  if (question === null) return text(module, module.library());
  const bytes = new TextEncoder().encode(question);
  const room = module.room(bytes.length) >>> 0;
  if (room === 0) throw new Error(`The scenario is too long: the question has ${bytes.length} bytes.`);
  new Uint8Array(module.memory.buffer, room, bytes.length).set(bytes);
  return text(module, module.answer());
}

onmessage = async ({ data }) => {
  if (instance === null) {
    instance = WebAssembly.instantiate(data, {});
    return;
  }
  try {
    const { instance: { exports } } = await instance;
    postMessage({ text: answer(exports, data) });
  } catch (error) {
    const isLost = error instanceof WebAssembly.RuntimeError;
    const why = isLost ? "A defect of the oracle, or it needs more memory than it may have: " : "";
    postMessage({ trouble: why + error.message });
  }
};
