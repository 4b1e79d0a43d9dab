# Two commands do everything on a fresh machine: `make demo` (real photos, no torch) and `make test`.
PYTHON ?= python3
DEVICE := .venv-device
TESTS := .venv
BUILD := .venv-build
WHEELS := .venv-wheels
PIP_FLAGS := --quiet --disable-pip-version-check
LOCK_FLAGS := --quiet --universal --python-version 3.10 --generate-hashes --no-header --no-annotate --constraint requirements/constraints.in
FUZZER = $(TESTS)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/fuzz.txt
CHECK = $(TESTS)/bin/ruff check . && $(TESTS)/bin/ruff format --check . && $(TESTS)/bin/mypy
# The core of the tests' environment: its native tests are built from the same objects, so that it is compiled once.
CORE = $(foreach setting,build-dir=build/tests cmake.define.MOBILENET_PYTHON=ON cmake.define.MOBILENET_NATIVE_TESTS=ON,--config-settings=$(setting))
EPOCH = $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
BUILD_WHEEL = SOURCE_DATE_EPOCH=$(EPOCH) $(CURDIR)/$(BUILD)/bin/python -m pip wheel $(PIP_FLAGS) --no-build-isolation --no-deps

# Brings an environment's packages. uv takes a fifth of pip's processor time and compiles nothing to bytecode that nobody imports.
# It knows nothing of pip's configuration: where it cannot reach the packages, pip brings them.
define packages
{ $(1)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/uv.txt \
  && $(1)/bin/uv pip install --quiet --python $(1)/bin/python --require-hashes -r $(2); } \
|| $(1)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r $(2)
endef

.PHONY: demo test suite checked begun suite-torch suite-rest guarded prepared check native arm c board web sanitize fuzz figures docs wheel wheels sdist reproducible sbom lock clean

demo: $(DEVICE)/ready
	$(DEVICE)/bin/mobilenet predict photos --save out/labels
	@echo; echo "Where things are:"
	-@$(DEVICE)/bin/mobilenet predict photos --model coco --save out/boxes || echo "no detection: its weights cannot be had here"
	@echo; echo "Pixel by pixel:"
	-@$(DEVICE)/bin/mobilenet predict photos --model voc --save out/masks \
	  || $(DEVICE)/bin/mobilenet predict photos --model voc-small --save out/masks \
	  || echo "no segmentation: its weights cannot be had here"

# With `make -j3 test` two parts of the suite run at a time, each on one thread: `suite-torch`, whose folders train networks or compare
# with libraries that do, and all others. Each leaves its status where fuzzing looks for it (`guarded`). The third job has the lowest
# priority: it takes what the two leave, and both cores when they are done.
TORCH = $(addprefix tests/,training convert exports nn paper quantizing parity tasks)
SUITE = MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TESTS)/bin/python -m pytest
NOTED = status=$$?; echo $$status > build/$@; exit $$status

test: suite guarded
	@cat build/guarded.log

suite: checked suite-rest suite-torch

checked: $(TESTS)/ready
	@$(CHECK)

begun:
	@mkdir -p build && rm -f build/suite-*

suite-torch: $(TESTS)/ready begun
	@$(SUITE) $(TORCH); $(NOTED)

suite-rest: $(TESTS)/ready begun
	@$(SUITE) tests $(addprefix --ignore=,$(TORCH)); $(NOTED)

# The native core under sanitizers, all that fuzzing has kept, and new inputs with a fresh seed: each harness for 2 seconds, or
# until FUZZ_UNTIL (seconds since 1970) for its share of the time, up to a minute. With `make -j3 test` it is built and runs beside the
# suite, below its priority.
guarded: prepared $(TESTS)/ready
	@nice -n 19 sh -c '$(PYTHON) native/tests/sanitize.py quick && $(TESTS)/bin/python fuzz/run.py --portable --seconds 2 --jobs 2 \
	  --after build/suite-rest build/suite-torch $(if $(FUZZ_UNTIL),--until $(FUZZ_UNTIL))' > build/guarded.log 2>&1 || { cat build/guarded.log; exit 1; }

prepared: $(TESTS)/core begun
	@nice -n 19 $(PYTHON) native/tests/sanitize.py prepare > build/prepared.log 2>&1 || { cat build/prepared.log; exit 1; }

check: $(TESTS)/ready
	$(CHECK)

# The native core with every compiler that is installed, and its own tests; skips name what is missing.
native: $(TESTS)/ready
	$(TESTS)/bin/python -m pytest -rs tests/engine/test_core.py

# The core for AArch64, compiled here, and its tests in an emulator of several processors; then the package under an AArch64 Python, if
# `make wheels PLATFORMS=linux-aarch64` has built one. Skips name what is missing.
arm: $(TESTS)/ready
	$(PYTHON) native/tests/arm.py
	$(TESTS)/bin/python tools/try_wheels.py aarch64

# The C library with each compiler, installed and used from outside; and on a small board, in an emulator.
c: $(TESTS)/ready
	$(TESTS)/bin/python native/tests/c_library.py

board: $(TESTS)/ready
	$(TESTS)/bin/python native/tests/c_library.py board

# The core for WebAssembly, into the npm package; it names the compilers that serve, if none is installed.
web:
	$(PYTHON) tools/build_web.py

# The native core under the address, undefined-behavior and thread sanitizers.
sanitize: $(TESTS)/ready
	$(TESTS)/bin/python native/tests/sanitize.py

# Every fuzzing harness for SECONDS, JOBS of them at a time, with a fresh seed that is printed; docs/fuzzing.md.
SECONDS ?= 60
JOBS ?= 1
fuzz: $(TESTS)/ready
	$(FUZZER) || echo "no Atheris here: the targets in Python run without coverage"
	$(TESTS)/bin/python fuzz/run.py --seconds $(SECONDS) --jobs $(JOBS)

# The measurements behind the README's tables, and the tables.
figures: $(TESTS)/ready
	$(TESTS)/bin/python tools/measure_install.py
	$(TESTS)/bin/python tools/measure_start.py
	$(TESTS)/bin/python tools/tables.py

# The pages and the API reference as a site: build/docs/index.html. Every warning is an error.
docs: $(TESTS)/ready
	$(TESTS)/bin/python -m sphinx -c docs/site -W --keep-going -q . build/docs
	@echo build/docs/index.html

# A wheel, built with locked tools. The same commit gives the same bytes, wherever and whenever it is built.
wheel: $(BUILD)/ready
	rm -f dist/*.whl
	$(BUILD_WHEEL) --wheel-dir dist .
	sha256sum dist/*.whl

# Wheels for other systems and processors by zig, checked, and those that can be run here are run; docs/wheels.md.
# PLATFORMS names some of them, and versions of Python, for example "linux-aarch64 3.11". With TRY= nothing is run.
TRY = $(TESTS)/bin/python tools/try_wheels.py
wheels: $(WHEELS)/ready $(if $(TRY),$(TESTS)/ready)
	SOURCE_DATE_EPOCH=$(EPOCH) $(WHEELS)/bin/python tools/build_wheels.py $(PLATFORMS)
	$(TRY)

sdist: $(BUILD)/ready
	$(BUILD)/bin/python -m build --sdist --no-isolation --outdir dist .

# Two builds, from two folders with names of different lengths, compared byte by byte.
reproducible: $(BUILD)/ready
	rm -rf dist/first dist/second
	git archive --prefix=dist/first/source/ HEAD | tar x
	git archive --prefix=dist/second/source-in-another-folder/ HEAD | tar x
	cd dist/first/source && $(BUILD_WHEEL) --wheel-dir .. .
	cd dist/second/source-in-another-folder && $(BUILD_WHEEL) --wheel-dir .. .
	cmp dist/first/*.whl dist/second/*.whl && echo "the two wheels are equal" && sha256sum dist/first/*.whl

# What the installed package consists of, as CycloneDX JSON.
sbom: wheel
	$(BUILD)/bin/python tools/sbom.py dist

# The locks in requirements/, made anew from pyproject.toml and requirements/*.in.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install $(PIP_FLAGS) uv
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) requirements/build.in -o requirements/build.txt
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) requirements/wheels.in -o requirements/wheels.txt
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) requirements/uv.in -o requirements/uv.txt
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) requirements/fuzz.in -o requirements/fuzz.txt
	.venv-lock/bin/uv pip compile $(LOCK_FLAGS) pyproject.toml requirements/build.in --extra test --extra check --extra docs -o requirements/test.txt

$(BUILD)/ready: requirements/build.txt
	$(PYTHON) -m venv $(BUILD)
	$(BUILD)/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/build.txt
	touch $@

$(WHEELS)/ready: requirements/wheels.txt requirements/uv.txt
	$(PYTHON) -m venv $(WHEELS)
	$(call packages,$(WHEELS),requirements/wheels.txt)
	touch $@

$(DEVICE)/ready: pyproject.toml CMakeLists.txt $(shell find src native -name '*.py' -o -name '*.tsv' -o -name '*.cc' -o -name '*.h')
	$(PYTHON) -m venv $(DEVICE)
	$(DEVICE)/bin/python -m pip install $(PIP_FLAGS) .
	touch $@

# The core and the packages are independent: with `make -j3` the core is built while the packages are brought. Without a compiler there
# is no core, and there are no native tests. ninja counts the cores itself: it fails where it is handed the files of a make that it does not own.
$(TESTS)/ready: $(TESTS)/core $(TESTS)/packages
	touch $@

$(TESTS)/core: $(TESTS)/build CMakeLists.txt $(shell find native -name '*.cc' -o -name '*.h')
	MAKEFLAGS= $(TESTS)/bin/python -m pip install $(PIP_FLAGS) --no-build-isolation --no-deps $(CORE) --editable .
	-test ! -f build/tests/CMakeCache.txt || MAKEFLAGS= $(TESTS)/bin/cmake --build build/tests --target native_tests > build/native.log
	touch $@

$(TESTS)/packages: $(TESTS)/build requirements/test.txt
	$(call packages,$(TESTS),requirements/test.txt)
	touch $@

$(TESTS)/build: requirements/build.txt requirements/uv.txt
	$(PYTHON) -m venv $(TESTS)
	$(call packages,$(TESTS),requirements/build.txt)
	touch $@

clean:
	rm -rf $(DEVICE) $(TESTS) $(BUILD) $(WHEELS) build dist out
