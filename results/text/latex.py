"""A leaderboard as a LaTeX tabular in the papers' style; it needs the package booktabs."""

from __future__ import annotations

import itertools
import operator
import unicodedata

from optathlon.results.board.cell import Cell
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.plan import Column
from optathlon.results.readable import one_line
from optathlon.results.text.wording import Shown, metric, number, with_names

# pdfLaTeX knows none of these letters in text.
_GREEK = (
    "α alpha β beta γ gamma δ delta ε varepsilon ζ zeta η eta θ theta ι iota κ kappa λ lambda μ mu ν nu ξ xi π pi "
    "ρ rho σ sigma τ tau υ upsilon φ varphi χ chi ψ psi ω omega Γ Gamma Δ Delta Θ Theta Λ Lambda Ξ Xi Π Pi Σ Sigma "
    "Φ Phi Ψ Psi Ω Omega"
)
_ESCAPES = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "\ufffd": "?",
    "≈": r"$\approx$",
    "†": r"$^{\dagger}$",
    **{letter: rf"$\{name}$" for letter, name in zip(_GREEK.split()[::2], _GREEK.split()[1::2], strict=True)},
}
# What pdfLaTeX sets without a package: found by compiling each character up to U+024F, and common signs.
_PLAIN = frozenset(
    {chr(code) for code in (*range(0x20, 0x7F), *range(0xA1, 0x180))} - set("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ")
    | set("ȘșȚț‐‑‒—―‖‘’“”‡•…‰‱※€№™")
)


def latex(board: Leaderboard) -> str:
    """Only the tabular: mean (bold where best, underlined where not separable from it), difference, ± deviation.

    Caption, verdicts and footnotes stand before it as comments, to be taken into the paper's own caption.
    """
    board = with_names(board, one_line)
    shown = Shown(board)
    head = ["Optimizer", *(escaped(c.label) for c in board.columns), *shown.rank_title]
    under = ["", *(escaped(metric(c)) for c in board.columns), *("" for _ in shown.rank_title)]
    groups = [[_row(shown, row) for row in group] for group in shown.groups()]
    if board.references:
        groups.append([[escaped(name), *map(_with_minus, texts)] for name, *texts in shown.references()])
    if board.across == "optimizers":
        heads = [" ".join(filter(None, texts)) for texts in zip(["Task", *head[1:]], under, strict=True)]
        lines = [line for group in groups for line in group]
        head, *body_lines = map(list, zip(heads, *lines, strict=True))
        under, groups = [], [body_lines]
    body = [text for group in groups for text in (r"\midrule", *map(_line, group))]
    notes = [f"{number}: {note}" for note, number in shown.notes.items()]
    comments = [shown.caption(), *shown.verdicts(), *notes]
    lines = [
        *(f"% {' '.join(comment.split())}" for comment in comments),
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        _line(head),
        *([_line(under)] if under else []),
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _row(shown: Shown, row: BoardRow) -> list[str]:
    name = escaped(row.name) + _marks(shown, row.notes)
    cells = [_cell(shown, cell, column) for column, cell in zip(shown.board.columns, row.cells, strict=True)]
    return [name, *cells, *map(escaped, shown.mean_rank(row))]


def escaped(text: str) -> str:
    """`text` with every character that LaTeX would read otherwise, or that pdfLaTeX cannot set, written out."""
    composed = unicodedata.normalize("NFC", text)
    # Two dashes in a row would become a longer one.
    apart = ("{}" if a in "-–" and b in "-–" else "" for a, b in itertools.pairwise(f" {composed}"))
    return "".join(map(operator.add, apart, map(_set, composed)))


def _set(character: str) -> str:
    if character in _ESCAPES or character in _PLAIN:
        return _ESCAPES.get(character, character)
    # XeLaTeX and LuaLaTeX, told by this primitive, have it if the font does; pdfLaTeX would end with an error.
    return rf"\ifdefined\Umathchar {character}\else(U+{ord(character):04X})\fi{{}}"


def _line(cells: list[str]) -> str:
    # After the line before, a bracket or a star would be an argument of its \\.
    first = f"{{}}{cells[0]}" if cells[0].startswith(("[", "*")) else cells[0]
    return " & ".join([first, *cells[1:]]) + r" \\"


def _cell(shown: Shown, cell: Cell, column: Column) -> str:
    if cell.mean is None:
        word = column.without_value if cell.status == "diverged" else "--"
        return word + _marks(shown, cell.notes) + _published(shown, cell, column)
    mean = _with_minus(number(cell.mean, column.digits))
    parts = [rf"\textbf{{{mean}}}" if cell.best else rf"\underline{{{mean}}}" if cell.tied else mean]
    if cell.delta is not None:
        dagger = r"$^{\dagger}$" if shown.proven(cell) else ""
        parts.append(rf"{{\scriptsize({_with_minus(number(cell.delta, column.digits, '+'))}){dagger}}}")
    if cell.std is not None:
        parts.append(rf"$\pm$ {number(cell.std, column.digits)}")
    if count := shown.count(cell):
        parts.append(count)
    return " ".join(parts) + _marks(shown, cell.notes) + _published(shown, cell, column)


def _published(shown: Shown, cell: Cell, column: Column) -> str:
    numbers = [
        _with_minus(number(theirs.mean, column.digits))
        + (rf" $\pm$ {number(theirs.std, column.digits)}" if theirs.std is not None else "")
        + _marks(shown, [theirs.note] if theirs.note else [])
        for theirs in cell.published
    ]
    return f" {{\\footnotesize[{'; '.join(numbers)}]}}" if numbers else ""


def _with_minus(number: str) -> str:
    """A number whose sign is a minus, where LaTeX's text would have a hyphen."""
    return number.replace("-", "$-$")


def _marks(shown: Shown, notes: list[str]) -> str:
    return rf"\textsuperscript{{{','.join(map(str, shown.numbers(notes)))}}}" if notes else ""
