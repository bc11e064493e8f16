"""What the repository's stacks cost, as docs/operations.md has it: `make docs` writes it, a test compares it.

The document holds, for each stack, a line `<!-- costs: NAME -->`, then its tables, then `<!-- costs: end -->`.
"""

from __future__ import annotations

import re
from pathlib import Path

from infra import costs, prices, settings, stack_file

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
BLOCK = re.compile(r"<!-- costs: (?P<stack>[a-z]+) -->\n.*?<!-- costs: end -->\n", re.DOTALL)
BASIS = re.compile(r"<!-- prices -->\n.*\n")


def settings_of(stack: str) -> settings.StackSettings:
    """What a stack's file says."""
    return settings.read(stack_file.values(stack_file.load(stack)))


def rewrite(text: str) -> str:
    """The document with all costs reckoned anew."""
    source = f"{prices.REGION}, {prices.DATE}, from `infra/prices.py`"
    basis = f"<!-- prices -->\nPrices: {source}; a month has {prices.HOURS} hours.\n"

    def fresh(match: re.Match[str]) -> str:
        stack = match["stack"]
        return f"<!-- costs: {stack} -->\n\n{costs.tables(settings_of(stack))}\n<!-- costs: end -->\n"

    return BLOCK.sub(fresh, BASIS.sub(lambda _: basis, text))


def stacks(text: str) -> list[str]:
    """The stacks whose costs the document has."""
    return [match["stack"] for match in BLOCK.finditer(text)]


if __name__ == "__main__":
    DOCUMENT.write_text(rewrite(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
