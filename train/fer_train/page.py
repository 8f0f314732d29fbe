"""Reports: one HTML file that holds all it shows, opens from disk, asks the network for nothing, in dark and light.

Every function but `write` returns a piece of `Html`; all other text is escaped.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_edge.contract.errors import DataError
from fer_edge.contract.files import write_text


class Html(str):
    """Markup, as opposed to text that has yet to be escaped."""

    __slots__ = ()


def _escaped(text: object) -> str:
    return text if isinstance(text, Html) else html.escape(str(text))


def paragraph(text: str) -> Html:
    """A paragraph."""
    return Html(f"<p>{_escaped(text)}</p>")


def facts(pairs: Mapping[str, object]) -> Html:
    """Names and what they are; pairs whose value is None or empty are left out."""
    rows = "".join(
        f'<tr><th scope="row">{_escaped(name)}</th><td>{_escaped(value)}</td></tr>'
        for name, value in pairs.items()
        if value is not None and value != ""
    )
    return Html(f'<div class="wide"><table class="facts"><tbody>{rows}</tbody></table></div>')


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Html:
    """A table whose first column names the rows and whose others hold figures."""
    top = "".join(f'<th scope="col">{_escaped(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{_escaped(first)}</th>' + "".join(f"<td>{_escaped(cell)}</td>" for cell in rest) + "</tr>"
        for first, *rest in rows
    )
    return Html(
        f'<div class="wide"><table class="figures"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def picture(png: bytes, alt: str, caption: str = "") -> Html:
    """A PNG inside the page.

    Args:
        png: the file's content.
        alt: what it shows, for those who cannot see it.
        caption: how to read it.
    """
    below = f"<figcaption>{_escaped(caption)}</figcaption>" if caption else ""
    source = base64.b64encode(png).decode("ascii")
    return Html(f'<figure><img alt="{_escaped(alt)}" src="data:image/png;base64,{source}">{below}</figure>')


def folded(summary: str, *parts: Html) -> Html:
    """What only some want to see, behind a line to click on."""
    return Html(f"<details><summary>{_escaped(summary)}</summary>{''.join(parts)}</details>")


def preformatted(text: str) -> Html:
    """Lines in which every character counts."""
    return Html(f'<div class="wide"><pre>{_escaped(text)}</pre></div>')


def section(title: str, *parts: Html) -> Html:
    """A part of the page that its contents name."""
    anchor = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return Html(f'<section id="{anchor}"><h2>{_escaped(title)}</h2>{"".join(parts)}</section>')


def embedded(name: str, value: Any) -> Html:
    """JSON that programs can read out of the page: the content of `<script type="application/json" id=NAME>`."""
    # Of JSON only a "<" could end or reopen the element, and only a string can hold one.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    return Html(f'<script type="application/json" id="{_escaped(name)}">{text}</script>')


def write(path: Path, title: str, lead: str, parts: Sequence[Html]) -> None:
    """Write the page atomically.

    Args:
        path: file to write.
        title: heading, and what the browser calls it.
        lead: the result in one or two sentences.
        parts: sections, in order.

    Raises:
        DataError: the file cannot be written.
    """
    # The policy makes sure of what the page promises: it can load nothing.
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{_escaped(title)}</title><style>{_STYLE}</style></head>\n"
        f'<body><main><h1>{_escaped(title)}</h1><p class="lead">{_escaped(lead)}</p>\n'
        + _contents(parts)
        + "\n".join(parts)
        + "\n</main></body></html>\n"
    )
    try:
        write_text(path, text)
    except OSError as error:
        raise DataError(f"report {path} cannot be written ({error.strerror}); give it another place") from error


def _contents(parts: Sequence[Html]) -> Html:
    sections = [found for part in parts if (found := re.match(r'<section id="([^"]*)"><h2>(.*?)</h2>', part))]
    links = "".join(f'<li><a href="#{found[1]}">{found[2]}</a></li>' for found in sections)
    return Html(f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n')


# Figures are drawn on white, so in the dark they lie on a card of their own.
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--paper:#fff;--band:#f3f5f7;--accent:#0072b2}
@media (prefers-color-scheme:dark){
:root{--ink:#e6edf3;--soft:#9aa4ae;--line:#3a424b;--paper:#14181d;--band:#1d232a;--accent:#56b4e9}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2.5rem 0 .75rem;padding-top:.75rem;border-top:1px solid var(--line)}
p{margin:.5rem 0;max-width:46rem}.lead{font-size:1.1rem}
.wide{overflow-x:auto;margin:.75rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-weight:600}.figures td,.figures thead th+th{text-align:right;white-space:nowrap}
.figures tbody tr:nth-child(even){background:var(--band)}.facts th{color:var(--soft);font-weight:400;white-space:nowrap}
.facts td{overflow-wrap:anywhere}
pre{margin:0;padding:.75rem;background:var(--band);font-size:.85rem;line-height:1.4}
figure{margin:1rem 0}img{display:block;max-width:100%;height:auto;background:#fff;border-radius:6px}
figcaption{color:var(--soft);font-size:.9rem;margin-top:.4rem;max-width:46rem}
a{color:var(--accent)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:1rem 0;padding:0;list-style:none;font-size:.9rem}
@media (max-width:40rem){.facts tr{display:block;padding:.25rem 0;border-bottom:1px solid var(--line)}
.facts th,.facts td{display:block;border:0;padding:0}}
details{margin:.75rem 0}summary{cursor:pointer;color:var(--accent)}
@media print{details{display:block}main{max-width:none}}
""".strip()
