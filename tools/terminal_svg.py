#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draw what a command printed as a terminal window, in SVG: COMMAND | terminal_svg.py 'COMMAND' > OUT.svg"""
import html
import sys

CHAR, LINE, PAD, BAR = 8.4, 19, 18, 34
command, lines = sys.argv[1], sys.stdin.read().expandtabs().rstrip("\n").split("\n")
lines = [f"$ {command}", ""] + lines
width = int(max(len(line) for line in lines) * CHAR + 2 * PAD)
height = BAR + len(lines) * LINE + PAD


def text(number, line):
    """One line; what was proved is green."""
    colour = "#7ee787" if line.startswith("  ✓") or line == "proved" else "#e6edf3"
    return f'<text x="{PAD}" y="{BAR + number * LINE + 14}" fill="{colour}">{html.escape(line)}</text>'


print(
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    f'<rect width="{width}" height="{height}" rx="8" fill="#0d1117"/>'
    + "".join(f'<circle cx="{20 + 20 * i}" cy="17" r="6" fill="{c}"/>' for i, c in enumerate(("#ff5f56", "#ffbd2e", "#27c93f")))
    + "<g font-family=\"'DejaVu Sans Mono',Menlo,Consolas,monospace\" font-size=\"14\" xml:space=\"preserve\">"
    + "\n".join(text(i, line) for i, line in enumerate(lines))
    + "</g></svg>"
)
