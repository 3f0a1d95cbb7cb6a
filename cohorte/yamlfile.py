"""Reading the workspace's YAML files: validated, with the line of every mistake."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cohorte.errors import SettingsError

Model = TypeVar("Model", bound=BaseModel)
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class PlainLoader(yaml.CSafeLoader):
    """Of bare words only true and false are booleans, as in YAML 1.2: yes, no, on, off are texts.

    A mapping is full of them: answers of a form, and NO for Norway.
    """


PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, test) for tag, test in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)

REMEDIES = {
    "extra_forbidden": "remove the key or correct its spelling",
    "missing": "add the key",
    "date_from_datetime_parsing": "write the date as YYYY-MM-DD",
}


def read_yaml(path: Path, model: type[Model]) -> Model:
    """One YAML file as a validated model.

    Raises SettingsError naming file, line, key and remedy when the file is absent, is not YAML,
    or does not hold what the model asks for.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(
            "the file does not exist", where=str(path), remedy="create it"
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"byte {error.start} is not UTF-8", where=str(path), remedy="save the file as UTF-8"
        ) from None
    return parse_yaml(text, model, str(path))


def parse_yaml(text: str, model: type[Model], where: str) -> Model:
    """The model that a YAML text holds; see :func:`read_yaml`."""
    try:
        loader = PlainLoader(text)
        root = loader.get_single_node()
        content = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise SettingsError(
            f"not YAML: {error.problem}", where=f"{where}{line}", remedy="mend the syntax"
        ) from None
    try:
        return model.model_validate({} if content is None else content)
    except ValidationError as error:
        raise _settings_error(error, root, where) from None


def line_of(path: Path, location: tuple[Any, ...]) -> int:
    """The line, from 1, on which the deepest part of a key that the file has stands."""
    return _line(yaml.compose(path.read_text("utf-8-sig"), Loader=PlainLoader), location)


def resolve_environment(text: str, where: str) -> str:
    """``${NAME}`` replaced by the environment's value; SettingsError when it is not set."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise SettingsError(
                f"the environment variable {name} is not set", where=where, remedy=f"export {name}"
            )
        return os.environ[name]

    return _REFERENCE.sub(value, text)


def _settings_error(error: ValidationError, root: yaml.Node | None, where: str) -> SettingsError:
    lines = []
    for mistake in error.errors():
        location = tuple(part for part in mistake["loc"])
        key = ".".join(str(part) for part in location) or "the file"
        remedy = REMEDIES.get(mistake["type"], "correct the value")
        message = mistake["msg"].removeprefix("Value error, ")
        lines.append((_line(root, location), f"{key}: {message}", remedy))
    line, message, remedy = lines[0]
    more = "".join(f"\n  line {number}: {text}; {fix}" for number, text, fix in lines[1:])
    return SettingsError(message, where=f"{where} line {line}", remedy=remedy + more)


def _line(node: yaml.Node | None, location: tuple[Any, ...]) -> int:
    """The line, from 1, of the deepest part of the location that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(part):
                    line, node = key.start_mark.line + 1, value
                    break
        elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
