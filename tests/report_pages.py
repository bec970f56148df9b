"""Pages of reports as tests make, read and check them."""

import base64
import gzip
import html.parser
import json
import re

from evaluation_samples import write_run

from vreason_jax.evaluation import report

LOADING = {"src", "srcset", "data", "action", "poster", "background", "xlink:href"}
FOREIGN = {"link", "base", "img", "iframe", "object", "embed", "use", "image"}


class Checker(html.parser.HTMLParser):
    """Collects elements, words and unbalanced tags."""

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.elements = [], [], []
        self.words, self.styles, self.scripts = [], [], []
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name != "meta":
            self.open.append(name)

    def handle_endtag(self, name):
        if not self.open or self.open.pop() != name:
            self.wrong.append(name)

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        kinds = {"style": self.styles, "script": self.scripts}
        kinds.get(inside, self.words).append(data)

    def count(self, name):
        return sum(element == name for element, _ in self.elements)


def page_of(tmp_path, rows, facts=None, **settings):
    folder = write_run(tmp_path / "run", rows, facts, **settings)
    report.write([folder], tmp_path / "summary.json", tmp_path / "report.html")
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def data_of(text):
    """The questions and answers that a page holds."""
    (packed,) = re.findall(r'id="data">([\w+/=]+)</script>', text)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def check(text):
    """The page is balanced, refers to nothing outside of it, and has finite coordinates."""
    checker = Checker(text)
    assert checker.wrong == []
    assert checker.count("script") == 2  # the data, and the page's own
    assert not re.search(r"url\(|@import|://", "".join(checker.styles))
    for name, attributes in checker.elements:
        assert name not in FOREIGN
        assert not LOADING & attributes.keys()
        assert attributes.get("href", "#").startswith("#")
        assert "://" not in str(attributes)
        for key in ("d", "x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "r", "width", "height"):
            numbers = re.findall(r"[^\sMLHVZ]+", attributes.get(key, ""))
            assert all(re.fullmatch(r"-?\d+(\.\d+)?", number) for number in numbers), numbers
    return checker
