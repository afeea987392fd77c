"""One file of events as TensorBoard reads it: scalars, pictures, and what plugins want to know."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.summary.writer.record_writer import RecordWriter

from owkd.files import make_folder, sync_folder

_COUNT = itertools.count()
"""of the files of this process: two of one second must not be one"""


class EventFile:
    """A file of events as TensorBoard reads it, written as they come."""

    def __init__(self, folder: Path) -> None:
        make_folder(folder)
        name = f"events.out.tfevents.{time.time_ns() // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{next(_COUNT)}"
        self._file: BinaryIO = (folder / name).open("wb")
        self._records = RecordWriter(self._file)
        source = SourceMetadata(writer="owkd")
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2", source_metadata=source))
        self.flush()
        sync_folder(folder)

    def add_scalars(self, values: Mapping[str, float], step: int, at: float) -> None:
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self._add(Event(wall_time=at, step=step, summary=summary))

    def add_plugin_data(self, tag: str, data: HParamsPluginData) -> None:
        described = metadata.create_summary_metadata(data)
        value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._add(Event(wall_time=time.time(), summary=Summary(value=[value])))

    def add_image(self, tag: str, png: bytes, step: int = 0) -> None:
        width, height = struct.unpack(">II", png[16:24])  # of the first chunk, which every PNG begins with
        image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        self._add(Event(wall_time=time.time(), step=step, summary=Summary(value=[Summary.Value(tag=tag, image=image)])))

    def flush(self) -> None:
        """Brings what was added to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self.flush()
        self._file.close()

    def _add(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
