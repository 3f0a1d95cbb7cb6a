"""A company's own attributes of customers: columns of its sources that no field of ours holds.

Declared in the workspace's `attributes.yml`:

    attributes:
      loyalty_tier:
        label: {en: Loyalty tier, fr: Niveau de fidélité}
        type: text
        from:
          - {source: shop, column: Tier}

They become columns of `customer_profiles`, named `custom_` and their name.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cohorte.workspace import Workspace
from cohorte.yamlfile import read_yaml

FILE = "attributes.yml"
CUSTOM = "custom_"
"""Begins the names of their columns."""

CUSTOM_ATTRIBUTES = "custom_attributes"

AttributeType = Literal["text", "number", "boolean", "date"]
AttributeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttributeSource(_Declared):
    """A column of a source's contacts, by its name in the files."""

    source: str = Field(min_length=1, max_length=200)
    column: str = Field(min_length=1, max_length=200)


class Attribute(_Declared):
    """What it is called, what it holds, and where it is read from: the first that knows it."""

    label: dict[Literal["en", "fr"], str] = Field(min_length=1)
    type: AttributeType = "text"
    read_from: list[AttributeSource] = Field(alias="from", min_length=1)


class AttributesFile(_Declared):
    attributes: dict[AttributeName, Attribute] = {}


def read_attributes(workspace: Workspace) -> dict[str, Attribute]:
    """The attributes that a workspace declares; none without the file."""
    path = workspace.root / FILE
    return read_yaml(path, AttributesFile).attributes if path.is_file() else {}
