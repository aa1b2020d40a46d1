"""Figures into ``docs/performance.md``: between two marks each, and nowhere else. Pure."""

import re


def with_figures(page: str, name: str, report: str) -> str:
    """The page with the figures of one measurement in place of the former ones.

    What is no Markdown table is shown as it was printed.

    Raises:
        ValueError: the page has no place for them.
    """
    shown = "\n\n".join(map(_block, report.split("\n\n")))
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    changed, count = pattern.subn(lambda _: f"{begin}{shown}\n{end}", page)
    if count != 1:
        raise ValueError(f"the page has {count} places for {name}")
    return changed


def _block(text: str) -> str:
    return text if text.startswith("| ") else f"```\n{text}\n```"
