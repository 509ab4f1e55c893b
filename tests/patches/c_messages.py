# SPDX-License-Identifier: GPL-2.0-or-later
"""Finds the texts that C code prints for people to read."""

from __future__ import annotations

import re
from collections.abc import Iterator

TOKEN = re.compile(r"""
    (?P<skip>/\*.*?\*/|//[^\n]*|\s+|^[ \t]*\#(?:[^\n]*\\\n)*[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*")
  | (?P<char>'(?:\\.|[^'\\])*')
  | (?P<name>[A-Za-z_]\w*)
  | (?P<other>.)
""", re.S | re.M | re.X)
DEFINE = re.compile(r'^#define\s+(\w+)\s+"((?:\\.|[^"\\])*)"\s*$', re.M)
REPORT = re.compile(r"(error|warn|info)_|qemu_log|hw_error|g_(warning|error)")
# What these print is explained where info pic and the properties are.
OTHERWISE = {"monitor_printf", "object_class_property_set_description"}


def defines(code: str) -> dict[str, str]:
    """Macros that are a string."""
    return dict(DEFINE.findall(code))


def literals(code: str, macros: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every string, joined, with the function that it is given to.

    For one that a function returns that is "return"; others have "".
    """
    calls: list[str] = []
    before = ""
    returning = False
    text: str | None = None
    for match in TOKEN.finditer(code):
        kind, token = match.lastgroup, match[0]
        if kind == "skip":
            continue
        if kind == "string":
            text = (text or "") + token[1:-1]
        elif kind == "name" and (token in macros or token.startswith("PRI")):
            # Part of a string if there is one beside it, else of no interest.
            if text is not None or token in macros:
                text = (text or "") + macros.get(token, "u")
        else:
            if text is not None:
                yield (calls[-1] if calls else
                       "return" if returning else ""), text
                text = None
            if token == "(":
                calls.append(before)
            elif token == ")":
                if calls:
                    calls.pop()
            elif token in ";{}":
                calls.clear()
                returning = False
            elif token == "return":
                returning = True
        before = token if kind == "name" else ""


def messages(code: str, macros: dict[str, str]) -> set[str]:
    """Those of literals() that somebody may come to see and wonder about.

    Of functions that are not known to report, too, if they are given something
    like a sentence: it may be part of a message.  A macro alone is put before
    one.
    """
    # error_setg_errno() adds what the errno means.
    return {text + (": %s" if call.endswith("_errno") else "")
            for call, text in literals(code, macros)
            if text not in macros.values() and
            (REPORT.match(call) and len(text) > 2
             or call and call not in OTHERWISE and " " in text)}
