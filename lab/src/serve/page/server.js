// The oracle of the playground as `dimmer-lab serve` has it: the server answers.
"use strict";

const oracle = {
  library: () => dom.ask("/library"),
  answer: (question) => dom.ask("/predict", question),
};
