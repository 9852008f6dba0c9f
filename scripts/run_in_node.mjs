// Run the suite inside Pyodide under Node.
//
//   node --experimental-wasm-jspi scripts/run_in_node.mjs DIST TALLY [pytest arguments...]
//
// DIST   a folder that scripts/build_web.py made for tests
// TALLY  the file that receives the counts
//
// The repository is mounted, not copied. The exit status is pytest's; 70 means that Pyodide itself
// failed. The flag lets WebAssembly switch stacks, which the tests on the native loop need.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [dist, tally, ...suite] = process.argv.slice(2);
const runtime = resolve(dist, "pyodide");

const fail = (error) => {
  // Never let Node print the line that threw: pyodide.asm.mjs is one line of 1.2 MB.
  console.error(String(error?.message ?? error).slice(-4000));
  process.exit(70);
};

// When the interpreter dies (a stack too deep, say), the promises below never settle.
process.on("unhandledRejection", fail);
process.on("uncaughtException", fail);

try {
  const { loadPyodide } = await import(pathToFileURL(`${runtime}/pyodide.mjs`).href);
  const py = await loadPyodide({ indexURL: `${runtime}/` });
  await py.loadPackage("micropip", { messageCallback: () => {} });
  py.FS.mkdirTree("/project");
  py.FS.mount(py.FS.filesystems.NODEFS, { root: resolve(here, "..") }, "/project");
  const scope = py.runPython("{'__name__': 'in_pyodide'}");
  py.runPython(readFileSync(`${here}/in_pyodide.py`, "utf8"), { globals: scope });
  await py.runPythonAsync("await install()", { globals: scope });
  scope.set("suite", py.toPy(suite));
  const code = await py.runPythonAsync("run_suite('pyodide-node', suite)", { globals: scope });
  writeFileSync(tally, py.runPython("read_tally()", { globals: scope }));
  process.exit(code); // a timer that Python cancelled still counts for Node, which would wait for it
} catch (error) {
  fail(error);
}
