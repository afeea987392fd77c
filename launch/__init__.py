"""How owkd is started: the command line, the demo, local Ray and clusters. Nothing imports this package.

commands     the commands' arguments and help
cluster      Ray clusters: started, given searches, watched, taken down
doctor       whether the nodes of a cluster can serve
published    the published command line and the published code's files
output       what commands print

cli.py           every command by name, and exit codes
demo.py          `owkd demo`
driver.py        search, resume, retrain
train.py         a teacher, a student, or a trial again
monitor.py       TensorBoard on a run
connection.py    a connection to Ray
local_ray.py     a Ray of our own on this machine
"""
