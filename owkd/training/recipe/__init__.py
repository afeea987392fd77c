"""What a student may be trained with beyond the published recipe, all of it off by default.

augmentation.py  flips, padded crops and erased boxes, drawn anew for every batch
rates.py         how learning rates change over a training
stepping.py      what happens around each step of the optimizer: clipped gradients, averaged weights
"""
