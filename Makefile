.PHONY: check test sanitize

check:
	ruff check . && ruff format --check . && mypy

test:
	python -m pytest

# The native core under the address, undefined-behaviour and thread sanitizers.
sanitize:
	python native/sanitize.py
