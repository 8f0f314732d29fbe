// What each face showed over the last minutes.

const ROWS = 6; // as many as there are cards
const GAP_S = 2; // as on the server: who was away for longer begins a new stretch

export class Timeline {
  constructor(element) {
    this.element = element;
    this.stretches = [];
    this.open = new Map();
    this.span = 180;
    this.rows = new Map();
    this.axis = document.createElement("div");
    this.axis.className = "row axis";
    this.axis.setAttribute("aria-hidden", "true");
    this.axis.append(document.createElement("span"), Object.assign(document.createElement("div"), { className: "track" }));
  }

  begin(history, span) {
    this.span = span;
    this.stretches = history.map(([id, label, start, end]) => ({ id, label, start, end }));
    this.open = new Map(this.stretches.map((stretch) => [stretch.id, stretch]));
    const minutes = Math.round(span / 60);
    this.axis.lastChild.replaceChildren(
      ...Array.from({ length: minutes + 1 }, (_, i) => {
        const tick = document.createElement("em");
        tick.textContent = i === minutes ? "now" : `${minutes - i} min`;
        tick.style.left = `${(100 * i) / minutes}%`;
        return tick;
      }),
    );
  }

  add(faces, time) {
    for (const face of faces) {
      let stretch = this.open.get(face.id);
      const gap = stretch ? time - stretch.end : Infinity;
      if (!stretch || stretch.label !== face.stable || gap > GAP_S || gap < 0) {
        stretch = { id: face.id, label: face.stable, start: time, end: time };
        this.stretches.push(stretch);
        this.open.set(face.id, stretch);
      }
      stretch.end = time;
    }
  }

  draw(now, colours) {
    const began = now - this.span;
    // What lies in the future was seen by a clock that has been set back since.
    const within = (stretch) => stretch.end > began && stretch.end <= now + GAP_S;
    this.stretches = this.stretches.filter(within);
    for (const [id, stretch] of this.open) if (!within(stretch)) this.open.delete(id);
    const latest = [...this.open.entries()].sort(([a, one], [b, other]) => other.end - one.end || a - b);
    const ids = latest.slice(0, ROWS).map(([id]) => id).sort((a, b) => a - b);
    for (const [id, row] of this.rows) {
      if (!ids.includes(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    for (const id of ids) {
      if (!this.rows.has(id)) this.rows.set(id, newRow(id));
      const row = this.rows.get(id);
      const own = this.stretches.filter((stretch) => stretch.id === id);
      fill(row.lastChild, own, began, this.span, colours);
      const labels = own.map((stretch) => stretch.label);
      row.setAttribute("aria-label", `Face ${id}: ${labels.slice(-4).join(", then ")}`);
      this.element.append(row);
    }
    this.element.append(this.axis);
  }
}

function newRow(id) {
  const row = document.createElement("div");
  row.className = "row";
  row.setAttribute("role", "img");
  row.append(
    Object.assign(document.createElement("span"), { textContent: `Face ${id}` }),
    Object.assign(document.createElement("div"), { className: "track" }),
  );
  return row;
}

function fill(track, stretches, began, span, colours) {
  while (track.children.length > stretches.length) track.lastChild.remove();
  stretches.forEach((stretch, i) => {
    const piece = track.children[i] ?? track.appendChild(document.createElement("span"));
    const left = Math.max(0, (stretch.start - began) / span);
    const width = Math.max(0.004, (stretch.end - began) / span - left);
    const colour = colours[stretch.label];
    piece.className = colour ? "" : "uncertain";
    piece.style.left = `${100 * left}%`;
    piece.style.width = `${100 * width}%`;
    if (colour) {
      piece.style.setProperty("--colour", colour);
      piece.style.setProperty("--on", inkOn(colour));
    }
    piece.textContent = width > 0.09 ? stretch.label : "";
    piece.title = `${stretch.label}, ${Math.round(stretch.end - stretch.start)} s`;
  });
}

// Black or white, whichever stands out more (WCAG 2.2, relative luminance).
function inkOn(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#0e1012" : "#ffffff";
}
