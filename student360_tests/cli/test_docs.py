"""The documentation: it builds strictly and offline, generated files are current, and what it quotes exists."""

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from student360.cli.main import COMMANDS
from student360.orchestration.checks import FIXES
from student360.settings import PROJECT
from student360_tests.bench.__main__ import PAGE, RESULTS, page, read_results
from student360_tests.rules.page import PAGE as EXAMPLES
from student360_tests.rules.page import examples_page
from student360_tests.site.__main__ import TABLES, generated_files
from student360_tests.trust.report import bad_inputs_page, faults_page
from student360_tests.trust.try_bad_inputs import all_cases

DOCS = PROJECT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *(PROJECT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md"))])
WRITTEN = [path for path in PAGES if DOCS / TABLES not in path.parents and path.name != "CHANGELOG.md"]
CODE = re.compile(r"^```[^\n]*\n(?P<block>.*?)^```|`(?P<span>[^`\n]+)`", re.MULTILINE | re.DOTALL)
REPOSITORY_PATH = re.compile(
    r"(?:(?:student360|student360_tests|sql|docs|data/reference|\.github)/[\w./-]*"
    r"|[\w.-]+\.(?:toml|yml|lock|md)|dagster[\w.]*\.yaml|workspace\.yaml|Makefile|LICENSE)"
)
OF_THE_EXAMPLE = {"student360/contracts/clubs.py", "sql/core/fact_clubs.sql"}
PICTURES = sorted((DOCS / "images").glob("*.svg"))
RESOURCES = {"src", "srcset", "poster", "data", "xlink:href"}
TEXTS = {".py", ".sql", ".csv"}
NOT_LOADED = {"canonical", "next", "prev", "license", "author"}


def code_of(path: Path) -> Iterator[str]:
    """Yield the code blocks and code spans of a page."""
    for match in CODE.finditer(path.read_text(encoding="utf-8")):
        yield match["block"] if match["block"] is not None else match["span"]


class Loads(HTMLParser):
    """Collects what a page makes the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.found += [value for name, value in values.items() if name in RESOURCES]
        if tag == "link" and not NOT_LOADED.intersection(values.get("rel", "").split()):
            self.found.append(values.get("href", ""))
        self.found += re.findall(r"url\(([^)]*)\)", values.get("style", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; the build fails on a broken link or anchor."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


ONE_BUILD = pytest.mark.xdist_group("site")


def is_remote(address: str) -> bool:
    return address.strip("\"' ").startswith(("http:", "https:", "//"))


@ONE_BUILD
def test_the_site_builds_strictly_and_loads_nothing_from_the_network(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 90
    for built in pages:
        text = built.read_text(encoding="utf-8")
        loads = Loads()
        loads.feed(text)
        assert [address for address in loads.found if is_remote(address)] == [], built.name
        assert 'class="mermaid"' not in text
    for sheet in site.rglob("*.css"):
        addresses = re.findall(r"(?:url\(|@import\s+)([^)\s;]+)", sheet.read_text(encoding="utf-8"))
        assert [address for address in addresses if is_remote(address)] == [], sheet.name


@ONE_BUILD
def test_the_search_index_is_part_of_the_site(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert "v_student_risk_monitor" in index


@ONE_BUILD
def test_every_page_is_in_the_navigation(site: Path) -> None:
    """MkDocs warns of pages that are not, and the strict build fails on warnings; the tables are added by a hook."""
    for path in DOCS.rglob("*.md"):
        assert (site / path.relative_to(DOCS).with_suffix(".html")).is_file(), path


def test_the_generated_files_are_up_to_date() -> None:
    expected = generated_files()
    different = [
        str(path) for path, text in expected.items() if not (DOCS / path).is_file() or (DOCS / path).read_text() != text
    ]
    different += [str(path) for path in (DOCS / TABLES).glob("*.md") if path.relative_to(DOCS) not in expected]
    assert different == [], "run `make docs`"


def test_the_pages_made_from_tests_and_measurements_are_up_to_date() -> None:
    machine, results = read_results(DOCS / RESULTS)
    pages = {
        DOCS / PAGE: page(machine, list(results.values())),
        DOCS / "reference" / "bad-inputs.md": bad_inputs_page(all_cases()),
        DOCS / "reference" / "faults.md": faults_page(),
        EXAMPLES: examples_page(),
    }
    assert [path.name for path, text in pages.items() if path.read_text() != text] == [], "run `make docs`"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)
def test_pictures_have_a_title_and_load_nothing(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    head = text[: text.index(">") + 1]
    assert 'role="img"' in head
    assert re.search(r"<title[ >][^<]*[^<\s][^<]*</title>", text)
    assert re.findall(r"(?:href=\"|url\()(?:https?:)?//[^\")]*", text) == []


def test_the_asset_graph_fits_a_page() -> None:
    head = (DOCS / "images" / "asset-graph.svg").read_text(encoding="utf-8")[:300]
    width = re.search(r'width="(\d+)"', head)
    assert width
    assert int(width[1]) <= 830


def test_screenshots_are_small() -> None:
    screenshots = sorted((DOCS / "images" / "screenshots").glob("*.png"))
    assert len(screenshots) >= 4
    assert [path.name for path in screenshots if path.stat().st_size > 150_000] == []


def test_every_make_command_exists() -> None:
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    command = re.compile(r"(?:^|&& |; )make ([a-z][\w-]*)", re.MULTILINE)
    named = {target for path in WRITTEN for code in code_of(path) for target in command.findall(code)}
    assert {"demo", "test", "dev", "docs"} <= named
    assert named - targets == set()


def test_every_student360_command_exists_and_is_listed() -> None:
    named = {
        command
        for path in PAGES
        for code in code_of(path)
        for command in re.findall(r"(?<!opt/)\bstudent360 (?!student360)([a-z]+)\b", code)
    }
    assert named - set(COMMANDS) == set()
    listed = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    assert [command for command in COMMANDS if f"`student360 {command}" not in listed] == []


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_path_that_is_quoted_exists(path: Path) -> None:
    quoted = {code for code in code_of(path) if REPOSITORY_PATH.fullmatch(code)}
    assert [name for name in sorted(quoted - OF_THE_EXAMPLE) if not (PROJECT / name).exists()] == []


def test_pages_that_messages_and_comments_quote_exist() -> None:
    folders = ("student360", "student360_tests", "sql", "data/reference")
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*") if path.suffix in TEXTS]
    files += [PROJECT / name for name in ("Makefile", "dagster.yaml", "dagster.postgres.yaml", "mkdocs.yml")]
    quoted = {
        (name, path.name)
        for path in files
        for name in re.findall(r"\bdocs/[\w./-]+\.(?:md|json|svg|env|service)\b", path.read_text(encoding="utf-8"))
    }
    assert len(quoted) > 5
    assert [where for where in sorted(quoted) if not (PROJECT / where[0]).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "SECURITY.md"])
def test_links_of_the_top_level_pages_exist(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_every_setting_is_listed() -> None:
    code = (PROJECT / "student360" / "settings.py").read_text(encoding="utf-8")
    names = re.findall(r'(?:text|number|one_of)\(f?"([A-Z_]+)', code)
    listed = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    assert len(names) > 15
    assert [name for name in names if f"STUDENT360_{name}" not in listed] == []


def test_every_check_is_listed() -> None:
    listed = (DOCS / "reference" / "checks.md").read_text(encoding="utf-8")
    assert [name for name in FIXES if f"`{name}`" not in listed] == []


def test_the_issue_forms_are_valid_and_ask_for_no_student_data() -> None:
    for form in sorted((PROJECT / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml")):
        content = yaml.safe_load(form.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(content)
        assert "Never paste student data" in form.read_text(encoding="utf-8")
