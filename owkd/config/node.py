"""What every branch of the configuration is."""

from collections.abc import Hashable
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

PATH = "path"
"""marks a type as one that holds a path"""
ADDRESS = "address"
"""marks a path that may be in an object store too"""
PathText = Annotated[str, PATH]
"""a path in the form of text, which may have a placeholder in it"""
AddressText = Annotated[str, PATH, ADDRESS]
"""a path, or an address such as s3://bucket/runs/name"""


LARGEST_SEED = 2**32 - 1
"""what every library takes as a seed"""
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]

ValueT = TypeVar("ValueT", bound=Hashable)


def _each_once(values: tuple[ValueT, ...]) -> tuple[ValueT, ...]:
    repeated = [str(value) for value in dict.fromkeys(values) if values.count(value) > 1]
    if repeated:
        raise ValueError(f"each must stand once, but {', '.join(repeated)} stands there twice; drop one")
    return values


EachOnce = AfterValidator(_each_once)
"""marks a list whose values must differ"""


class Node(BaseModel):
    """A branch of the tree: frozen, finite, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)
