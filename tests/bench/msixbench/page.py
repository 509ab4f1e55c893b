# SPDX-License-Identifier: GPL-2.0-or-later
"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

from html import escape

from . import plots, tables
from .report import View
from .tables import Table

STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1d2127;
  --faint: #5c6470; --line: #d9dde3; --card: #f6f7f9; --good: #147a55;
  --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171c; --ink: #e3e6eb; --faint: #9aa3af; --line: #323843;
    --card: #1c2027; --good: #4fc79b; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; background: var(--back);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 1rem 0 .5rem; }
h2::first-letter { text-transform: uppercase; }
h2 { font-size: 1.15rem; line-height: 1.3; margin: 0 0 .3rem; }
p { margin: .3rem 0 .8rem; }
.faint, figcaption { color: var(--faint); font-size: .9rem; }
.plots { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
figure { margin: 0; padding: 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; margin-top: .6rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: .85rem;
  margin-top: .5rem; }
.legend i { display: inline-block; width: .7em; height: .7em;
  border-radius: .2em; margin-right: .35em; }
.table { overflow-x: auto; margin: 0 0 1.5rem; }
table { border-collapse: collapse; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th.w, td.w { text-align: left; }
td.w { white-space: normal; }
.holds { color: var(--good); font-weight: 600; }
.missed, .failed { color: var(--bad); font-weight: 600; }
.problems { border-left: .3rem solid var(--bad); padding: .2rem .8rem;
  background: var(--card); overflow-wrap: anywhere; margin-bottom: 1rem; }
@media (max-width: 40rem) { body { padding: .6rem; } figure { padding: .7rem; }
  th, td { padding: .2rem .45rem; } }
"""

MARKED = ("holds", "missed", "failed")


def _cell(tag: str, text: str, word: bool) -> str:
    names = (["w"] if word else []) + ([text] if text in MARKED else [])
    names = f' class="{" ".join(names)}"' if names else ""
    return f"<{tag}{names}>{escape(text)}</{tag}>"


def html(table: Table) -> str:
    """A table that can be scrolled by itself."""
    def row(tag: str, cells: tuple[str, ...]) -> str:
        return "<tr>" + "".join(_cell(tag, cell, i < table.words)
                                for i, cell in enumerate(cells)) + "</tr>"

    return (f'<h2>{escape(table.title)}</h2>\n<div class="table"><table>'
            f"<thead>{row('th', table.head)}</thead><tbody>\n"
            + "\n".join(row("td", cells) for cells in table.rows)
            + "\n</tbody></table></div>")


def _legend(view: View, who: list[str]) -> str:
    return '<div class="legend">' + "".join(
        f'<span><i style="background:{plots.COLOURS[w]}"></i>'
        f"{escape(view.name(w))}</span>" for w in who) + "</div>"


def _plots(view: View) -> str:
    found = []
    for title, text, draw in plots.all_plots():
        drawn = draw(view)
        shown = (_legend(view, drawn.who) + drawn.image if drawn
                 else '<p class="failed">not measured</p>')
        found.append(f"<figure><h2>{escape(title)}</h2><figcaption>"
                     f"{escape(text)}</figcaption>{shown}</figure>")
    return '<div class="plots">' + "\n".join(found) + "</div>"


def _problems(view: View) -> str:
    report = view.report
    lines = [f"{p['kernel']}, {p['who']}, {p['kind']}: {p['reason']}"
             for p in report["problems"]]
    if not report["complete"]:
        lines.insert(0, "The run was ended before its end: what is missing "
                        "was not measured.")
    if not lines:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return ('<div class="problems"><h2>Not measured</h2>'
            f"<ul>{items}</ul></div>")


def make(view: View) -> str:
    """The page."""
    report = view.report
    qemus = ", ".join(f"{view.name(who)}"
                      + (f" ({version})" if who == "patched" else "")
                      for who, version in report["qemus"].items())
    kernels = ", ".join(report["kernels"].values())
    clock = ("Time is that of the host's instructions, 4 ns each. "
             if report["clock"] == "counted" else "")
    quick = "A quick run: few rounds, small sizes. " if report["quick"] else ""
    shown = tables.all_tables(view)
    targets = [html(table) for table in shown if table.name == "targets"]
    others = [html(table) for table in shown if table.name != "targets"]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>MSI-X of vfio-pci: figures</title>
<style>{STYLE}</style>
</head>
<body>
<h1>MSI-X of vfio-pci: stock, patched and later QEMU beside the baseline</h1>
<p class="faint">{quick}{escape(qemus)}; hosts with Linux {escape(kernels)},
emulated: only ratios carry over. {clock}Measured
{escape(report['began'])}. Medians; half of the values are between those in brackets, or on the bar.</p>
{_problems(view)}
{"".join(targets)}
{_plots(view)}
<h1>All figures</h1>
{"".join(others)}
</body>
</html>
"""
