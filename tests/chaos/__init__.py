"""Searches that are killed at any moment, and what must be true of them in the end.

python -m tests.chaos --kills 22 --seed 0     drivers killed at random moments, on real Ray (`make chaos`)
training    a stand-in for training whose every epoch grows out of its checkpoint
driver      the process that is killed: it begins a search, or goes on with it
killing     moments, signals, and who is still alive
whole       what must be true in the end
power       a disk whose power fails
cuts        the recorder without Ray, cut off at each of its writes
"""
