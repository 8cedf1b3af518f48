# SPDX-License-Identifier: LGPL-2.1-or-later
"""As much of JSON Schema as rpc.discover uses; a keyword that it does not know is an error."""

import re

TYPES = {
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _faults_of_object(value, schema):
    properties = schema.get("properties", {})
    faults = ["no %s" % name for name in schema.get("required", []) if name not in value]
    for name, member in value.items():
        if name in properties:
            faults += ["%s: %s" % (name, fault) for fault in faults_of(member, properties[name])]
        elif schema.get("additionalProperties", True) is False:
            faults.append("%s is not described" % name)
    return faults


def _fault_of_keyword(value, keyword, argument):
    """Whether the value breaks it."""
    if keyword == "type":
        names = argument if isinstance(argument, list) else [argument]
        return not any(TYPES[name](value) for name in names)
    if keyword == "enum":
        return not any(value == one and type(value) is type(one) for one in argument)
    if keyword == "minimum":
        return _number(value) and value < argument
    if keyword == "maximum":
        return _number(value) and value > argument
    if keyword == "multipleOf":
        return _number(value) and value % argument != 0
    if keyword == "minLength":
        return isinstance(value, str) and len(value) < argument
    if keyword == "maxLength":
        return isinstance(value, str) and len(value) > argument
    if keyword == "minProperties":
        return isinstance(value, dict) and len(value) < argument
    if keyword == "minItems":
        return isinstance(value, list) and len(value) < argument
    if keyword == "maxItems":
        return isinstance(value, list) and len(value) > argument
    if keyword == "format":
        if argument != "uuid":
            raise KeyError("format " + argument)
        return isinstance(value, str) and not UUID.fullmatch(value)
    if keyword == "uniqueItems":
        return isinstance(value, list) and any(value.count(item) > 1 for item in value)
    raise KeyError(keyword)


def resolved(part, document):
    """The same without references into the document."""
    if isinstance(part, list):
        return [resolved(one, document) for one in part]
    if not isinstance(part, dict):
        return part
    if set(part) == {"$ref"}:
        found = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        return resolved(found, document)
    return {name: resolved(member, document) for name, member in part.items()}


def faults_of(value, schema):
    """What is wrong with the value; an empty list where nothing is."""
    faults = []
    for keyword, argument in schema.items():
        if keyword in ("description", "default", "x-fd", "required", "additionalProperties"):
            continue
        if keyword == "oneOf":
            if [faults_of(value, one) for one in argument].count([]) != 1:
                faults.append("%r is not one of %r" % (value, argument))
        elif keyword == "properties":
            if isinstance(value, dict):
                faults += _faults_of_object(value, schema)
        elif keyword == "items":
            if isinstance(value, list):
                for i, item in enumerate(value):
                    faults += ["[%d]: %s" % (i, f) for f in faults_of(item, argument)]
        elif _fault_of_keyword(value, keyword, argument):
            faults.append("%r breaks %s %r" % (value, keyword, argument))
    return faults
