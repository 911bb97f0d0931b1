"""Hints for unknown commands: each is a command that there is, with options and arguments that it takes."""

from __future__ import annotations

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from ragyena.cli.index import app
from ragyena.cli.other_names import OF_INDEX


@pytest.mark.parametrize("hint", sorted(set(OF_INDEX.values())))
def test_a_hint_is_a_command_as_it_is_called(hint: str) -> None:
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    name, *words = hint.split()
    parameters = group.commands[name].params
    options = {option for parameter in parameters for option in parameter.opts}
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    for word in words:
        if word.startswith("--"):
            assert word in options
        else:
            (argument,) = arguments
            assert argument.nargs == -1 or not word.endswith("...")
