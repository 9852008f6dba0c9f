// A worker that runs Python as the page does: Pyodide and our wheel from the served folder.
// It is told the folder's address once, and then runs each piece of code it is sent, in order.
let ready;

const boot = async (address) => {
  const { loadPyodide } = await import(`${address}/pyodide/pyodide.mjs`);
  const py = await loadPyodide();
  await py.loadPackage(["meerkat-mob", "meerkat-mob-dialects"], { messageCallback: () => {} });
  return py;
};

self.onmessage = async ({ data: { address, code } }) => {
  try {
    ready ??= boot(address);
    const py = await ready;
    const globals = py.runPython("{}");
    self.postMessage({ result: String(await py.runPythonAsync(code, { globals })) });
  } catch (error) {
    self.postMessage({ error: String(error.message ?? error).slice(-4000) });
  }
};
