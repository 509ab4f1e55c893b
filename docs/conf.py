# SPDX-License-Identifier: GPL-2.0-or-later
"""Sphinx: the project's pages, and those that are part of QEMU's own manual."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

project = "qemu-vfio-msix"
# Sphinx's footer wants somebody's name here; the licence is in every file.
html_show_copyright = False
html_show_sphinx = False
html_title = project
html_theme = "furo"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["pages.css"]
language = "en"
# Commands, output, C and Python alike: colours would be guesses.
highlight_language = "none"
smartquotes = False

# What QEMU's own manual has for its pages.
rst_epilog = """
.. |qemu_system_x86| replace:: qemu-system-x86_64
"""

PAGE = re.compile(r"\bdocs/((?:[\w-]+/)*[a-z][\w-]*)\.rst\b")


class PageLinks(SphinxTransform):
    """docs/NAME.rst in a text becomes a link, and a warning if it is not there.

    So a page reads well as it is, and one of QEMU's needs no markup that makes
    sense in this project alone.
    """

    default_priority = 20

    def apply(self, **_: Any) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if not isinstance(text.parent, (nodes.paragraph, nodes.literal)):
                continue
            parts = PAGE.split(text.astext())
            if len(parts) == 1:
                continue
            new: list[nodes.Node] = []
            for number, part in enumerate(parts):
                if number % 2 and part == self.env.docname:
                    # The README is a part of some pages.
                    new.append(nodes.Text("this page"))
                elif number % 2:
                    link = addnodes.pending_xref(
                        "", nodes.inline(part, part, classes=["doc"]),
                        refdomain="std", reftype="doc", reftarget=f"/{part}",
                        refdoc=self.env.docname, refexplicit=False,
                        refwarn=True)
                    link.source, link.line = (text.parent.source,
                                              text.parent.line)
                    new.append(link)
                elif part:
                    new.append(nodes.Text(part))
            if isinstance(text.parent, nodes.literal):
                text.parent.replace_self(new)
            else:
                text.parent.replace(text, new)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(PageLinks)
    return {"parallel_read_safe": True}
