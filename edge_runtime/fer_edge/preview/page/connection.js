// The two streams of the page: events and pictures. Both come back by themselves.

const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 5000;
const SILENT_MS = 4000; // the server says something every second
const ANSWER_MS = 5000;

// Server-sent events. `handlers` has one function for each kind of event, and `lost(status)`, where status is
// the HTTP status that the server refuses with, or null where it cannot be reached.
export class Events {
  constructor(path, handlers) {
    this.path = path;
    this.handlers = handlers;
    this.retry = RETRY_MS;
    this.spoken = 0;
    this.open();
  }

  open() {
    this.source = new EventSource(this.path);
    this.heard = performance.now();
    for (const kind of ["hello", "result", "status", "bye"]) {
      this.source.addEventListener(kind, (event) => {
        this.heard = performance.now();
        this.spoken += 1;
        this.retry = RETRY_MS;
        this.handlers[kind](JSON.parse(event.data));
      });
    }
    this.source.addEventListener("error", () => this.again());
    // A network that went away without a word leaves the connection open for minutes.
    this.watchdog = setInterval(() => performance.now() - this.heard > SILENT_MS && this.again(), RETRY_MS);
  }

  async again() {
    this.stop();
    this.timer = setTimeout(() => this.open(), this.retry);
    this.retry = Math.min(2 * this.retry, LONGEST_RETRY_MS);
    // An event source does not say why it was refused. The answer may come after the stream has come back.
    const before = this.spoken;
    let status = null;
    try {
      status = (await fetch(this.path, { method: "HEAD", signal: AbortSignal.timeout(ANSWER_MS) })).status;
    } catch {}
    if (!this.ended && this.spoken === before) this.handlers.lost(status);
  }

  stop() {
    this.source.close();
    clearInterval(this.watchdog);
    clearTimeout(this.timer);
  }

  close() {
    this.ended = true;
    this.stop();
  }
}

// A multipart stream of JPEG pictures, by another type: WebKit takes a multipart one for nothing but images. `onPicture(seq, bitmap)` gets each that can be decoded in time.
export class Pictures {
  constructor(path, onPicture) {
    this.path = path;
    this.onPicture = onPicture;
    this.aborter = new AbortController();
    this.decoding = false;
    this.run();
  }

  async run() {
    while (!this.aborter.signal.aborted) {
      try {
        const response = await fetch(this.path, { signal: this.aborter.signal });
        if (response.ok) await this.read(response.body.getReader());
      } catch {}
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  async read(reader) {
    let bytes = new Uint8Array(0);
    let part = null;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const joined = new Uint8Array(bytes.length + value.length);
      joined.set(bytes);
      joined.set(value, bytes.length);
      bytes = joined;
      for (;;) {
        if (part === null) {
          const end = endOfHead(bytes);
          if (end < 0) break;
          part = parseHead(new TextDecoder("latin1").decode(bytes.subarray(0, end)));
          bytes = bytes.subarray(end);
        }
        if (bytes.length < part.length + 2) break;
        this.decode(part.seq, bytes.slice(0, part.length));
        bytes = bytes.subarray(part.length + 2);
        part = null;
      }
    }
  }

  async decode(seq, jpeg) {
    if (this.decoding) return;
    this.decoding = true;
    try {
      const bitmap = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
      if (!this.aborter.signal.aborted) this.onPicture(seq, bitmap);
      bitmap.close();
    } finally {
      this.decoding = false;
    }
  }

  close() {
    this.aborter.abort();
  }
}

function endOfHead(bytes) {
  for (let i = 3; i < bytes.length; i++) {
    if (bytes[i] === 10 && bytes[i - 1] === 13 && bytes[i - 2] === 10 && bytes[i - 3] === 13) return i + 1;
  }
  return -1;
}

function parseHead(text) {
  const field = (name) => Number(new RegExp(`^${name}: (\\d+)`, "im").exec(text)[1]);
  return { length: field("Content-Length"), seq: field("X-Seq") };
}
