"""How owkd is started: the command line, the demo, local Ray and clusters. Nothing imports this package.

commands     the commands' arguments and help
connection   a connection to Ray: of our own, or to a cluster
cluster      Ray clusters: started, given searches, watched, taken down
doctor       whether the nodes of a cluster can serve
published    the published command line and the published code's files
output       what commands print

cli.py           every command by name, and exit codes
demo.py          `owkd demo`
driver.py        search, resume, retrain
train.py         a teacher, a student, or a trial again
monitor.py       TensorBoard on a run
"""
