"""The page: complete, escaped, offline, and there for every run however it ended."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_runs import searched_run, written_run

from nas.cli.report import report
from nas.report import write_report, write_report_files
from nas.rundir import RunDirectory
from searchspaces import NasError

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Collects what a page is made of and complains about tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._see(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._see(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _see(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attributes:
            if name == "id":
                self.ids[str(value)] += 1
            if name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset"):
                self.links.append(str(value))


def check(page: str) -> Checker:
    """Return what a page is made of, after the checks that every page must pass."""
    assert page.startswith("<!DOCTYPE html>")
    checker = Checker(page)
    assert all(count == 1 for count in checker.ids.values())
    assert all(link.startswith(("#", "data:")) for link in checker.links)
    assert not {"script", "img", "iframe", "object", "embed"} & set(checker.tags)
    assert not re.search(r"@import|url\(\s*['\"]?(?!#)", page)
    assert "$" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL), "every place of the template is filled"
    return checker


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A real run of two objectives with scaling."""
    return searched_run(tmp_path_factory.mktemp("report") / "run", constraint=["params<=2.6e6"], scale_to="params<=4e6")


def test_a_finished_run(finished: RunDirectory) -> None:
    """Every section is there, with the plots in the page and in the folder."""
    files = write_report_files(finished)
    page = files.report.read_text(encoding="utf-8")
    check(page)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert headings[:4] == ["The winner", "The plan", "Pareto front", "The family"]
    assert headings[4:6] == ["The search", "Budget spent"]
    assert headings[-1] == "Configuration"
    best = json.loads((finished.path / "best.json").read_text())
    assert best["provenance"]["notation"] in page
    assert f"nas train {finished.path / 'best.json'} --data digits" in page
    assert "asvit, 4,556,250 networks" in page
    assert "params&lt;=2.6e+06" in page
    assert "torch" in page
    assert "has not come to its end" not in page
    for file in (finished.path / "pareto").iterdir():
        assert json.loads(file.read_text())["provenance"]["notation"] in page
    for file in (finished.path / "family").iterdir():
        assert json.loads(file.read_text())["provenance"]["notation"] in page
    assert {path.stem for path in files.plots} >= {"history", "pareto", "family", "clock", "cpu"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files.plots)
    assert page.count('class="plot"') == len(files.plots)


def test_a_report_can_be_written_again(finished: RunDirectory) -> None:
    """The same run gives the same bytes, also from a fresh reading, and leaves no temporary file."""
    first = write_report(finished).read_bytes()
    assert write_report(RunDirectory.open(finished.path)).read_bytes() == first
    assert not [path for path in finished.path.rglob(".*") if path.name != ".lock"]


def test_scaled_values_say_that_they_are_of_a_proxy(finished: RunDirectory, tmp_path: Path) -> None:
    """`params` is counted on the real network and needs no such note; a measure that is not static does."""
    assert "narrow prox" not in write_report(finished).read_text()
    run = searched_run(tmp_path / "run", scaling={"measures": ["toy_score"]}, scale_to="params<=2.8e6")
    page = write_report(run).read_text()
    check(page)
    assert "The family" in page
    assert re.search(r"Measured on .*narrow prox.* of width C = 8.*not on the real network: toy_score", page)
    assert "step (values of narrow proxies)" in page


def test_one_objective_shows_the_ten_best(tmp_path: Path) -> None:
    """In order, each network once."""
    run = searched_run(tmp_path / "run", trials=14, minimize=[], no_scale=True)
    page = write_report(run).read_text()
    check(page)
    assert "The best 10 networks of the search." in page
    assert "Pareto front" not in page
    assert "The family" not in page


def test_a_killed_search(tmp_path: Path) -> None:
    """There is no best.json yet; the page says how far it came and how to go on."""
    page = write_report(written_run(tmp_path / "run", [0.1, 0.7, None, 0.3])).read_text()
    check(page)
    assert "4 of 100 networks were measured" in page
    assert f"nas resume {tmp_path / 'run'}" in page
    assert "until then this is the best network so far" in page
    assert "nas train" not in page
    assert "it broke" in page
    assert "at least 30 measured networks" in page


def test_a_run_killed_while_scaling_shows_candidates(finished: RunDirectory, tmp_path: Path) -> None:
    """Which were accepted is not known before the family is written."""
    copy = tmp_path / "copy"
    shutil.copytree(finished.path, copy)
    for name in ("best.json", "seed.json"):
        (copy / name).unlink()
    for name in ("family", "pareto"):
        shutil.rmtree(copy / name)
    page = write_report(RunDirectory.open(copy)).read_text()
    check(page)
    assert "which of them were accepted is written when the run ends" in page
    assert "The run has not come to its end." in page


def test_an_empty_run(tmp_path: Path) -> None:
    """Nothing measured, no plots, still a page."""
    files = write_report_files(written_run(tmp_path / "run", []))
    check(files.report.read_text())
    assert "Nothing has been measured yet" in files.report.read_text()
    assert files.plots == []


def test_a_run_in_which_everything_failed(tmp_path: Path) -> None:
    """The reasons are counted."""
    page = write_report(written_run(tmp_path / "run", [None] * 35)).read_text()
    check(page)
    assert "every one of the 35 networks failed" in page
    assert re.search(r'<td class="number">35</td><td>toy_score: it broke</td>', page)


def test_a_run_in_which_nothing_met_the_constraints(tmp_path: Path) -> None:
    """The closest value is shown."""
    page = write_report(written_run(tmp_path / "run", [0.5, 0.75], constraint=["toy_score>=0.9"])).read_text()
    check(page)
    assert "none of the 2 measured networks met every constraint" in page
    assert "2 of 2" in page
    assert ">0.75<" in page


def test_everything_from_files_is_escaped(tmp_path: Path) -> None:
    """Reasons, options and names may hold anything."""
    evil = "</td><script>alert('1')</script> & \"more\" ${sections}"
    run = written_run(tmp_path / "a & <b>", [0.5, None], failure=evil)
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("out: null", "out: '<script>x</script>'"))
    page = write_report(RunDirectory.open(run.path)).read_text()
    assert "script" not in Checker(page).tags
    assert "&lt;script&gt;alert(&#x27;1&#x27;)" in page
    assert "&lt;script&gt;x" in page
    assert "a &amp; &lt;b&gt;" in page


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """And the earlier report stays as it was."""
    run = written_run(tmp_path / "run", [0.5])
    page = write_report(run)
    before = page.read_bytes()
    shutil.rmtree(run.path / "plots")
    (run.path / "plots").write_text("in the way")
    with pytest.raises(NasError, match="plots: cannot be made"):
        write_report(run)
    assert page.read_bytes() == before


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files appear whole or not at all."""
    run = written_run(tmp_path / "run", [0.5])
    before = write_report(run).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NasError, match="No space left on device"):
        write_report(run)
    assert (run.path / "report.html").read_bytes() == before
    assert not list(run.path.rglob(".*.*"))


def test_the_command_prints_the_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As lines for people, as one object for scripts."""
    run = written_run(tmp_path / "run", [0.5, 0.6])
    report(run.path, as_json=False)
    assert capsys.readouterr().out.splitlines()[0] == str(run.path / "report.html")
    report(run.path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["report"] == str(run.path / "report.html")
    assert all(Path(path).is_file() for path in found["plots"])
    with pytest.raises(NasError, match="not a run directory"):
        report(tmp_path, as_json=False)


@pytest.mark.browser
def test_the_page_in_a_browser(finished: RunDirectory, tmp_path: Path) -> None:
    """Chromium draws it, finds nothing to complain about and fetches nothing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium: install the package chromium")
    page = write_report(finished)
    picture = tmp_path / "page.png"
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars"]
    profile = [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,2000", f"--screenshot={picture}"]
    result = subprocess.run(
        [browser, *options, *profile, page.resolve().as_uri()], capture_output=True, text=True, timeout=120
    )
    assert "CONSOLE" not in result.stderr
    assert picture.stat().st_size > 20_000
