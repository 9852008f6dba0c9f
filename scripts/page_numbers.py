"""How long the built page takes to be ready, and what it downloads besides Pyodide.

usage: python -m scripts.page_numbers [TIMES]
"""

import sys
from statistics import median
from typing import Final

from playwright.sync_api import Browser, Response

from scripts.build_web import RUNTIME
from scripts.chromium import find_or_install, started
from scripts.places import DIST
from scripts.serve import served

MARKS: Final = """
Object.fromEntries(performance.getEntriesByType("mark").map((m) => [m.name, m.startTime / 1000]))
"""


def main() -> None:
    """Open the page a few times, each time with an empty cache; print medians."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with served(DIST) as address, started(find_or_install()) as chromium:
        opened = [open_page(chromium, address) for _ in range(times)]
    python = median(at["pyodide-ready"] for at, _ in opened)
    mob = median(at["mob-ready"] - at["pyodide-ready"] for at, _ in opened)
    print(f"{python:.2f} s until Pyodide is ready, then {mob:.2f} s until the mob is")
    sizes = opened[0][1]
    for name in sorted(sizes, key=lambda name: -sizes[name]):
        print(f"{sizes[name]:>9,}  {name}")
    print(f"{sum(sizes.values()):>9,}  bytes besides Pyodide")


def open_page(chromium: Browser, address: str) -> tuple[dict[str, float], dict[str, int]]:
    """The moments of one start, in seconds, and the bytes of each file of ours."""
    sizes: dict[str, int] = {}

    def loaded(response: Response) -> None:
        name = response.url.rpartition("/")[2]
        if name not in RUNTIME:
            sizes[name] = int(response.headers["content-length"])

    with chromium.new_context() as context:
        page = context.new_page()
        page.on("response", loaded)
        page.goto(f"{address}/index.html")
        page.locator("#run:enabled").wait_for(timeout=120_000)
        moments: dict[str, float] = page.evaluate(MARKS)
    return moments, sizes


if __name__ == "__main__":
    main()
