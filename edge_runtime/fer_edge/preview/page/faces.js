// One card a face: the stable label, and the probability of each.

const MOST = 6; // cards; a crowd is only counted
const ROOMY = 2; // more are drawn smaller, side by side

export class Faces {
  constructor(element) {
    this.element = element;
    this.cards = new Map();
    this.empty = template(`<div class="card nobody"><b>Nobody in view</b><span>Faces appear here as they are seen.</span></div>`);
    this.more = template(`<p class="more"></p>`);
    this.element.append(this.empty);
  }

  show(faces, colours, now) {
    const shown = faces.slice(0, MOST);
    const gone = new Set(this.cards.keys());
    for (const face of shown) {
      gone.delete(face.id);
      const card = this.cards.get(face.id) ?? this.add(face, colours);
      update(card, face, colours, now);
    }
    for (const id of gone) {
      this.cards.get(id).card.remove();
      this.cards.delete(id);
    }
    this.empty.hidden = faces.length > 0;
    this.element.classList.toggle("many", faces.length > ROOMY);
    this.more.textContent = faces.length > MOST ? `and ${faces.length - MOST} more` : "";
    if (faces.length > MOST) this.element.append(this.more);
    else this.more.remove();
  }

  // What was known is of another run, and perhaps of a network with other labels.
  clear() {
    for (const { card } of this.cards.values()) card.remove();
    this.cards.clear();
    this.more.remove();
    this.empty.hidden = false;
  }

  add(face, colours) {
    const card = template(`<article class="face"><header><i></i><h3></h3><b></b><p></p></header><ul class="bars"></ul></article>`);
    const [swatch, title, share, about] = card.querySelectorAll("i, h3, b, p");
    const list = card.querySelector("ul");
    const bars = Object.keys(face.probabilities).map((label) => {
      const item = template(`<li><span></span><i aria-hidden="true"></i><span></span></li>`);
      item.firstChild.textContent = label;
      item.style.setProperty("--colour", colours[label]);
      list.append(item);
      return { label, item, value: item.lastChild };
    });
    const made = { card, swatch, title, share, about, bars };
    this.cards.set(face.id, made);
    this.element.append(card);
    return made;
  }
}

function update(card, face, colours, now) {
  card.title.textContent = face.stable;
  card.card.style.setProperty("--colour", colours[face.stable] ?? "var(--muted)");
  const share = face.probabilities[face.stable];
  card.share.textContent = share === undefined ? "" : percent(share);
  const seconds = Math.max(0, Math.round(now - Date.parse(face.stable_since) / 1000));
  const known = seconds < 1 ? "just now" : `for ${duration(seconds)}`;
  card.about.textContent = `Face ${face.id} · ${known}${face.score === null ? "" : ` · detector ${percent(face.score)}`}`;
  for (const { label, item, value } of card.bars) {
    item.style.setProperty("--share", face.probabilities[label]);
    item.classList.toggle("now", label === face.expression);
    value.textContent = percent(face.probabilities[label]);
  }
}

function template(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

export function duration(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
