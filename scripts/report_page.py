"""Drives an evaluation's report in Chromium: widths, questions, side by side, exports.

    python scripts/report_page.py [REPORT.html] [--screens FOLDER]

Without a report it makes one of 1,000 questions by 3 methods, with traces and frames, and prints
its size. It needs Chromium with its driver on the path, and `pip install selenium`. Exit code 0 if
all holds.
"""

import argparse
import csv
import io
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
WIDTHS = (1280, 400)
OUTCOMES = ("better", "worse", "other answer", "same answer")
SAVED = (
    ("Main results", "CSV", "main-results.csv"),
    ("Main results", "LaTeX", "main-results.tex"),
    ("Main results", "Markdown", "main-results.md"),
    ("Score by task", "SVG", "score-by-task.svg"),
)
DOCUMENT = "\\documentclass{article}%s\\begin{document}\n%s\n\\end{document}\n"


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(options.report or make_report(Path(folder) / "run"))
        print(f"{page.stat().st_size / 1e6:.2f} MB")
        for width in WIDTHS:
            browser = _browser(width)
            try:
                check(Page(browser, page, width), options.screens)
            finally:
                browser.quit()
    print("all holds")
    return 0


class Page:
    """A report in a browser window."""

    def __init__(self, browser: Any, path: Path, width: int):
        self.browser, self.path, self.width = browser, path, width
        began = time.perf_counter()
        browser.get(path.resolve().as_uri())
        self.wait("document.querySelector('#questions tbody tr') !== null")
        print(f"{width} pixels: the table is there after {time.perf_counter() - began:.2f} s")

    def run(self, script: str, *arguments: Any) -> Any:
        """Returns what a script of the page returns."""
        return self.browser.execute_script(script, *arguments)

    def wait(self, condition: str) -> None:
        """Waits until a condition holds; raises TimeoutError after 20 seconds."""
        end = time.monotonic() + 20
        while not self.run(f"return {condition}"):
            if time.monotonic() > end:
                raise TimeoutError(condition)
            time.sleep(0.01)

    def choose(self, key: str, value: Any) -> None:
        """Chooses an entry of one of the lists above the table of questions."""
        change = "s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
        self.run(
            f"const s = document.querySelector(`[data-key=${{arguments[0]}}]`); {change}",
            key,
            value,
        )

    def texts(self, selector: str) -> list[str]:
        """Returns the texts of elements."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(words)", selector)

    def picture(self, folder: str | None, name: str) -> None:
        """Keeps a picture of what the window shows."""
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.browser.save_screenshot(str(Path(folder) / f"{self.width}-{name}.png"))


def check(page: Page, screens: str | None) -> None:
    """Raises AssertionError for what does not hold."""
    no_overflow(page)
    page.picture(screens, "top")
    page.run("document.querySelector('#answers').scrollIntoView()")
    page.picture(screens, "questions")
    filters(page)
    sorting(page)
    side_by_side(page)
    page.picture(screens, "question")
    no_overflow(page)
    links(page)
    exports(page)
    downloads(page)
    errors = [entry for entry in page.browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors, errors


def no_overflow(page: Page) -> None:
    assert page.run("return document.documentElement.scrollWidth") <= page.width
    right = "e.getBoundingClientRect().right"
    parts = "[...document.querySelectorAll('dialog *')]"
    assert page.run(f"return {parts}.filter(e => {right} > innerWidth + 1).length") == 0


def filters(page: Page) -> None:
    """Each outcome alone shows as many rows as the list says, and together they are all."""
    counts = page.run(
        "return OUTCOMES.map(o => pairsOf(...chosen.methods).filter(p => p.outcome === o).length)"
    )
    total = page.run("return shownPairs.length")
    assert sum(counts) == total > 0
    if (page.path.parent / "predictions.jsonl").exists():
        assert counts == counts_of_python(page)
    for outcome, count in zip(OUTCOMES, counts, strict=False):
        page.choose("outcome", outcome)
        if count:
            assert page.run("return shownPairs.length") == count
            assert set(page.texts("#questions td.outcome")) == {outcome}
    page.choose("outcome", "")
    task = page.run("return DATA.questions[0].task")
    page.choose("task", task)
    assert set(page.texts("#questions tbody td:nth-child(3)")) == {task}
    page.choose("task", "")
    name = page.run("return DATA.questions.at(-1).id")
    typed = (
        "const field = document.querySelector('#questions input'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input'))"
    )
    began = time.perf_counter()
    page.run(typed, name.upper())
    print(f"  a search takes {1000 * (time.perf_counter() - began):.0f} ms")
    assert name in page.texts("#questions tbody th")[0]
    page.run(typed, "")
    assert page.run("return shownPairs.length") == total


def counts_of_python(page: Page) -> list[int]:
    """Returns how often each outcome occurs, as `report --diff` counts."""
    from vreason_jax.evaluation.report import differences
    from vreason_jax.evaluation.results.runs import merge_runs

    methods = page.run("return chosen.methods.map(m => DATA.methods[m].name)")
    pairs = differences.pairs(merge_runs([page.path.parent]).lines, *methods)
    outcomes = [pair.outcome for pair in pairs]
    return [outcomes.count(outcome) for outcome in differences.OUTCOMES]


def sorting(page: Page) -> None:
    click = "document.querySelectorAll('#questions thead button')[7].click()"
    tokens = "return shownPairs.map(p => DATA.answers.tokens[p.a] ?? -1)"
    page.run(click)
    assert page.run(tokens) == sorted(page.run(tokens))
    page.run(click)
    assert page.run(tokens) == sorted(page.run(tokens), reverse=True)
    page.run(click)
    if page.run("return shownPairs.length > PAGE"):
        first = page.texts("#questions tbody th")[0]
        page.run("document.querySelector('[aria-label=\"next rows\"]').click()")
        assert page.texts("#questions tbody th")[0] != first
        page.run("update()")


def side_by_side(page: Page) -> None:
    """A question opens with both texts, by a click and by its address; arrows lead to the next."""
    page.run("document.querySelector('#questions tbody a').click()")
    page.wait("dialog.open")
    chosen = page.run("return chosen.methods.map(m => DATA.methods[m].name)")
    assert page.texts("dialog h4") == chosen
    shown = page.run("return [shownPairs[0].a, shownPairs[0].b].map(at => DATA.answers.text[at])")
    texts = page.run(
        "return [...document.querySelectorAll('dialog article pre')].map(e => e.textContent)"
    )
    assert texts == shown
    if page.run("return Boolean(DATA.questions[0].picture)"):
        count = page.run("return DATA.questions[0].picture.times.length")
        page.wait(f"document.querySelectorAll('dialog .frames span').length === {count}")
    page.run("dialog.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight'}))")
    second = page.run("return DATA.questions[shownPairs[1].question].id")
    assert page.texts("dialog h3")[0].startswith(second)
    page.run("dialog.close()")
    page.wait("location.hash === ''")
    page.run("location.hash = `#q=${encodeURIComponent(DATA.questions.at(-1).id)}`")
    page.wait("dialog.open")
    assert page.texts("dialog h3")[0].startswith(page.run("return DATA.questions.at(-1).id"))


def links(page: Page) -> None:
    hrefs = page.run("return [...document.querySelectorAll('dialog article a')].map(a => a.href)")
    assert hrefs and all(href.startswith("file://") for href in hrefs)
    page.run("dialog.close()")


def exports(page: Page) -> None:
    """Every table and figure can be saved, and the files are what their suffixes say."""
    figures = "[...document.querySelectorAll('main figure')]"
    assert page.run(f"return {figures}.every(f => f.querySelector('.saves button'))")
    tables = "[...document.querySelectorAll('figure .scroll > table'), pairTable(shownPairs)]"
    texts = page.run(f"return {tables}.map(t => [csv, latex, markdown].map(write => write(t)))")
    for commas, _, marks in texts:
        rows = list(csv.reader(io.StringIO(commas.removeprefix("\ufeff"), newline="")))
        assert len({len(row) for row in rows}) == 1 and len(rows) > 1
        assert not any(cell.startswith(("=", "+", "@")) for row in rows for cell in row)
        assert len({line.replace("\\|", "").count("|") for line in marks.splitlines()}) == 1
    _compile("\n\n".join(tabular for _, tabular, _ in texts[:-1]))
    for svg in page.run(
        "return [...document.querySelectorAll('figure svg.chart')].map(standalone)"
    ):
        root = ElementTree.fromstring(svg.encode())
        assert root.tag.endswith("}svg") and "var(" not in svg and "class=" not in svg
    table = (
        "const row = (kind, texts) => make('tr', {}, texts.map(text => make(kind, {}, text)));"
        "const table = make('table', {}, make('thead', {}, row('th', ['a', 'b'])),"
        " make('tbody', {}, row('td', [arguments[0], '\u22121.5'])));"
    )
    commas = page.run(f"{table} return csv(table)", '=1+"2"')
    assert commas == '\ufeffa,b\r\n"\'=1+""2""",-1.5\r\n'
    signs = '[\\a%&_#${}~^*]<>|"\u4e2d\u03b1\u2212\u0394V\u00b1\u2019\u2026\u00e9'
    _compile(page.run(f"{table} return latex(table)", signs))


def downloads(page: Page) -> None:
    """The buttons of a table and of a figure save files; LibreOffice opens the CSV, if there."""
    with tempfile.TemporaryDirectory() as folder:
        where = {"behavior": "allow", "downloadPath": folder}
        page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
        for title, label, name in SAVED:
            page.run(f"document.querySelector(`[aria-label='save {title} as {label}']`).click()")
            _wait_for(Path(folder, name))
        if not shutil.which("soffice"):
            print("  the CSV is not opened in a spreadsheet: no soffice")
            return
        command = ["soffice", "--headless", "--convert-to", "ods", "--outdir", folder]
        command += ["--infilter=CSV:44,34,76,1", str(Path(folder, SAVED[0][2]))]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        assert Path(folder, "main-results.ods").stat().st_size


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 20
    while not (path.exists() and path.stat().st_size):
        if time.monotonic() > end:
            raise TimeoutError(path.name)
        time.sleep(0.02)


def _compile(tabular: str) -> None:
    """Compiles tables in a plain document and in one with booktabs, where there is LaTeX."""
    if not shutil.which("pdflatex"):
        print("  LaTeX is not compiled: no pdflatex")
        return
    for packages in ("", "\\usepackage{booktabs}"):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "t.tex").write_text(DOCUMENT % (packages, tabular), encoding="utf-8")
            command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-2000:]


def make_report(folder: Path) -> Path:
    """Returns the report of a made-up run of 1,000 questions by 3 methods."""
    from evaluation_samples import random_rows, sample_run_facts, write_run

    from vreason_jax.evaluation import report
    from vreason_jax.evaluation.benchmarks.record import CHOICE, Record
    from vreason_jax.evaluation.results.frames import FOLDER, frames_path, write_frames
    from vreason_jax.evaluation.results.questions import keep_words

    rng = np.random.default_rng(0)
    vocabulary = np.array((ROOT / "README.md").read_text(encoding="utf-8").split())
    rows = random_rows(1_000, longest=900)
    for row in rows:
        said = " ".join(rng.choice(vocabulary, row["tokens"] * 3 // 4))
        row["text"] = f"<think>{said}</think><answer>{row['answer']}</answer>"
    write_run(folder, rows, sample_run_facts(), traces=True)
    options = ("A. it turns left", "B. it stops", "C. it grows", "D. it leaves")
    asked = "What does the red square do after the blue circle has stopped?"
    records = [
        Record(f"q{n:05d}", "shapes", f"{n}.mp4", asked, options, "A", CHOICE, "t")
        for n in range(1_000)
    ]
    keep_words(folder, records, (), lambda record: f"{record.problem} Think, then answer.")
    (folder / FOLDER).mkdir()
    for record in records:
        base = rng.integers(0, 255, (16, 9, 16, 3), dtype=np.uint8)
        frames = base.repeat(28, axis=1).repeat(28, axis=2)
        write_frames(frames_path(folder, record.video), frames, np.arange(16) / 2)
    report.write([folder], folder / "summary.json", folder / "report.html")
    return folder / "report.html"


def _browser(width: int) -> Any:
    from selenium import webdriver  # type: ignore[import-not-found]

    options = webdriver.ChromeOptions()
    for flag in ("--headless=new", "--no-sandbox", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if chromium := shutil.which("chromium"):
        options.binary_location = chromium
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    return browser


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", nargs="?", help="a report.html [a made-up one]")
    parser.add_argument("--screens", metavar="FOLDER", help="keep pictures of the page there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
