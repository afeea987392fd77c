"""Does searching pay, on whom, and how surely? The whole question on real images, as one command.

omniglot.py      the images, laid out as the project reads them
omniglot/        what is kept of the data set, its source and its licence
"""
