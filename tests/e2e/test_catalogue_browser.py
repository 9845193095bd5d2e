"""The catalogue page in headless Chromium: from a folder, from a web server, and from a bucket.

What the page shows is compared with what pandas finds in the catalogue; the lines that it copies
are run. Times are told, not asserted: machines differ.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import catalogue_cases
import duckdb
import pandas as pd
import pytest
from absence import absent
from access_store import mixed_recordings
from store_results import Results

import bidsmill
from bidsmill.formats import files
from bidsmill.store.catalogue.page import page_of_catalogue

SOURCE = Path(bidsmill.__file__).parents[1]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
HOSTILE_NAME = "<script>document.title='owned'</script> & \"Fäces\" 'O'Neil' </script>"
MANY = 1000
# Contrast of all text that is seen (WCAG 2.2, "relative luminance", "contrast ratio", 1.4.3).
LOW_CONTRAST = """() => {
  const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const colour = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const [r, g, b, a = 1] = colour(getComputedStyle(e).backgroundColor);
      if (a === 1) return [r, g, b];
      if (a > 0) throw new Error("half transparent: " + e.className);
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const low = [], seen = new Set();
  const check = (element, style, what) => {
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    const least = size >= 24 || (size >= 18.66 && bold) ? 3 : 4.5;
    const found = ratio(colour(style.color), background(element));
    seen.add(what);
    if (found < least) low.push([what, found]);
  };
  for (const element of document.querySelectorAll("body *")) {
    if (!element.checkVisibility() || element.closest("script, noscript, option")) continue;
    const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const name = element.tagName + "." + element.className;
    if (text) check(element, getComputedStyle(element), name);
    if (element.placeholder) check(element, getComputedStyle(element, "::placeholder"), name);
  }
  return [low, seen.size];
}"""


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        absent("no Chromium: install the Debian package chromium")
    from playwright import sync_api

    # As root there is no sandbox; the page is our own.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=options)
        yield running
        running.close()


class Catalogue:
    """A catalogue page in a window of its own.

    Parameters
    ----------
    browser : playwright Browser
        Chromium.
    address : str
        Of the page.
    """

    def __init__(self, browser, address: str, viewport=DESKTOP, script="", **options):
        self.context = browser.new_context(viewport=viewport, **options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda told: self.problems.append(told.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        if script:
            self.page.add_init_script(script)
        self.page.goto(address)

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *error) -> None:
        self.context.close()
        if error == (None, None, None):
            assert self.problems == []

    @property
    def count(self) -> str:
        return self.page.locator("#count").inner_text()

    @property
    def datasets(self) -> list[str]:
        """Ids of the cards that are shown, in their order."""
        texts = self.page.locator(".card .top code").all_text_contents()
        return [text.rpartition(" @ ")[0] for text in texts]

    def search(self, text: str) -> None:
        self.page.fill("#search", text)

    def filter(self, title: str):
        legend = self.page.locator("legend", has_text=re.compile(rf"^{re.escape(title)}\b"))
        return self.page.locator("fieldset", has=legend)

    def choose(self, title: str, value: str) -> None:
        """Check a value of a filter, typing it where there is a field to find it."""
        box = self.filter(title)
        find = box.locator("input.find")
        if find.is_visible():
            find.fill(value)
        box.get_by_label(re.compile(rf"^{re.escape(value)}\s*[\d,]*$")).first.check()
        if find.is_visible():
            find.fill("")

    def copy(self, dataset: str, language: str) -> str:
        """Press the button, and return what a paste then gives."""
        self.page.get_by_label(f"Copy the {language} lines that load {dataset}", exact=True).click()
        self.page.locator("#said", has_text=f"Copied the {language} lines").wait_for(
            state="attached"
        )
        return self.pasted()

    def pasted(self) -> str:
        self.page.evaluate(
            "document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))"
        )
        self.page.focus("#paste")
        self.page.keyboard.press("Control+V")
        text = self.page.input_value("#paste")
        self.page.evaluate("document.getElementById('paste').remove()")
        return text


# A store with real matrices


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """Return a store of three datasets, one with a name that would do harm. Not to be changed."""
    folder = tmp_path_factory.mktemp("a store & 100% of it")
    described = {
        "faces": {"hed_tags": ["Event/Sensory-event", "Item/Object/Man-made-object"]},
        "hostile": {"name": HOSTILE_NAME, "license": "CC BY 4.0", "datatypes": ["eeg", "meg"]},
        "rest": {"name": "Rest", "tasks": ["rest"], "labels": {}, "doi": "doi:10.18112/rest.v1"},
    }
    for number, (name, facts) in enumerate(described.items()):
        results = Results(folder, mixed_recordings()[: 5 - number], dataset=name)
        path = results.results / "dataset.json"
        files.write_json(path, {**files.read_json(path), **facts})
        files.write_text(
            results.results / "report.html",
            f'<title>Report of {name}</title><link rel="icon" href="data:,"><h1>{name}</h1>',
        )
        results.publish()
    return folder / "store"


@pytest.fixture(scope="module")
def served(store) -> Iterator[str]:
    """Return the address of a plain web server that knows nothing of S3."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=str(store.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/store"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bucket(store, s3_server) -> str:
    """Return the address of the page of the same store in a bucket that anybody may read."""
    name, client = s3_server.public_bucket("catalogue-browser"), s3_server.client()
    kinds = {".html": {"ContentType": "text/html"}}
    for path in sorted(p for p in store.rglob("*") if p.is_file() and not p.name.startswith(".")):
        key = f"some/store/{path.relative_to(store).as_posix()}"
        client.upload_file(str(path), name, key, ExtraArgs=kinds.get(path.suffix, {}))
    return f"{s3_server.endpoint}/{name}/some/store/index.html"


def as_file(store: Path) -> str:
    return f"file://{quote(str(store))}/index.html"


def expected_rows(store: Path, dataset: str) -> int:
    """Count the rows that the Python lines give, by the tables alone."""
    catalog = pd.read_parquet(store / "catalog.parquet").set_index("dataset").loc[dataset]
    rows = pd.read_parquet(store / catalog["samples"])
    chosen = rows[(rows["split"] == "train") & (rows["excluded"] == "")]
    if catalog["largest_layout"]:
        chosen = chosen[chosen["layout"] == catalog["largest_layout"]]
    if catalog["labels"]:
        chosen = chosen[chosen[catalog["labels"].split(", ")[0]].fillna("") != ""]
    return len(chosen)


def run_python(lines: str, cache: Path) -> int:
    """Run copied lines as a user would, and return the number of rows of X."""
    done = subprocess.run(
        [sys.executable, "-c", f"{lines}\nprint(len(X))"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(cache),
            "PYTHONPATH": str(SOURCE),
            "BIDSMILL_CACHE": str(cache),
        },
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def check_search_and_open(catalogue: Catalogue, store: Path) -> None:
    """What works from every place: search, filter, open a report and come back."""
    assert catalogue.count == "3 datasets"
    catalogue.search("reST")
    assert (catalogue.count, catalogue.datasets) == ("1 of 3 datasets", ["rest"])
    catalogue.search("")
    catalogue.choose("HED tag", "Sensory-event")
    assert catalogue.datasets == ["faces"]
    catalogue.page.get_by_role("link", name="Open the report").click()
    # A click does not wait for the page that it leads to.
    catalogue.page.wait_for_url("**/report-*.html")
    assert catalogue.page.title() == "Report of faces"
    catalogue.page.go_back()
    assert catalogue.datasets == ["faces"]


def test_from_a_folder(browser, store, tmp_path):
    with Catalogue(browser, as_file(store)) as catalogue:
        check_search_and_open(catalogue, store)
        lines = catalogue.copy("faces", "Python")
        assert json.dumps(str(store)) in lines
        assert run_python(lines, tmp_path) == expected_rows(store, "faces") > 0
        query = catalogue.copy("faces", "DuckDB")
        assert f'"{store}' not in query
        samples = store / pd.read_parquet(store / "catalog.parquet")["samples"][0]
        table = pd.read_parquet(samples)
        found = {row[0]: row[1:] for row in duckdb.sql(query).fetchall()}
        by_split = table.groupby("split")["subject"]
        assert found == {split: (len(part), part.nunique()) for split, part in by_split}
        assert all(address.startswith("file://") for address in catalogue.requests)
        catalogue.page.get_by_role("button", name="Clear search and filters")
        matlab = catalogue.copy("faces", "MATLAB")
        assert matlab.startswith(f"ds = bidsmill.Datastore('{store}', 'faces', 'Split', 'train'")


def test_from_a_plain_web_server(browser, store, served, tmp_path):
    """No bidsmill can read from there: the page asks for the address."""
    with Catalogue(browser, f"{served}/index.html") as catalogue:
        check_search_and_open(catalogue, store)
        assert 'bidsmill.open("ADDRESS OF THE STORE")' in catalogue.copy("faces", "Python")
        catalogue.page.locator("#address summary").click()
        catalogue.page.fill("#store", str(store))
        lines = catalogue.copy("faces", "Python")
        assert run_python(lines, tmp_path) == expected_rows(store, "faces")
        assert f"read_parquet('{served}/datasets/faces/files/samples/" in catalogue.copy(
            "faces", "DuckDB"
        )
        assert all(address.startswith(served) for address in catalogue.requests)


def test_from_a_bucket(browser, store, bucket, s3_server, tmp_path):
    with Catalogue(browser, bucket) as catalogue:
        check_search_and_open(catalogue, store)
        from playwright.sync_api import expect

        expect(catalogue.page.locator("#store")).not_to_have_value("")
        lines = catalogue.copy("faces", "Python")
        address = f'"s3://catalogue-browser/some/store", endpoint="{s3_server.endpoint}"'
        assert f"bidsmill.open({address})" in lines
        assert run_python(lines, tmp_path) == expected_rows(store, "faces")
        matlab = catalogue.copy("faces", "MATLAB").splitlines()
        assert matlab[0] == (
            "% in a terminal first: bidsmill pull s3://catalogue-browser/some/store faces"
            f" --endpoint {s3_server.endpoint}"
        )


def test_addresses_at_amazon(browser, store):
    addresses = {
        "https://b.s3.eu-west-1.amazonaws.com/a/b/index.html": "s3://b/a/b",
        "https://b.c.s3.amazonaws.com/index.html": "s3://b.c",
        "https://s3.us-east-2.amazonaws.com/b/a%20b/": "s3://b/a b",
        "http://b.s3-website-us-east-1.amazonaws.com/a/index.html": "s3://b/a",
        "https://b.s3.dualstack.us-east-1.amazonaws.com/a/index.html": "s3://b/a",
    }
    context = browser.new_context()
    content = (store / "index.html").read_text()
    context.route("**/*", lambda route: route.fulfill(body=content, content_type="text/html"))
    window = context.new_page()
    for page, address in addresses.items():
        window.goto(page)
        assert window.input_value("#store") == address
    context.close()


def test_copying_without_the_clipboard_of_the_browser(browser, store):
    """As on a plain http server of another machine, where there is no `navigator.clipboard`."""
    gone = "Object.defineProperty(navigator, 'clipboard', {value: undefined})"
    with Catalogue(browser, as_file(store), script=gone) as catalogue:
        assert 'store["rest"]' in catalogue.copy("rest", "Python")
    refused = f"{gone}; Document.prototype.execCommand = () => false"
    with Catalogue(browser, as_file(store), script=refused) as catalogue:
        catalogue.page.get_by_label("Copy the Python lines that load rest").click()
        shown = catalogue.page.locator("pre:visible")
        assert catalogue.page.locator(".copied.failed").inner_text().startswith("Select")
        assert catalogue.page.evaluate("getSelection().toString()") == shown.inner_text()


def test_hostile_texts_are_shown_as_text(browser, store, tmp_path):
    with Catalogue(browser, as_file(store)) as catalogue:
        catalogue.search("<script>")
        assert catalogue.datasets == ["hostile"]
        assert catalogue.page.locator(".card h2").inner_text() == HOSTILE_NAME
        assert catalogue.page.title() == "Catalogue of datasets"
    made = catalogue_cases.rows(len(catalogue_cases.HOSTILE))
    for row, text in zip(made, catalogue_cases.HOSTILE, strict=True):
        for column in ("dataset", "name", "citation", "license", "doi", "report", "samples"):
            row[column] = text
        for column in ("tasks", "labels", "datatypes", "hed_tags", "split", "channel_types"):
            row[column] = text.replace(", ", "")
        row["name"] = f"{text} {'x' * 200}"
    made[0]["version"] = made[0]["snapshot"] = made[0]["largest_layout"] = "'\"</script>"
    (tmp_path / "index.html").write_bytes(page_of_catalogue(catalogue_cases.write(tmp_path, made)))
    with Catalogue(browser, as_file(tmp_path), viewport=PHONE) as catalogue:
        assert catalogue.page.title() == "Catalogue of datasets"
        names = set(catalogue.page.locator(".card h2").all_text_contents())
        assert names == {row["name"] for row in made}
        assert catalogue.page.locator("img, svg, iframe").count() == 0
        links = catalogue.page.eval_on_selector_all("a", "all => all.map((a) => a.href)")
        assert {link.partition(":")[0] for link in links} == {"file"}
        for button in catalogue.page.locator(".acts button").all():
            button.click()
        # The lines keep a text in its quotes: Python reads it as what it is.
        for row in made:
            label = f"Copy the Python lines that load {row['dataset']}"
            button = catalogue.page.get_by_label(label, exact=True)
            button.click()
            lines = catalogue.page.locator(".card", has=button).locator("pre").inner_text()
            code = compile(lines, "copied", "exec")
            assert row["dataset"] in {c for c in code.co_consts if isinstance(c, str)}
        width = catalogue.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        assert catalogue.page.title() == "Catalogue of datasets"


# Many datasets


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """Return the folder of a page with 1,000 datasets, and their catalogue."""
    folder = tmp_path_factory.mktemp("many")
    content = catalogue_cases.write(folder, catalogue_cases.rows(MANY))
    (folder / "index.html").write_bytes(page_of_catalogue(content))
    return folder, pd.read_parquet(folder / "catalog.parquet")


def lists(column: pd.Series) -> pd.Series:
    return column.map(lambda text: [part for part in text.split(", ") if part])


def has_words(frame: pd.DataFrame, text: str) -> pd.Series:
    """Return where every word occurs somewhere in the row, whatever its case and accents."""

    def plain(value: str) -> str:
        parts = unicodedata.normalize("NFKD", value)
        return "".join(c for c in parts if not unicodedata.combining(c)).lower()

    columns = ["dataset", "name", "version", "citation", "doi", "split", "channel_types"]
    columns += ["datatypes", "tasks", "labels", "hed_tags"]
    licence = frame["license"].replace("", "not stated")
    texts = frame[columns].agg("\n".join, axis=1) + "\n" + licence
    return texts.map(lambda row: all(word in plain(row) for word in plain(text).split()))


def test_search_filter_and_sort_are_those_of_pandas(browser, many):
    folder, frame = many
    tags = lists(frame["hed_tags"]).map(lambda paths: {p for t in paths for p in t.split("/")})
    channels = lists(frame["channels"]).map(lambda found: [int(n) for n in found])
    kept = has_words(frame, "Dubois face")
    with Catalogue(browser, as_file(folder)) as catalogue:
        assert catalogue.count == "1,000 datasets"
        catalogue.search("Dubois  FACE")
        assert catalogue.count == f"{kept.sum()} of 1,000 datasets" and 0 < kept.sum() < MANY
        catalogue.choose("Modality", "eeg")
        catalogue.choose("Modality", "meg")
        kept &= lists(frame["datatypes"]).map(lambda found: bool({"eeg", "meg"} & set(found)))
        assert catalogue.count == f"{kept.sum()} of 1,000 datasets"
        catalogue.choose("HED tag", "Sensory-presentation")  # above what datasets state
        catalogue.choose("HED tag", "Face")
        kept &= tags.map(lambda found: {"Sensory-presentation", "Face"} <= found)
        assert catalogue.count == f"{kept.sum()} of 1,000 datasets"
        catalogue.page.get_by_label("Channels, at least").fill("32")
        catalogue.page.get_by_label("Channels, at most").fill("128")
        kept &= channels.map(lambda found: any(32 <= n <= 128 for n in found))
        catalogue.page.get_by_label("Sampling rate, at least").fill("250")
        kept &= lists(frame["sampling_rates"]).map(lambda f: any(float(r) >= 250 for r in f))
        catalogue.page.get_by_label("Subjects, at least").fill("10")
        kept &= frame["subjects"] >= 10
        catalogue.choose("Licence", "CC0")
        kept &= frame["license"] == "CC0"
        assert catalogue.count == f"{kept.sum()} of 1,000 datasets" and kept.sum() > 1
        catalogue.page.select_option("#sort", "subjects")
        wanted = frame[kept].sort_values("subjects", ascending=False, kind="stable")["dataset"]
        assert catalogue.datasets == wanted.tolist()
        # The address holds it all: somebody else sees the same.
        catalogue.page.wait_for_url(re.compile("sort=subjects"))
        address, count = catalogue.page.url, catalogue.count
        with Catalogue(browser, address, viewport=PHONE) as other:
            assert (other.count, other.datasets) == (count, wanted.tolist())
            assert other.page.input_value("#search") == "Dubois  FACE".strip()
        catalogue.page.get_by_role("button", name="Clear all").click()
        assert catalogue.count == "1,000 datasets"


def test_counts_of_filters_are_those_of_pandas(browser, many):
    folder, frame = many
    with Catalogue(browser, f"{as_file(folder)}#modality=meg&licence=PDDL") as catalogue:
        meg = lists(frame["datatypes"]).map(lambda found: "meg" in found)
        pddl = frame["license"] == "PDDL"

        def counts(title: str) -> dict[str, int]:
            box = catalogue.filter(title)
            return {
                line.locator("span").inner_text(): int(line.locator("output").inner_text())
                for line in box.locator("li").all()
            }

        assert catalogue.count == f"{(meg & pddl).sum()} of 1,000 datasets"
        by_kind = lists(frame["datatypes"])[pddl].explode().value_counts().to_dict()
        assert {k: n for k, n in counts("Modality").items() if n} == by_kind
        licences = frame[meg]["license"].replace("", "not stated").value_counts().to_dict()
        assert {k: n for k, n in counts("Licence").items() if n} == licences
        tasks = lists(frame["tasks"])[meg & pddl].explode().value_counts().to_dict()
        assert all(tasks.get(task, 0) == count for task, count in counts("Task").items())


def test_more_datasets_are_shown_by_a_button_and_in_print(browser, many):
    folder, frame = many
    order = sorted(frame.to_dict("records"), key=lambda row: row["dataset"], reverse=False)
    with Catalogue(browser, f"{as_file(folder)}#sort=dataset") as catalogue:
        first = [row["dataset"] for row in order]
        assert catalogue.datasets == first[:25]
        catalogue.page.locator("#more").press("Enter")
        assert catalogue.datasets == first[:50]
        assert catalogue.page.evaluate(
            "document.activeElement.closest('.card').querySelector('code').textContent"
        ).startswith(first[25])
        catalogue.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert catalogue.datasets == first
        catalogue.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert catalogue.datasets == first[:25]


def test_times_with_a_thousand_datasets_are_told(browser, many, record_property, capsys):
    folder, _ = many
    with Catalogue(browser, as_file(folder)) as catalogue:
        loading = catalogue.page.evaluate(
            "performance.getEntriesByType('navigation')[0].loadEventEnd"
        )
        times = catalogue.page.evaluate(
            """() => ["f", "fa", "fac", "face", "", "rest", "oddball eeg", "zzz"].map((q) => {
              const field = document.getElementById("search"), began = performance.now();
              field.value = q;
              field.dispatchEvent(new Event("input"));
              document.body.offsetHeight;
              return performance.now() - began;
            })"""
        )
    size = (folder / "index.html").stat().st_size
    text = (
        f"1,000 datasets: {size / 1e6:.2f} MB, shown after {loading:.0f} ms, a key of the search"
        f" {sorted(times)[len(times) // 2]:.0f} ms (longest {max(times):.0f} ms)"
    )
    record_property("catalogue page", text)
    with capsys.disabled():
        print(f"\n{text}")
    assert size < 2e6


# People


def test_without_a_mouse(browser, store):
    """Search, go to a dataset, copy its lines, open its report: with keys alone."""
    with Catalogue(browser, as_file(store)) as catalogue:
        page = catalogue.page
        active = "document.activeElement"
        page.keyboard.press("/")
        assert page.evaluate(f"{active}.id") == "search"
        page.keyboard.type("rest")
        assert catalogue.datasets == ["rest"]
        page.keyboard.press("Escape")
        assert (page.input_value("#search"), catalogue.count) == ("", "3 datasets")
        page.keyboard.type("rest")
        page.keyboard.press("Enter")
        assert page.evaluate(f"{active}.textContent") == "Rest"
        for _ in range(3):  # the DOI, the report, Python
            page.keyboard.press("Tab")
        assert page.evaluate(f"{active}.textContent") == "Python"
        page.keyboard.press("Enter")
        page.locator("pre:visible").wait_for()
        assert page.evaluate(f"{active}.getAttribute('aria-expanded')") == "true"
        page.keyboard.press("Escape")
        assert page.locator("pre:visible").count() == 0
        assert page.evaluate(f"{active}.textContent") == "Python"
        page.keyboard.press("Escape")
        assert page.evaluate(f"{active}.id") == "search"
        # A filter, by Tab and Space; the focus stays where it is.
        page.keyboard.press("Escape")
        page.locator("fieldset input[type=checkbox]").first.focus()
        page.keyboard.press("Space")
        assert page.evaluate(f"{active}.checked") is True
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        assert page.locator("#chosen button:not(.plain)").count() == 2
        page.keyboard.press("/")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        page.wait_for_url("**/report-*.html")


def test_every_control_has_its_turn_and_is_seen(browser, store):
    with Catalogue(browser, as_file(store)) as catalogue:
        page = catalogue.page
        page.locator("#address summary").click()
        page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges()")
        page.reload()
        wanted = page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, input, select, summary")]
              .filter((e) => e.checkVisibility() && !e.disabled).length"""
        )
        seen: list[int] = []
        for _ in range(wanted + 5):
            page.keyboard.press("Tab")
            found = page.evaluate(
                """() => {
                  const e = document.activeElement, s = getComputedStyle(e);
                  const b = e.getBoundingClientRect(), turn = window.turn ??= new Map();
                  if (e === document.body) return null;
                  if (!turn.has(e)) turn.set(e, turn.size);
                  const inside = b.bottom > 0 && b.top < innerHeight && b.right > 0;
                  return [turn.get(e), s.outlineStyle, parseFloat(s.outlineWidth), inside];
                }"""
            )
            if found is None or found[0] in seen:
                break
            assert found[1] == "solid" and found[2] >= 2 and found[3], found
            seen.append(found[0])
        assert len(seen) == wanted
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, select, a")].filter((e) =>
              !(e.textContent.trim() || e.getAttribute("aria-label") || e.labels?.length)).length"""
        )
        assert nameless == 0
        for role, selector in (("status", "#count"), (None, "#said")):
            element = page.locator(selector)
            assert element.get_attribute("role") == role
            assert role or element.get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(browser, store, scheme):
    with Catalogue(browser, as_file(store), color_scheme=scheme) as catalogue:
        catalogue.choose("Modality", "eeg")
        catalogue.choose("Licence", "CC0")
        catalogue.copy("faces", "Python")
        catalogue.page.locator("#address summary").click()
        low, kinds = catalogue.page.evaluate(LOW_CONTRAST)
        assert low == [] and kinds > 20
        catalogue.search("nothing has this")
        assert catalogue.page.locator("#none").is_visible()
        assert catalogue.page.evaluate(LOW_CONTRAST)[0] == []


def test_a_phone_shows_all_of_it(browser, many):
    folder, _ = many
    with Catalogue(browser, as_file(folder), viewport=PHONE, has_touch=True) as catalogue:
        page = catalogue.page
        assert page.locator("#facets").is_hidden()
        page.locator("#filters summary").tap()
        assert page.locator("#facets").is_visible()
        page.locator("fieldset input[type=checkbox]").first.tap()
        assert page.locator("#filters summary").inner_text() == "Filters (1)"
        page.locator(".acts button").first.tap()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        outside = page.evaluate(
            """() => [...document.querySelectorAll("main *, aside *, header *")].filter((e) =>
              e.checkVisibility() && !e.closest("pre, .hidden")
              && e.getBoundingClientRect().right > innerWidth + 0.5).length"""
        )
        assert outside == 0
        page.emulate_media(media="print")
        assert page.locator(".acts").first.is_hidden()
