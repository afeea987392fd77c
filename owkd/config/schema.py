"""The configuration as a JSON schema, by which editors complete fields and mark mistakes: `owkd config --schema`.

Rules between fields, and what only a data set or a machine decides, are no part of it: `owkd plan` knows them.
"""

from __future__ import annotations

from typing import Any

from owkd.config.tree import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema of a configuration file."""
    schema = Config.model_json_schema()
    found: dict[str, Any] = _as_read(schema)
    return {"$schema": DIALECT, **found, "title": "owkd configuration"}


def _as_read(node: Any) -> Any:
    """What the reader makes of a file before it is checked: a kind has a default, and one condition may stand alone."""
    if isinstance(node, list):
        return [_as_read(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {name: _as_read(value) for name, value in node.items()}
    if isinstance(node.get("discriminator"), dict):
        del node["discriminator"]  # of OpenAPI
        node["anyOf"] = node.pop("oneOf")  # without its name, a section may be of several kinds
    condition = node.get("properties", {}).get("when") if isinstance(node.get("properties"), dict) else None
    if condition is not None:
        condition["additionalProperties"] = True
    return node
