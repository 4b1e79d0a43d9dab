"""The paper's page as a whole: HTML, Markdown and JSON of all sections, figures by day and by night, and the command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
import reproduce
from click.testing import CliRunner
from matplotlib.figure import Figure as Canvas
from matplotlib.text import Text
from support.paths import ROOT

from mobilenet.charts import rendered
from mobilenet.cli.main import main
from mobilenet.errors import UsageError
from mobilenet.paper.contents import chosen, section_names
from mobilenet.paper.drawings import STYLE, drawn, inlined
from mobilenet.paper.html import paper_page
from mobilenet.paper.markdown import paper_markdown
from mobilenet.paper.sections.colors import INK, SERIES
from mobilenet.paper.sections.printed import agree, difference, value
from mobilenet.paper.sections.section import (
    Compared,
    Figure,
    Material,
    PaperError,
    Prose,
    Section,
    Table,
    Verdict,
    counted,
)
from mobilenet.paper.write import make_chapters, to_json

MATERIAL = Material(ROOT / "results", say=lambda line: None)


@pytest.fixture(scope="module")
def chapters():
    return make_chapters([], MATERIAL)


@pytest.fixture(scope="module")
def every(chapters):
    return [section for *_, sections in chapters for section in sections]


class Reader(HTMLParser):
    """Checks while it reads: every tag is closed, nothing is fetched, no id is there twice, every link leads somewhere."""

    VOID = ("meta", "img", "br")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open, self.ids, self.links = list[str](), list[str](), list[str]()
        self.feed(content)
        self.close()
        assert self.open == []
        assert len(self.ids) == len(set(self.ids))
        assert {link for link in self.links if link.startswith("#")} <= {f"#{name}" for name in self.ids}

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        assert tag not in ("script", "link", "iframe")
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if "href" in values else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_section_is_whole(every):
    """Names are those of the contents, nothing is empty, figures have names of their own."""
    assert [section.name for section in every] == section_names()
    figures = [figure.name for section in every for figure in section.figures()]
    assert len(figures) == len(set(figures))
    for section in every:
        for words in (section.title, section.source, section.claim, section.verdict.words):
            assert len(words) > 10, section.name
        assert section.parts, section.name
        for table in section.tables():
            assert table.rows, (section.name, table.title)
            assert {name for _, _, cell in table.compared() for name in [cell.published]}.isdisjoint({""})


def test_figures_name_their_axes_and_no_text_covers_another(every):
    for figure in (figure for section in every for figure in section.figures()):
        canvases = list[Canvas]()

        def draw(canvas: Canvas, figure=figure, canvases=canvases) -> None:
            figure.draw(canvas)
            canvases.append(canvas)

        rendered(draw, figure.width, figure.height, ("png",), STYLE)
        (canvas,) = canvases
        canvas.draw_without_rendering()  # places what was saved at another resolution
        for axes in canvas.axes:
            if axes.axison and axes.get_label() != "<colorbar>":
                assert axes.get_xlabel() or axes.get_shared_x_axes().get_siblings(axes) != [axes], figure.name
                assert axes.get_ylabel() or axes.get_shared_y_axes().get_siblings(axes) != [axes], figure.name
        assert figure.words.endswith("."), figure.name
        assert covered(canvas) == [], figure.name


def covered(canvas: Canvas) -> list[str]:
    """Texts that cover each other by more than a sliver or leave the figure."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown(canvas)]
    found = [name for name, box in boxes if not canvas.bbox.padded(1).fully_containsx(box.x0)]
    for number, (name, box) in enumerate(boxes):
        for other, with_box in boxes[number + 1 :]:
            both = box.intersection(box, with_box)
            if both is not None and both.width > 2 and both.height > 3:
                found.append(f"{name} / {other}")
    return found


def shown(canvas: Canvas) -> Iterator[Text]:
    """The texts of a figure that is drawn: titles, names, annotations, and the tick labels inside the axes."""
    yield from canvas.texts
    for legend in (*canvas.legends, *(axes.get_legend() for axes in canvas.axes if axes.get_legend())):
        yield from legend.get_texts()
    for axes in canvas.axes:
        yield from (text for text in (*axes.texts, axes.title) if text.get_text().strip() and text.get_visible())
        if axes.axison:
            for axis in (axes.xaxis, axes.yaxis):
                yield axis.label
                low, high = sorted(axis.get_view_interval())
                ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
                yield from (tick.label1 for tick in ticks if tick.label1.get_visible() and tick.label1.get_text())


def test_the_document_is_current(chapters):
    shown = reproduce.PAGE.read_text("utf-8")
    assert reproduce.document(chapters) == shown, "docs/reproduce.md is old: run python tools/reproduce.py"


def test_the_page_stands_alone(chapters, every):
    drawings = {figure.name: "<svg></svg>" for section in every for figure in section.figures()}
    page = paper_page("T", "S", chapters, drawings, "F").decode()
    Reader(page)
    for section in every:
        assert f"id='{section.name}'" in page
    assert len(paper_markdown("T", "S", chapters).splitlines()) > 10 * len(every)
    assert [each["name"] for each in json.loads(json.dumps(to_json(chapters)))] == section_names()


def test_an_svg_takes_the_colors_of_the_page():
    def draw(canvas: Canvas) -> None:
        axes = canvas.subplots()
        axes.plot([0, 1], [1, 0], marker="o", color=SERIES[1])
        axes.set_title("x < y & z")

    figure = Figure("night", "Night", "Words.", draw)
    files = drawn(figure)
    assert files == drawn(figure), "the same bytes whenever it is drawn"
    assert files["png"].startswith(b"\x89PNG")
    assert INK.encode() in files["svg"]
    svg = inlined(files["svg"], "night")
    Reader(svg)
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert "var(--c1)" in svg
    assert "var(--ink)" in svg
    assert "x &lt; y &amp; z" in svg
    names = set(re.findall(r'id="([^"]+)"', svg))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= names


def test_printed_numbers():
    assert [value(text) for text in ("3.4M", "0.35B", "94.86 %", "1,600", "113 ms")] == [3.4e6, 0.35e9, 94.86, 1600, 113]
    assert agree("3.4M", 3_469_760)  # cut off
    assert agree("3.5M", 3_469_760)  # rounded
    assert not agree("3.4M", 3_504_872)
    assert agree("300M", 300_774_272)
    assert agree("1.19 %", 1.1899999)
    assert not agree("1.19 %", 1.906)
    assert difference("0.5B", 750_000_000) == pytest.approx(0.5)


def test_a_verdict_counts():
    cells = (Compared("3.4M", 3_469_760), Compared("7M", 8_000_000, "a reason"), Compared("5M", None), Compared("6M", 1))
    table = Table("T", ("row", "params"), tuple((f"row {i}", cell) for i, cell in enumerate(cells)))
    verdict = counted(table)
    assert verdict.outcome == "holds in part"
    assert "1 of 4" in verdict.words
    assert "1 cannot be derived" in verdict.words
    assert "1 differs without a known reason" in verdict.words


def test_html_and_markdown_say_the_same_and_escape():
    evil = "<b>|x</b>"
    table = Table(evil, (evil, "params"), ((evil, Compared("3M", 4_000_000, "because `x` < 1")), ("total", 7)), "In millions.")
    section = Section(
        "s-1", evil, "Source", "A claim.", (Prose("One.\n\nTwo `code`."), table), Verdict("open", "Words."), ("row 1",)
    )
    page = paper_page("T", "S", [("C", "W", [section])], {}, "F").decode()
    Reader(page)
    assert evil not in page
    assert "<code>code</code>" in page
    assert "because <code>x</code> &lt; 1" in page
    markdown = paper_markdown("T", "S", [("C", "W", [section])])
    assert "| <b>\\|x</b> | 3M | 4,000,000 | +33.3 % (1) |" in markdown
    assert "1. because `x` < 1" in markdown


def test_names_choose_sections_and_chapters():
    assert [chapter.name for chapter in chosen(["v1"])] == ["v1"]
    (chapter,) = chosen(["table-4"])
    assert chapter.sections == ("table-4",)
    with pytest.raises(UsageError, match="table-4"):
        chosen(["table-44"])


def test_damaged_rows_are_named(tmp_path):
    (tmp_path / "a.jsonl").write_text("{}\n{")
    with pytest.raises(PaperError, match=r"a\.jsonl: cannot be read"):
        Material(tmp_path).rows("a")
    assert Material(tmp_path).rows("b") == []


def test_the_command(tmp_path):
    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["paper", *words])
        return done.exit_code, done.output

    out = tmp_path / "page"
    status, output = call("table-4", "--quick", "--out", str(out), "--results", str(ROOT / "results"))
    assert (status, "index.html" in output) == (0, True)
    assert {path.name for path in out.iterdir()} == {"index.html", "paper.md", "paper.json", "figures"}
    assert "table-4" in call("--list")[1]
    assert call()[0] == 2
    status, output = call("tabel-4", "--out", str(out))
    assert (status, "table-4" in output) == (2, True)
    (tmp_path / "index.html").write_text("mine")
    status, output = call("table-4", "--out", str(tmp_path))
    assert (status, "is no page of mobilenet" in output, (tmp_path / "index.html").read_text()) == (2, True, "mine")
