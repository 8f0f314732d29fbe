// The picture and the boxes over it.

export class Stage {
  constructor(element) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.context = this.canvas.getContext("2d");
    this.boxes = element.querySelector("#boxes");
    this.notice = element.querySelector("#notice");
    this.marks = new Map();
    this.seq = null;
  }

  draw(seq, bitmap) {
    if (this.canvas.width !== bitmap.width || this.canvas.height !== bitmap.height) {
      this.canvas.width = bitmap.width;
      this.canvas.height = bitmap.height;
    }
    this.context.drawImage(bitmap, 0, 0);
    this.seq = seq;
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.seq = null;
  }

  // `view` is what part of the full frame the picture shows, [x, y, width, height].
  mark(faces, view, colours) {
    this.element.style.setProperty("--ratio", view[2] / view[3]);
    const gone = new Set(this.marks.keys());
    for (const face of faces) {
      gone.delete(face.id);
      const mark = this.marks.get(face.id) ?? this.add(face.id);
      const [left, right] = visible(face.box[0] - view[0], face.box[2], view[2]);
      const [top, bottom] = visible(face.box[1] - view[1], face.box[3], view[3]);
      const percent = (share) => `${100 * share}%`;
      mark.box.style.left = percent(left);
      mark.box.style.top = percent(top);
      mark.box.style.width = percent(right - left);
      mark.box.style.height = percent(bottom - top);
      mark.box.style.setProperty("--colour", colours[face.stable] ?? "#ffffff");
      mark.box.classList.toggle("low", top < 0.08);
      mark.box.classList.toggle("far", left > 0.6);
      mark.label.textContent = face.stable;
      const share = face.probabilities[face.stable];
      mark.share.textContent = share === undefined ? "" : `${Math.round(100 * share)} %`;
    }
    for (const id of gone) {
      this.marks.get(id).box.remove();
      this.marks.delete(id);
    }
  }

  add(id) {
    const box = document.createElement("div");
    box.className = "box";
    const text = document.createElement("p");
    const number = document.createElement("small");
    number.textContent = id;
    const mark = { box, label: document.createElement("b"), share: document.createElement("small") };
    text.append(number, mark.label, mark.share);
    box.append(text);
    this.boxes.append(box);
    this.marks.set(id, mark);
    return mark;
  }

  say(stale, title, detail = "") {
    this.element.classList.toggle("stale", stale);
    this.notice.hidden = !title;
    const words = `${title}\n${detail}`;
    if (words === this.words) return;
    this.words = words;
    this.notice.textContent = title;
    if (detail) this.notice.append(Object.assign(document.createElement("small"), { textContent: detail }));
  }
}

// Where a box begins and ends, in shares of the picture: what lies outside would take the label with it.
function visible(start, size, whole) {
  const clipped = (at) => Math.min(1, Math.max(0, at / whole));
  return [clipped(start), clipped(start + size)];
}
