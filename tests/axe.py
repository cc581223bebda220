"""Check a state of the page with axe-core, which knows the rules of accessible pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paging import Page

WORST = ("serious", "critical")
RUN = """
const [done] = arguments;
axe.run(document, { resultTypes: ["violations"] }).then(
  ({ violations, passes }) => done({ violations, nPasses: passes.length }),
  (error) => done({ error: String(error) }));
"""


def find_barriers(page: Page, packages: Path) -> list[str]:
    """What is a serious barrier to someone: a line for each element."""
    if not page.js("return Boolean(window.axe)"):
        # Not as an element of the page, whose policy refuses scripts from elsewhere.
        source = (packages / "axe-core" / "axe.min.js").read_text()
        page.cdp("Runtime.evaluate", expression=source)
    found: dict[str, Any] = page.driver.execute_async_script(RUN)
    assert "error" not in found, found
    assert found["nPasses"] > 10, found
    return [
        f"{rule['id']} ({rule['impact']}): {rule['help']}: {node['html'][:200]}"
        for rule in found["violations"]
        if rule["impact"] in WORST
        for node in rule["nodes"]
    ]


def assert_accessible(page: Page, packages: Path, state: str) -> None:
    """No serious barriers; `state` says in which state the page is."""
    barriers = find_barriers(page, packages)
    assert not barriers, "\n".join([f"{state}:", *barriers])
