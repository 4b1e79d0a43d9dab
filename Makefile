# Two commands do everything on a fresh machine: `make demo` (real photos, no torch) and `make test`.
PYTHON ?= python3
DEVICE := .venv-device
TESTS := .venv
PIP_FLAGS := --quiet --disable-pip-version-check

.PHONY: demo test check sanitize figures clean

demo: $(DEVICE)/ready
	$(DEVICE)/bin/mobilenet predict photos --save out/labels
	@echo; echo "Where things are:"
	-@$(DEVICE)/bin/mobilenet predict photos --model coco --save out/boxes || echo "no detection: its weights cannot be had here"
	@echo; echo "Pixel by pixel:"
	-@$(DEVICE)/bin/mobilenet predict photos --model voc --save out/masks \
	  || $(DEVICE)/bin/mobilenet predict photos --model voc-small --save out/masks \
	  || echo "no segmentation: its weights cannot be had here"

test: $(TESTS)/ready check
	$(TESTS)/bin/python -m pytest

check: $(TESTS)/ready
	$(TESTS)/bin/ruff check .
	$(TESTS)/bin/ruff format --check .
	$(TESTS)/bin/mypy

# The native core under the address, undefined-behaviour and thread sanitizers.
sanitize: $(TESTS)/ready
	$(TESTS)/bin/python -m pip install $(PIP_FLAGS) nanobind ninja
	$(TESTS)/bin/python native/sanitize.py

# The measurements behind the README's tables, and the tables.
figures: $(TESTS)/ready
	$(TESTS)/bin/python tools/measure_install.py
	$(TESTS)/bin/python tools/measure_start.py
	$(TESTS)/bin/python tools/tables.py

$(DEVICE)/ready: pyproject.toml CMakeLists.txt $(shell find src native -name '*.py' -o -name '*.tsv' -o -name '*.cc' -o -name '*.h')
	$(PYTHON) -m venv $(DEVICE)
	$(DEVICE)/bin/python -m pip install $(PIP_FLAGS) .
	touch $@

$(TESTS)/ready: pyproject.toml CMakeLists.txt $(wildcard native/*.cc native/*.h)
	$(PYTHON) -m venv $(TESTS)
	$(TESTS)/bin/python -m pip install $(PIP_FLAGS) --editable '.[test,check]'
	touch $@

clean:
	rm -rf $(DEVICE) $(TESTS) build dist out
