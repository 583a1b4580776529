// Lets the search of the site run from the file system, where browsers start no workers.
//
// The theme runs its search in a worker. Opened from disk, a page has no origin that a worker's script
// could come from, but it may load the script in a frame of its own. This is such a frame under the name
// `Worker`: messages go in and out as of a worker. The plugin `offline` writes the search index as a
// script, for the same reason. On a server nothing of this is used.

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.waiting = [];
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    this.frame.addEventListener("load", () => this.start(new URL(url, location.href).href), { once: true });
    document.documentElement.append(this.frame);
  }

  start(url) {
    const inside = this.frame.contentWindow;
    const load = (source) =>
      new Promise((done, failed) => {
        const script = inside.document.createElement("script");
        script.addEventListener("load", done);
        script.addEventListener("error", () => failed(new Error(`${source} cannot be loaded`)));
        script.src = new URL(source, url).href;
        inside.document.head.append(script);
      });
    inside.postMessage = (data) => {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      this.onmessage?.(event);
    };
    inside.importScripts = async (...sources) => {
      for (const source of sources) await load(source);
    };
    load(url).then(
      () => {
        this.inside = inside;
        for (const data of this.waiting.splice(0)) this.postMessage(data);
      },
      (error) => this.dispatchEvent(new ErrorEvent("error", { message: error.message })),
    );
  }

  postMessage(data) {
    if (!this.inside) this.waiting.push(data);
    else this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }));
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;
