"""What every branch of the configuration is."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

PATH = "path"
"""marks a type as one that holds a path"""
PathText = Annotated[str, PATH]
"""a path in the form of text: it may have a placeholder in it, or be an address such as s3://bucket/runs"""


class Node(BaseModel):
    """A branch of the tree: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
