#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the links of the built site: every page and anchor that it links to exists.

usage: check_links.py HTML_DIR
"""

import html.parser
import sys
import urllib.parse
from pathlib import Path

import tap


class Page(html.parser.HTMLParser):
    """The anchors and the links of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors = set()
        self.links = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.anchors.update(attributes[key] for key in ("id", "name") if attributes.get(key))
        self.links += [attributes[key] for key in ("href", "src", "data") if attributes.get(key)]


def problem_of(link, page, pages, root):
    parts = urllib.parse.urlsplit(link)
    if parts.scheme in ("http", "https", "mailto", "javascript", "data"):
        return ""
    target = (page.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file() or root not in target.parents:
        return f"{link}: no such file\n"
    if parts.fragment and target in pages and parts.fragment not in pages[target].anchors:
        return f"{link}: no such anchor\n"
    return ""


def cases(html_dir):
    root = Path(html_dir).resolve()
    pages = {path: Page(path) for path in sorted(root.glob("*.html"))}
    count = 0
    for path, page in pages.items():
        count += len(page.links)
        yield f"links of {path.name}", "".join(problem_of(link, path, pages, root)
                                               for link in page.links)
    yield "there are pages", "" if len(pages) > 20 else f"only {len(pages)}"
    print(f"# {len(pages)} pages, {count} links")


if __name__ == "__main__":
    tap.report(cases(*sys.argv[1:]))
