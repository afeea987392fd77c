"""How every figure of the report looks. Colours are those of Okabe and Ito, which colour-blind readers can distinguish.

Backgrounds are transparent and colours of text come from the page, so that one figure serves light, dark and paper.
"""

from __future__ import annotations

import plotly.graph_objects as go

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, GRAY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8A8A8A",
)
TRANSPARENT = "rgba(0,0,0,0)"
STATE_COLORS = {
    "complete": GREEN,
    "pruned": YELLOW,
    "running": SKY,
    "interrupted": SKY,
    "diverged": PINK,
    "out_of_memory": ORANGE,
    "error": ORANGE,
}
FEW_TICKS = 20
"""so many whole numbers fit below an axis"""


def state_color(state: str) -> str:
    """The colour of trials in this state."""
    return STATE_COLORS.get(state, GRAY)


def with_axes(figure: go.Figure, x: str | None, y: str | None, *, whole: bool = False) -> go.Figure:
    """Names both axes and gives the figure the report's look. `whole`: one tick for each whole number along x."""
    figure.update_layout(
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font={"family": "system-ui, sans-serif", "size": 13},
        hovermode="closest",
    )
    figure.update_xaxes(title={"text": x or ""}, automargin=True, zeroline=False, dtick=1 if whole else None)
    figure.update_yaxes(title={"text": y or ""}, automargin=True, zeroline=False)
    return figure
