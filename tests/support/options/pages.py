"""Makes docs/octavia-options.md and docs/octavia-features from the table of options.

python -m tests.support.options.pages
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from tests.support.options import OPTIONS
from tests.support.options.features import MATRICES, judged
from tests.support.options.registry import KINDS, Option, Refusal

DOCS = Path(__file__).parents[3] / "docs"

_HEAD = """\
# Every option of Octavia, and what Libra makes of it

Made from the tests (`python -m tests.support.options.pages`), not by hand. What is **served** is
shown in traffic, by a HAProxy on the loopback and through a real Octavia and the address of a
device (`tests/integration/octavia/test_options.py`, `test_options_chain.py`): a request that has
to be served, and one that must not be. What is **served by IP_VS** is shown in the traffic of a
device whose kernel has that (`test_lvs_traffic.py`), and refused where devices have none. The last
column is a value that is refused when it is asked for, before anything is stored: by Libra (501,
which names the option and the reason) or already by Octavia's API (400). The same beside Octavia's
own driver: [octavia-features](octavia-features).
"""


def pages() -> Mapping[Path, str]:
    """All pages, by their places."""
    folder = DOCS / "octavia-features"
    return {
        DOCS / "octavia-options.md": _options(),
        **{folder / f"feature-matrix-{name}.ini": _matrix(name) for name in MATRICES},
    }


def _options() -> str:
    parts = [_HEAD]
    for kind in KINDS:
        parts.append(f"## {kind[0].upper()}{kind[1:]}\n")
        parts.append("| option | result | served | not served | refused when asked for |")
        parts.append("|---|---|---|---|---|")
        parts += [_row(one) for one in OPTIONS if one.kind == kind]
        notes = [f"* `{one.name}`: {one.note}." for one in OPTIONS if one.kind == kind and one.note]
        if notes:
            parts += ["", *dict.fromkeys(notes)]
        parts.append("")
    return "\n".join(parts)


def _row(option: Option) -> str:
    result = "served" if option.proof else "served by IP_VS" if option.by else "refused by name"
    return (
        f"| `{option.name}` | {result} | {option.passes} | {option.fails}"
        f" | {_refused(option.refusal)} |"
    )


def _refused(refusal: Refusal | None) -> str:
    if refusal is None:
        return ""
    said = ", ".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in refusal.fields.items()
    )
    how = "by ERROR" if refusal.late else f"by {refusal.by}"
    return f"`{said}` {how}".replace("|", "\\|")


def _matrix(name: str) -> str:
    lines = [
        "# Made from Libra's tests (python -m tests.support.options.pages), for Octavia's feature",
        f"# matrix of the same name. What each line stands on: docs/octavia-options.md ({name}).",
        "",
        "[driver.amphora]",
        "title=Amphora Provider",
        "",
        "[driver.libra]",
        "title=Libra Provider",
    ]
    for feature in MATRICES[name]:
        word, note = judged(name, feature)
        lines += [
            "",
            f"[operation.{feature.key}]",
            f"title={feature.key.replace('.', ' - ', 1)}",
            f"status={feature.status}",
            f"driver.amphora={feature.amphora}",
            f"driver.libra={word}",
        ]
        if note:
            lines.append(f"driver-notes.libra={note[0].upper()}{note[1:].rstrip('.')}.")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all pages."""
    for path, text in pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
