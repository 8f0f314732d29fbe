// How the run is doing.

const STAGES = { capture: "capture", detect: "detect", classify: "classify", other: "other" };
const SMOOTHING = 0.15; // of each new frame's times, so that the digits can be read

export class Health {
  constructor(numbers, stages, sinks) {
    this.numbers = numbers;
    this.stages = stages;
    this.sinks = sinks;
    this.times = {};
    this.age = null;
    this.fields = new Map();
    this.bar = Object.assign(document.createElement("div"), { className: "stack" });
    this.legend = Object.assign(document.createElement("ul"), { className: "legend" });
    this.bar.setAttribute("aria-hidden", "true");
    stages.append(this.bar, this.legend);
    this.parts = Object.entries(STAGES).map(([stage, name]) => {
      const piece = document.createElement("i");
      const item = document.createElement("li");
      const value = document.createElement("b");
      piece.dataset.stage = item.dataset.stage = stage;
      item.append(`${name} `, value, " ms");
      this.bar.append(piece);
      this.legend.append(item);
      return { stage, piece, value };
    });
  }

  clear() {
    this.times = {};
    this.age = null;
    this.fields.clear();
    this.numbers.replaceChildren();
  }

  take(event) {
    const smooth = (before, value) => (before === undefined || before === null ? value : before + SMOOTHING * (value - before));
    for (const [stage, value] of Object.entries(event.stages_ms)) this.times[stage] = smooth(this.times[stage], value);
    this.age = smooth(this.age, event.age_ms);
  }

  // `current` is false once nothing more is heard: these are the last figures then.
  draw(status, current) {
    for (const { stage, piece, value } of this.parts) {
      const time = this.times[stage] ?? 0;
      piece.style.setProperty("--share", Math.max(time, 0.001));
      value.textContent = time < 10 ? time.toFixed(1) : Math.round(time);
    }
    if (!status) return;
    this.set("Frames per second", (current && status.frames_per_s?.toFixed(1)) || "–");
    this.set("Camera to label", this.age === null ? "–" : this.age.toFixed(this.age < 10 ? 1 : 0), "ms");
    this.set("Frames dropped", status.dropped.toLocaleString("en"));
    if (status.failures) this.set("Frames failed", status.failures.toLocaleString("en"), "", true);
    if (status.temperature_c !== null && status.temperature_c !== undefined) {
      this.set("Temperature", status.temperature_c.toFixed(0), "°C", status.slowed);
    }
    // Most boards but the Raspberry Pi do not say.
    if (status.slowed !== null && status.slowed !== undefined) {
      const supply = status.under_voltage ? "weak supply" : "full speed";
      this.set("Processor", status.slowed ? "throttled" : supply, "", status.slowed || status.under_voltage);
    }
    this.set("Viewers", status.viewers);
    this.table(status.sinks);
  }

  set(name, value, unit = "", warn = false) {
    if (!this.fields.has(name)) {
      const field = document.createElement("div");
      field.append(Object.assign(document.createElement("dt"), { textContent: name }), document.createElement("dd"));
      this.numbers.append(field);
      this.fields.set(name, field);
    }
    const field = this.fields.get(name);
    field.classList.toggle("warn", Boolean(warn));
    field.lastChild.textContent = value;
    if (unit) field.lastChild.append(Object.assign(document.createElement("small"), { textContent: ` ${unit}` }));
  }

  table(sinks) {
    this.sinks.hidden = sinks.length === 0;
    const rows = sinks.map((sink) => {
      const row = document.createElement("tr");
      const away = sink.connected === false ? " (away)" : "";
      for (const text of [sink.name + away, sink.queued, sink.delivered, sink.dropped + sink.refused]) {
        row.append(Object.assign(document.createElement("td"), { textContent: text.toLocaleString("en") }));
      }
      row.lastChild.classList.toggle("warn", sink.dropped + sink.refused > 0);
      row.firstChild.classList.toggle("warn", sink.connected === false);
      return row;
    });
    this.sinks.tBodies[0].replaceChildren(...rows);
  }
}
