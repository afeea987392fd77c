"""What every branch of the configuration is."""

from pydantic import BaseModel, ConfigDict


class Node(BaseModel):
    """A branch of the tree: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
