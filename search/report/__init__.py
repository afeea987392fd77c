"""The report of a run: one HTML file that needs no network, made from the run's folder alone.

gather       the run's files -> plain rows          importance   which parameters mattered (PED-ANOVA)
words        sentences and small tables             figures      Plotly figures
page         all of it -> HTML (page.html.j2)
"""

from search.report.page import write_report

__all__ = ["write_report"]
