"""The command line, called in this process."""

from __future__ import annotations

from click.testing import CliRunner

from mobilenet.cli.main import main


def run(*arguments, status=0):
    """(stdout, stderr) of the command, which must end with `status`."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, (result.exit_code, result.stdout, result.stderr)
    return result.stdout, result.stderr
