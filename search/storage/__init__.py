"""Where a run lies: a folder, or an address in an object store that pyarrow.fs knows.

address    what a user writes, taken apart          place     files below an address, one way for every store
lease      one driver at a time                     mirror    the driver's working copy and the store kept alike
workplace  a worker's folder, brought to the store epoch by epoch
"""
