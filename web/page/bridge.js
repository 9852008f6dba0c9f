// Calls to the Python in the worker, and what it says without being asked.

/** A failed call: `code` for programs, `message` for people, `data` with the facts. */
export class CallFailed extends Error {
  constructor({ code, message, data = {} }) {
    super(message);
    Object.assign(this, { code, data });
  }
}

/** Starts the worker; gives what calls it. `heard(method, params)` gets notifications,
 * `progress(told)` the start; `call.lend(port)` gives it the port of the browser's own model. */
export function openBridge({ heard, progress }) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = new Map();
  let last = 0;

  worker.onmessage = ({ data }) => {
    if (typeof data !== "string") return progress(data);
    const { id, result, error, method, params } = JSON.parse(data);
    if (method) return heard(method, params);
    const call = waiting.get(id);
    waiting.delete(id);
    if (error) call?.reject(new CallFailed(error));
    else call?.resolve(result);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    progress({ phase: "failed", error: event.message || "the worker could not be started" });
  };

  const call = (method, params = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage(JSON.stringify({ id: last, method, params }));
    });
  return Object.assign(call, { lend: (port) => worker.postMessage("", [port]) });
}
