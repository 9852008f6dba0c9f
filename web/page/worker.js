// The page's worker: Pyodide, our wheel, and the bridge. All thinking happens here, so the page
// never waits. Strings are requests and replies as JSON; objects tell how far the start has come.
import { loadPyodide } from "./pyodide/pyodide.mjs";

const tell = (phase, told = {}) => self.postMessage({ phase, ...told });
const early = [];
let receive = (text) => early.push(text);
let borrowed; // the window's own model, whose port comes before anybody asks it
self.onmessage = ({ data, ports: [port] }) => {
  if (port) borrowed = import("./model.js").then(({ borrow }) => borrow(port));
  else if (borrowed) borrowed.then(() => receive(data));
  else receive(data);
};

new PerformanceObserver((list) => {
  for (const { name } of list.getEntries()) tell("file", { name: name.split("/").pop() });
}).observe({ type: "resource", buffered: true });

const boot = async () => {
  const py = await loadPyodide();
  tell("pyodide-ready");
  await py.loadPackage("meerkat-mob", { messageCallback: () => {} });
  const start = py.runPython("from meerkat_mob.surfaces.worker import start; start");
  receive = start((text) => self.postMessage(text));
  early.splice(0).forEach((text) => receive(text));
  const versions = py.runPython("import sys, meerkat_mob; f'{sys.version_info[0]}.{sys.version_info[1]} {meerkat_mob.__version__}'");
  const [python, ours] = versions.split(" ");
  tell("ready", { python, pyodide: py.version, ours });
};

boot().catch((error) => tell("failed", { error: String(error?.message ?? error).slice(-2000) }));
