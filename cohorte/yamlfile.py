"""Reading the workspace's YAML files: validated, with the line of every mistake."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cohorte.errors import SettingsError
from cohorte.i18n import N_
from cohorte.said import Said, said

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
    "extra_forbidden": N_("remove the key or correct its spelling"),
    "missing": N_("add the key"),
    "date_from_datetime_parsing": N_("write the date as YYYY-MM-DD"),
}
CORRECT = N_("correct the value")
MISTAKES = {
    "bool_parsing": N_("Input should be a valid boolean, unable to interpret input"),
    "bool_type": N_("Input should be a valid boolean"),
    "date_from_datetime_parsing": N_("Input should be a valid date or datetime, {error}"),
    "decimal_parsing": N_("Input should be a valid decimal"),
    "dict_type": N_("Input should be a valid dictionary"),
    "extra_forbidden": N_("Extra inputs are not permitted"),
    "float_parsing": N_("Input should be a valid number, unable to parse string as a number"),
    "float_type": N_("Input should be a valid number"),
    "greater_than": N_("Input should be greater than {gt}"),
    "greater_than_equal": N_("Input should be greater than or equal to {ge}"),
    "int_from_float": N_("Input should be a valid integer, got a number with a fractional part"),
    "int_parsing": N_("Input should be a valid integer, unable to parse string as an integer"),
    "int_type": N_("Input should be a valid integer"),
    "less_than": N_("Input should be less than {lt}"),
    "less_than_equal": N_("Input should be less than or equal to {le}"),
    "list_type": N_("Input should be a valid list"),
    "literal_error": N_("Input should be {expected}"),
    "missing": N_("Field required"),
    "string_pattern_mismatch": N_("String should match pattern '{pattern}'"),
    "string_too_long": N_("String should have at most {max_length} characters"),
    "string_too_short": N_("String should have at least 1 character"),
    "string_type": N_("Input should be a valid string"),
}
"""What pydantic says, by its name of the mistake, so that it can be told in another language."""


def read_yaml(path: Path, model: type[Model]) -> Model:
    """One YAML file as a validated model.

    Raises SettingsError naming file, line, key and remedy when the file is absent, is not YAML,
    or does not hold what the model asks for.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SettingsError(
            said("the file does not exist"), where=str(path), remedy=said("create it")
        ) from None
    except UnicodeDecodeError as error:
        raise SettingsError(
            said("byte {place} is not UTF-8", place=error.start),
            where=str(path),
            remedy=said("save the file as UTF-8"),
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
        raise SettingsError(
            said("not YAML: {problem}", problem=error.problem),
            where=_at(where, mark.line + 1) if mark else where,
            remedy=said("mend the syntax"),
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
                said("the environment variable {name} is not set", name=name),
                where=where,
                remedy=f"export {name}",
            )
        return os.environ[name]

    return _REFERENCE.sub(value, text)


def _settings_error(error: ValidationError, root: yaml.Node | None, where: str) -> SettingsError:
    lines = []
    for mistake in error.errors():
        location = tuple(part for part in mistake["loc"])
        key = ".".join(str(part) for part in location) or said("the file")
        remedy = said(REMEDIES.get(mistake["type"], CORRECT))
        message = said("{key}: {what}", key=key, what=mistake_said(mistake))
        lines.append((_line(root, location), message, remedy))
    line, message, remedy = lines[0]
    for number, text, fix in lines[1:]:
        remedy = said(
            "{before}\n  line {line}: {what}; {remedy}",
            before=remedy,
            line=number,
            what=text,
            remedy=fix,
        )
    return SettingsError(message, where=_at(where, line), remedy=remedy)


def check_file_name(path: Path, key: str, name: str) -> None:
    """A file is named as its ``key`` names what it holds; else SettingsError."""
    if name != path.stem:
        raise SettingsError(
            said('{key} is "{name}" in a file named {file}', key=key, name=name, file=path.name),
            where=said("{file} key {key}", file=path, key=key),
            remedy=said("rename the file to {name}.yml", name=name),
        )


def mistake_said(mistake: Any) -> str:
    """What is wrong, in the words of the validator or of pydantic; one of its ``errors()``."""
    context = mistake.get("ctx", {})
    if mistake["type"] == "value_error":
        told = context["error"].args[0]
        return told if isinstance(told, Said) else str(told)
    template = MISTAKES.get(mistake["type"])
    if template is None:
        return str(mistake["msg"])
    plain = {name: f"{v:g}" if isinstance(v, float) else v for name, v in context.items()}
    return said(template, **plain)


def _at(where: str, line: int) -> Said:
    return said("{where} line {line}", where=where, line=line)


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
