"""Stacks' files for the tests that edit them: as texts, and as people write them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import strategies as st

from golabs_infra.stack_editing import StackDocument


def document(text: str, environment: str = "dev") -> StackDocument:
    return StackDocument(Path(f"Pulumi.{environment}.yaml"), environment, text)


def edited(text: str, service: str = "billing", retired: bool = True) -> str:
    """The text with a service retired; undoing it must give the same text again."""
    found = document(text)
    found.set_retired(service, retired)
    changed = found.text()
    if retired:
        found.set_retired(service, False)
        assert found.text() == text
    return changed


_COMMENTS = st.sampled_from(["", " # note", "  # 'quoted: # note"])
_SCALARS = st.sampled_from(
    [
        "plain",
        "'it''s'",
        '"two\\nlines"',
        "5",
        "true",
        "no",
        "~",
        "[a, b]",
        "{secure: v1:x:y}",
        "|\n{i}  text\n{i}  more",
    ]
)
_BETWEEN = st.sampled_from(["", "\n", "{i}# a comment\n", "\n{i}# two\n\n", "# at the margin\n"])


@st.composite
def stack_texts(draw: st.DrawFn) -> str:
    """A stack's file as people write them, with three services and other keys around."""
    step = draw(st.sampled_from(["  ", "    ", "   "]))
    dash = step + draw(st.sampled_from(["", "  "]))
    gap = draw(st.sampled_from([" ", "   "]))

    def between(indent: str) -> str:
        return draw(_BETWEEN).replace("{i}", indent)

    services = []
    for name in ("billing", "catalog", "order"):
        written = draw(st.sampled_from([name, f"'{name}'", f'"{name}"']))
        form = draw(st.sampled_from(["plain", "mapping", "flow", "name"]))
        inner = f"{dash} {gap}"
        if form == "plain":
            entry = f"{written}{draw(_COMMENTS)}\n"
        elif form == "flow":
            entry = f"{{name: {written}, connectionLimit: 5}}{draw(_COMMENTS)}\n"
        elif form == "name":
            entry = f"name: {written}{draw(_COMMENTS)}\n"
        else:
            entry = f"name: {written}{draw(_COMMENTS)}\n{between(inner)}{inner}connectionLimit: 5{draw(_COMMENTS)}\n"
        services.append(f"{between(dash)}{dash}-{gap}{entry}")
    others = [
        f"{between(step)}{step}other:key{index}: {draw(_SCALARS).replace('{i}', step)}\n"
        for index in range(draw(st.integers(0, 2)))
    ]
    listed = f"{between(step)}{step}golabs-infra:services:{draw(_COMMENTS)}\n{''.join(services)}"
    entries = draw(st.permutations([listed, *others]))
    text = f"{between('')}config:{draw(_COMMENTS)}\n{''.join(entries)}{between('')}encryptionsalt: v1:x:y{draw(_COMMENTS)}\n{between('')}"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text
