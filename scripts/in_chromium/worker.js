// Loads Pyodide from the folder beside it, unpacks the suite, and runs pytest on it.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const text = async (name) => (await fetch(name)).text();
const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());

// What Python writes, as it writes it: a line may come in parts.
const stream = () => {
  const decoder = new TextDecoder();
  return {
    write: (buffer) => {
      self.postMessage({ text: decoder.decode(buffer, { stream: true }) });
      return buffer.length;
    },
  };
};

const fail = (error) => self.postMessage({ error: String(error?.message ?? error).slice(-4000) });

// When the interpreter dies (a stack too deep, say), the promise below never settles.
self.addEventListener("unhandledrejection", (event) => fail(event.reason));

self.onmessage = async ({ data: suite }) => {
  try {
    const py = await loadPyodide();
    py.setStdout(stream());
    py.setStderr(stream());
    await py.loadPackage("micropip", { messageCallback: () => {} });
    py.unpackArchive(await bytes("suite.zip"), "zip", { extractDir: "/project" });
    const scope = py.runPython("{'__name__': 'in_pyodide'}");
    py.runPython(await text("in_pyodide.py"), { globals: scope });
    await py.runPythonAsync("await install()", { globals: scope });
    scope.set("suite", py.toPy(suite));
    const code = await py.runPythonAsync("run_suite('pyodide-chromium', suite)", { globals: scope });
    self.postMessage({ code, tally: py.runPython("read_tally()", { globals: scope }) });
  } catch (error) {
    fail(error);
  }
};
