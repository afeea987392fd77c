"""What every branch of the configuration is."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict

PATH = "path"
"""marks a type as one that holds a path"""
ADDRESS = "address"
"""marks a path that may be in an object store too"""
PathText = Annotated[str, PATH]
"""a path in the form of text, which may have a placeholder in it"""
AddressText = Annotated[str, PATH, ADDRESS]
"""a path, or an address such as s3://bucket/runs/name"""


class Node(BaseModel):
    """A branch of the tree: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
