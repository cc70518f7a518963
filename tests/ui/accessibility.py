"""Checks a page with the rules of axe-core."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_axe = Axe()


def check_accessibility(page: Page) -> None:
    """Fails with every rule that the page breaks, and the elements that break it."""
    found = _axe.run(page)
    broken = [
        f"{rule['id']} ({rule['impact']}): {rule['help']}\n"
        + "\n".join(f"    {node['html'][:200]}" for node in rule["nodes"])
        for rule in found.response["violations"]
    ]
    assert not broken, "\n".join(broken)
