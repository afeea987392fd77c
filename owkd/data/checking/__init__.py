"""Looks through a data set for what would spoil a result: damaged images, leaks between splits, a wrong layout.

report    what a check found, and how much there is
layout    folders and files
pictures  images, as training would see them
people    who is where
dataset   all of it, for one data set
"""

from owkd.data.checking.dataset import check_dataset, dataset_folders
from owkd.data.checking.report import Finding, Report, SplitCount

__all__ = ["Finding", "Report", "SplitCount", "check_dataset", "dataset_folders"]
