"""Draws the life of a job from `aioq.model.states.TRANSITIONS`: `python -m tests.docs.lifecycle` writes it into docs/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aioq.model.states import FINAL_STATES, TRANSITIONS, JobState, Transition, Verb
from tests.docs.fences import ROOT

__all__ = ["PAGE", "PICTURE", "drawing", "page_with_table"]

PICTURE = ROOT / "docs" / "lifecycle.svg"
PAGE = ROOT / "docs" / "lifecycle.md"
BEGIN, END = "<!-- generated: python -m tests.docs.lifecycle -->\n", "<!-- end -->\n"

WIDTH, HEIGHT = 100, 36
"""Of a state's box."""

PLACES = {
    JobState.SCHEDULED: (300, 80),
    JobState.PENDING: (150, 200),
    JobState.RUNNING: (450, 200),
    JobState.RETRYING: (300, 320),
    JobState.COMPLETED: (740, 60),
    JobState.FAILED: (740, 160),
    JobState.DEAD: (740, 240),
    JobState.EXPIRED: (740, 320),
    JobState.CANCELLED: (740, 410),
}
"""Where the boxes have their middle."""


@dataclass(frozen=True)
class Route:
    """The course of an arrow, and the place of its label."""

    path: str
    label: tuple[int, int]


ROUTES = {
    (JobState.SCHEDULED, JobState.PENDING): Route("M250,92 C190,100 150,130 150,180", (208, 136)),
    (JobState.RETRYING, JobState.PENDING): Route("M250,320 C190,315 165,270 165,220", (212, 282)),
    (JobState.PENDING, JobState.RUNNING): Route("M200,190 L398,190", (300, 182)),
    (JobState.RUNNING, JobState.PENDING): Route("M400,212 L202,212", (300, 230)),
    (JobState.RUNNING, JobState.SCHEDULED): Route("M450,182 C450,120 410,90 352,82", (464, 112)),
    (JobState.RUNNING, JobState.RETRYING): Route("M450,218 C450,280 410,315 352,320", (456, 296)),
    (JobState.RUNNING, JobState.COMPLETED): Route("M500,190 C560,170 600,60 688,60", (622, 62)),
    (JobState.RUNNING, JobState.FAILED): Route("M500,198 C580,198 610,160 688,160", (626, 160)),
    (JobState.RUNNING, JobState.DEAD): Route("M500,206 C580,206 610,240 688,240", (626, 222)),
    (JobState.RUNNING, JobState.EXPIRED): Route("M490,220 C540,260 600,320 688,320", (648, 300)),
}

OPEN = [state for state in JobState if state not in FINAL_STATES]
ENDED_BADLY = [JobState.FAILED, JobState.DEAD, JobState.EXPIRED, JobState.CANCELLED]

# What all states of a group have in common is one arrow from the frame around them.
GROUPS: dict[tuple[Verb, JobState], tuple[Sequence[JobState], Route]] = {
    (Verb.CANCEL, JobState.CANCELLED): (OPEN, Route("M500,370 C500,410 600,410 688,410", (600, 398))),
    (Verb.REPLAY, JobState.PENDING): (ENDED_BADLY, Route("M740,442 L740,470 L120,470 L120,220", (430, 463))),
}

FRAMES = [(86, 40, 494, 330), (670, 130, 140, 312)]
"""Left, top, width and height of the frames around the groups."""

STARTS = [
    (Route("M34,200 L98,200", (58, 192)), "enqueue"),
    (Route("M30,192 C40,100 150,80 248,80", (152, 74)), "enqueue, delayed"),
]

STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #222; text-anchor: middle }
  .verb { font-size: 12px; fill: #555 }
  .state { fill: #eef2ff; stroke: #4f5d95; stroke-width: 1.5 }
  .final { fill: #f4f4f5; stroke: #71717a; stroke-width: 1.5 }
  .frame { fill: none; stroke: #a1a1aa; stroke-dasharray: 4 4 }
  .arrow { fill: none; stroke: #555; stroke-width: 1.3; marker-end: url(#head) }
  .head, .start { fill: #555 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e4e4e7 } .verb { fill: #a1a1aa }
    .state { fill: #272e4f; stroke: #8b9bd8 } .final { fill: #2d2d33; stroke: #a1a1aa }
    .arrow { stroke: #a1a1aa } .head, .start { fill: #a1a1aa } .frame { stroke: #71717a }
  }"""


def drawing(transitions: Iterable[Transition] = TRANSITIONS) -> str:
    """Return the picture as SVG."""
    rows = list(transitions)
    shapes = [f'<rect class="frame" x="{x}" y="{y}" width="{w}" height="{h}" rx="12"/>' for x, y, w, h in FRAMES]
    shapes += [_arrow(route, label) for route, label in STARTS] + ['<circle class="start" cx="28" cy="200" r="6"/>']
    shapes += [*_group_arrows(rows), *_arrows(rows), *map(_box, PLACES)]
    head = '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 830 490" role="img" aria-label="The life of a job">',
            f"<style>{STYLE}\n</style>",
            f'<defs>{head}<path class="head" d="M0,0 L8,4 L0,8 z"/></marker></defs>',
            *shapes,
            "</svg>\n",
        ]
    )


def page_with_table(page: str, transitions: Iterable[Transition] = TRANSITIONS) -> str:
    """Return the page with a new table."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = ["| from | by | to |", "| --- | --- | --- |"]
    lines += [f"| `{source}` | {verb} | `{target}` |" for source, verb, target in transitions]
    return before + BEGIN + "\n".join(lines) + "\n" + END + after


def _arrows(rows: list[Transition]) -> list[str]:
    """Return an arrow for each pair of states, with all verbs from one to the other."""
    grouped = {row for verb_target in GROUPS for row in _in_group(rows, *verb_target)}
    verbs: dict[tuple[JobState, JobState], list[str]] = {}
    for row in rows:
        if row not in grouped:
            verbs.setdefault((row.source, row.target), []).append(row.verb)
    return [_arrow(ROUTES.get(pair) or _straight(*pair), ", ".join(names)) for pair, names in verbs.items()]


def _group_arrows(rows: list[Transition]) -> list[str]:
    return [_arrow(GROUPS[pair][1], pair[0]) for pair in GROUPS if _in_group(rows, *pair)]


def _in_group(rows: list[Transition], verb: Verb, target: JobState) -> list[Transition]:
    """Return the rows that one arrow stands for; none unless every state of the group has its row."""
    states, _ = GROUPS[verb, target]
    wanted = [Transition(state, verb, target) for state in states]
    return wanted if set(wanted) <= set(rows) else []


def _straight(source: JobState, target: JobState) -> Route:
    (x1, y1), (x2, y2) = PLACES[source], PLACES[target]
    return Route(f"M{x1},{y1} L{x2},{y2}", ((x1 + x2) // 2, (y1 + y2) // 2))


def _arrow(route: Route, label: str) -> str:
    x, y = route.label
    return f'<path class="arrow" d="{route.path}"/><text class="verb" x="{x}" y="{y}">{label}</text>'


def _box(state: JobState) -> str:
    x, y = PLACES[state]
    kind = "final" if state in FINAL_STATES else "state"
    corner = f'x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<rect class="{kind}" {corner} rx="8"/><text x="{x}" y="{y + 5}">{state}</text>'


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    print(f"wrote {path.relative_to(ROOT)}")


if __name__ == "__main__":
    _write(PICTURE, drawing())
    _write(PAGE, page_with_table(PAGE.read_text()))
