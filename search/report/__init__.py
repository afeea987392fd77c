"""The report of a run: one HTML file that needs no network, made from the run's folder alone.

gather.py           the run's files -> plain rows
text.py             sentences and small tables
importance.py       which parameters mattered (PED-ANOVA)
style.py            how every figure looks
search_figures.py   Plotly figures of trials and their parameters
model_figures.py    Plotly figures of the final stage, and of how models rank
sections.py         the figures with their headings and captions, in order
page.py             all of it -> HTML (page.html.j2)
"""

from search.report.page import write_report

__all__ = ["write_report"]
