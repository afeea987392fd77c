"""Bad inputs as data: what is given, the exit code, and words that the message must hold.

*.yaml               the cases; `cases.py` says what a case may hold
world.py             what a case starts from: a small data set, a teacher, a student, a search that is over
commands.py          command lines as processes, with little between one and the next
__main__.py          `python -m tests.bad_inputs` prints the table of all cases
test_bad_inputs.py   every case, and that the suite notices what it is there to notice
"""
