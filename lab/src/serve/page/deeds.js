// What a user may have a machine or its guest do. Each needs the token, which came behind the # of this page's address: it
// stays in this tab, and goes to the server in a header alone.
"use strict";

class Deeds {
  static KEY = "dimmer token";

  /// `machine` says which machine is meant.
  constructor(section, machine) {
    this.section = section;
    this.machine = machine;
    this.token = Deeds.takeToken();
    this.status = section.querySelector("[role=status]");
    section.querySelector("#token").addEventListener("submit", (event) => {
      event.preventDefault();
      this.keep(new FormData(event.target).get("token").trim());
    });
    for (const form of section.querySelectorAll("form[data-do]")) {
      form.addEventListener("submit", (event) => this.submit(event));
    }
    this.enable();
  }

  /// The token, which does not stay in the address, where others would see it.
  static takeToken() {
    const given = new URLSearchParams(location.hash.slice(1)).get("token");
    if (given) {
      sessionStorage.setItem(Deeds.KEY, given);
      history.replaceState(null, "", location.pathname);
    }
    return sessionStorage.getItem(Deeds.KEY);
  }

  keep(token) {
    sessionStorage.setItem(Deeds.KEY, token);
    this.token = token;
    this.enable();
  }

  enable() {
    this.section.querySelector("#token").hidden = Boolean(this.token);
    for (const fields of this.section.querySelectorAll("form[data-do] fieldset")) fields.disabled = !this.token;
  }

  /// Which devices there are to choose from; fields that somebody types in stay as they are.
  show(shown) {
    const choice = (name, kind) => {
      const select = this.section.querySelector(`form[data-do=${name}] select[name=id]`);
      const ids = shown.devices.filter((device) => device.kind === kind).map((device) => device.id);
      const before = select.value;
      select.form.hidden = ids.length === 0;
      if (ids.join() === [...select.options].map((option) => option.value).join()) return;
      select.replaceChildren(...ids.map((id) => dom.el("option", { value: id }, id)));
      if (ids.includes(before)) select.value = before;
    };
    choice("resize", "virtio-mem");
    choice("eject", "dimm");
    this.devices = shown.devices;
    const name = this.section.querySelector("form[data-do=plug] input[name=id]");
    if (document.activeElement !== name && !name.dataset.typed) name.value = this.freeName();
  }

  freeName() {
    const taken = this.devices.map((device) => device.id);
    for (let number = 0; ; number += 1) if (!taken.includes(`d${number}`)) return `d${number}`;
  }

  /// The block that was chosen on the map is the one that is most likely meant.
  choose(index) {
    const form = this.section.querySelector("form[data-do=blocks]");
    const field = form.querySelector("input[name=blocks]");
    if (document.activeElement !== field) field.value = String(index);
  }

  async submit(event) {
    event.preventDefault();
    const form = event.target;
    const fields = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
    const deed = { do: form.dataset.do, ...fields };
    if (form.dataset.do === "blocks") deed.do = event.submitter?.value ?? "online";
    if (deed.do === "offline") delete deed.zone;
    if (deed.node !== undefined) deed.node = Number(deed.node);
    const words = Object.values(deed).join(" ");
    this.tell(`${words}: under way …`, "");
    const headers = { Authorization: `Bearer ${this.token}` };
    try {
      const path = `/machines/${encodeURIComponent(this.machine())}/deeds`;
      const { done, text } = await dom.ask(path, deed, headers);
      this.tell(text, done ? "good" : "bad");
    } catch (error) {
      if (error.message.includes("Bearer")) this.keep("");
      this.tell(`${words}: ${error.message}`, "bad");
    }
  }

  tell(text, kind) {
    this.status.textContent = text;
    this.status.className = kind;
  }
}
