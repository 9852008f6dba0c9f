// The browser's own model. Only windows have one; the page lends its own to its worker, where it
// looks just the same. A page of a browser without one never loads this file.

/** Lends the model through `lend(port)`. Null where none can run on this device. */
export async function offer(lend) {
  const own = self.LanguageModel;
  if ((await own.availability()) === "unavailable") return null;
  const { port1, port2 } = new MessageChannel();
  serve(own, port1);
  lend(port2);
  let warm;

  /** Loads the model, or downloads it, for which it takes a click; `loaded` tells how far. */
  const ready = (loaded) => {
    const monitor = (told) => told.addEventListener("downloadprogress", (event) => loaded(event.loaded));
    warm ??= own.create({ monitor }).catch((error) => {
      warm = undefined;
      throw new Error(`The browser did not load its model: ${error.message}`);
    });
    return warm; // while there is one session, it stays loaded
  };
  return { ready };
}

const state = ({ contextUsage, inputUsage, contextWindow, inputQuota }) => ({
  contextUsage: contextUsage ?? inputUsage,
  contextWindow: contextWindow ?? inputQuota,
});

function serve(own, port) {
  const sessions = new Map([[0, own]]);
  port.onmessage = async ({ data: { id, on, method, args } }) => {
    const target = sessions.get(on);
    const told = (what) => port.postMessage({ id, ...what });
    try {
      if (method === "destroy") {
        sessions.delete(on);
        return target.destroy();
      }
      if (method === "create") {
        const session = await target.create(...args);
        sessions.set(id, session);
        return told({ state: state(session) });
      }
      if (method === "measureContextUsage") {
        const measure = target.measureContextUsage ?? target.measureInputUsage;
        return told({ value: await measure?.apply(target, args) });
      }
      if (method === "promptStreaming") {
        const reader = target.promptStreaming(...args).getReader();
        for (let piece; !(piece = await reader.read()).done; ) told({ piece: piece.value });
        return told({ state: state(target) });
      }
      told({ value: await target[method](...args) });
    } catch ({ name, message, requested, quota }) {
      told({ error: { name, message, requested, quota } });
    }
  };
}

/** In the worker: `LanguageModel` of the window at the other end of `port`. */
export function borrow(port) {
  const waiting = new Map();
  let last = 0;
  const ask = (on, method, args, heard) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject, heard });
      port.postMessage({ id: last, on, method, args });
    });
  port.onmessage = ({ data }) => {
    const call = waiting.get(data.id);
    if (data.piece !== undefined) return call?.heard(data.piece);
    waiting.delete(data.id);
    if (data.error) call?.reject(Object.assign(new Error(), data.error));
    else call?.resolve(data);
  };

  class Session {
    #id;
    constructor({ id, state }) {
      this.#id = id;
      Object.assign(this, state);
    }
    async measureContextUsage(...args) {
      return (await ask(this.#id, "measureContextUsage", args)).value;
    }
    promptStreaming(...args) {
      let left = false;
      return new ReadableStream({
        start: (stream) => {
          const asked = ask(this.#id, "promptStreaming", args, (piece) => left || stream.enqueue(piece));
          const end = (how) => (told) => {
            if (left) return;
            left = true;
            how(told);
          };
          asked.then(
            end(({ state }) => stream.close(Object.assign(this, state))),
            end((error) => stream.error(error)),
          );
        },
        cancel: () => {
          left = true;
        },
      });
    }
    destroy() {
      port.postMessage({ on: this.#id, method: "destroy", args: [] });
    }
  }

  self.LanguageModel = {
    availability: async (...args) => (await ask(0, "availability", args)).value,
    create: async (...args) => new Session(await ask(0, "create", args)),
  };
}
