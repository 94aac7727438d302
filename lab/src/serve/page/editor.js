// The scenario's text: taken from the library, edited by hand or with buttons that add steps, and saved as a file.
"use strict";

class Editor {
  /// Steps that buttons add; each is a step of its own.
  static STEPS = [
    ["Plug a DIMM", (number) => `plug = { id = "d${number}", size = "1G" }`],
    ["Eject it", (number) => `unplug = "d${Math.max(number - 1, 0)}"`],
    ["Resize virtio-mem", () => `resize = { to = "4G" }`],
    ["Take blocks offline", () => `offline = "48-49"`],
    ["Put blocks online", () => `online = { blocks = "48-49" }`],
    ["Change the policy", () => `set = { auto_movable_ratio = 100 }`],
    ["Reboot", () => `reboot = {}`],
  ];

  static FIRST = `shows = "What would Linux do?"

[machine]
memory = "size=4G,low=2G"
memory_hotplug = ["method=acpi,slots=16,size=32G", "method=virtio-mem,size=32G"]

[guest]
auto_movable_ratio = 301

[[step]]
plug = { id = "d0", size = "4G" }
`;

  /// `changed` is called a moment after the text has changed, with true when it is another one.
  constructor(form, library, changed) {
    this.area = form.querySelector("textarea");
    this.select = form.querySelector("select[name=library]");
    this.problems = form.querySelector("#problems");
    this.changed = changed;
    this.library = library;
    this.select.append(...library.map(({ name }) => dom.el("option", { value: name }, name)));
    this.select.addEventListener("change", () => this.open(this.select.value));
    form.querySelector("#steps-to-add").replaceChildren(...Editor.STEPS.map(([name, step]) =>
      dom.el("button", { type: "button", onclick: () => this.add(step) }, name)));
    form.querySelector("#save").addEventListener("click", () => this.save());
    form.addEventListener("submit", (event) => { event.preventDefault(); this.changed(); });
    this.area.addEventListener("input", () => this.later());
    this.area.value = Editor.FIRST;
  }

  get text() {
    return this.area.value;
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed(), 400);
  }

  open(name) {
    const found = this.library.find((scenario) => scenario.name === name);
    this.area.value = found ? found.text : Editor.FIRST;
    this.area.scrollTop = 0;
    this.changed(true);
  }

  add(step) {
    const names = [...this.text.matchAll(/id = "d(\d+)"/g)].map(([, number]) => Number(number) + 1);
    this.area.value = `${this.text.trimEnd()}\n\n[[step]]\n${step(Math.max(...names, 0))}\n`;
    this.area.scrollTop = this.area.scrollHeight;
    this.changed(true);
  }

  /// What is wrong: the message, and a button that goes to its line.
  complain(message) {
    this.area.setAttribute("aria-invalid", String(message !== ""));
    this.problems.replaceChildren();
    if (message === "") return;
    const line = message.match(/line (\d+)/);
    this.problems.append(dom.el("pre", {}, message.replace(/^scenario: /gm, "").trimEnd()));
    if (line) {
      this.problems.append(dom.el("button", { type: "button", onclick: () => this.go(Number(line[1])) }, `Go to line ${line[1]}`));
    }
  }

  go(line) {
    const lines = this.text.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
    this.area.focus();
    this.area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
    this.area.scrollTop = (line - 3) * parseFloat(getComputedStyle(this.area).lineHeight);
  }

  /// Saves the text as a file that `dimmer-lab check` takes.
  save() {
    const name = this.select.value || "scenario";
    const place = URL.createObjectURL(new Blob([this.text], { type: "application/toml" }));
    dom.el("a", { href: place, download: `${name}.toml` }).click();
    setTimeout(() => URL.revokeObjectURL(place), 1000);
  }
}
