"""Pieces of HTML. Whatever comes from a file, a label or a path, becomes text: it is escaped here and nowhere else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

from ..errors import printable

DASH, TIMES = "\u2013", "\u00d7"


def text(value: object) -> str:
    """A value as text of HTML, safe between tags and in quoted attributes."""
    return html.escape(printable(str(value)), quote=True)


def number(value: float | None, digits: int = 3) -> str:
    """A fraction or another small number; a dash for None."""
    return DASH if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A fraction as percent; a dash for None."""
    return DASH if value is None else f"{value * 100:.0f} %" if not 0 < value < 0.01 else f"{value * 100:.1f} %"


def path(name: str) -> str:
    """The end of a long path, and all of it when the mouse is on it."""
    end = "/".join(name.replace("\\", "/").split("/")[-2:])
    return f"<span class='path' title='{text(name)}'>{text(end)}</span>"


def section(title: str, words: str, *content: str) -> str:
    """A heading, a sentence that says how to read what follows, and that; "" if there is no content."""
    body = "\n".join(piece for piece in content if piece)
    return f"<section>\n<h2>{text(title)}</h2>\n<p class='quiet'>{text(words)}</p>\n{body}\n</section>" if body else ""


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Values in large letters with their names."""
    return (
        f"<ul class='tiles'>{''.join(f'<li><b>{text(value)}</b><span>{text(name)}</span></li>' for name, value in pairs)}</ul>"
    )


def scrolled(content: str, name: str) -> str:
    """Content that is moved sideways on a narrow screen, also by the keyboard."""
    return f"<div class='scroll' tabindex='0' role='region' aria-label='{text(name)}'>{content}</div>"


def table(names: Sequence[str], rows: Iterable[str], caption: str, num_names: int = 1) -> str:
    """`rows` are cells already. The first `num_names` columns hold names, the others numbers."""
    kinds = (" class='name'" if number < num_names else "" for number in range(len(names)))
    head = "".join(f"<th scope='col'{kind}>{text(name)}</th>" for name, kind in zip(names, kinds, strict=True))
    body = "".join(f"<tr>{row}</tr>\n" for row in rows)
    return scrolled(f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>", caption)


def name_cell(name: str) -> str:
    return f"<td class='name'>{text(name)}</td>"


def cell(value: str, filled: float | None = None) -> str:
    """A cell of a table; with `filled`, 0 to 1, a bar of that length behind the value."""
    return f"<td>{text(value)}</td>" if filled is None else f"<td class='bar' style='--s:{filled:.3f}'>{text(value)}</td>"


def folded(summary: str, content: str) -> str:
    """Content that is seen after a click; "" if there is none."""
    return f"<details><summary>{text(summary)}</summary>\n{content}\n</details>" if content else ""


def page(title: str, subtitle: str, sections: Iterable[str], footer: str, refresh: int | None = None) -> bytes:
    """The whole page. With `refresh` a browser loads it again after so many seconds."""
    template = Template(files(__package__).joinpath("page.html").read_text("utf-8"))
    content = template.substitute(
        head=f"<meta http-equiv='refresh' content='{refresh}'>\n" if refresh else "",
        title=text(title),
        subtitle=text(subtitle),
        body="\n".join(piece for piece in sections if piece),
        footer=text(footer),
    )
    return content.encode()
