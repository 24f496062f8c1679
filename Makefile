# The front door. CMake and Ninja do the work (CMakePresets.json); this only names the usual ways in.
.DEFAULT_GOAL := help
.PHONY: help demo test soak build debug asan tsan clang coverage bench install format lint check checks conformance counts \
        aarch64 abi clean python python-asan python-debug wheel scripts stubs typing
PREFIX ?= /usr/local

help: ## what can be asked for
	@echo "Wengert: PyTorch's autograd as a small C library."; echo
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: ## install what is missing, build, run the tutorial, train a network on Fashion-MNIST; the tutorial in Python
	@tools/setup demo
	@$(MAKE) --no-print-directory build
	@tools/demo build/release

test: ## install what is missing, build, run every test
	@tools/setup test
	@tools/build release -DWENGERT_TESTS=ON
	@tools/run_tests build/release test
	@tools/run_python build/release python
	@tests/install/run build/release
	@tools/checks
	@echo "Wengert works on this machine: every test passed."

build: ## the library and the examples, in build/release
	@tools/build release -DWENGERT_TESTS=OFF

soak: ## the long runs: 200,000 random programs, products and functions at length (half an hour); counts go to docs
	@tools/setup test
	@tools/build release -DWENGERT_TESTS=ON
	@WG_SOAK=200000 WG_TEST_SECONDS=7200 tools/run_tests build/release soak fuzz_ core_test_math ops_test_matmul
	@tools/make_coverage soak

debug: ## every test, with assertions and without optimisation
	@tools/setup test
	@tools/build debug
	@tools/run_tests build/debug debug
	@tools/run_python build/debug debug-python

asan: ## every test under the address and undefined-behaviour sanitizers
	@tools/setup test
	@tools/build asan
	@tools/run_tests build/asan asan

tsan: ## tests with threads under the thread sanitizer
	@tools/setup test
	@tools/build tsan
	@tools/run_tests build/tsan tsan threads

clang: ## every test, built by clang with warnings as errors
	@tools/setup ci
	@tools/build clang -DWENGERT_TESTS=ON
	@tools/run_tests build/clang clang

coverage: ## lines that the tests reach, in build/coverage/report.txt; renews docs/COVERAGE.md
	@tools/setup test
	@tools/build coverage
	@tools/run_tests build/coverage coverage
	@tools/coverage build/coverage
	@tools/make_coverage

bench: ## measure, and write BENCHMARKS.md
	@tools/setup bench
	@bench/run

python: ## the Python extension, in build/release/python, and its tests
	@tools/setup python
	@tools/build release
	@tools/run_python build/release python

python-asan: ## the Python tests under the address, leak and undefined-behaviour sanitizers
	@tools/setup test
	@tools/build asan
	@tools/python_asan build/asan

python-debug: ## the Python tests in CPython's debug build, where that can be installed
	@tools/python_debug

wheel: ## build the wheel, look into it, and run the Python tests from it in clean environments
	@tools/setup python
	@tools/wheel

stubs: ## renew the type stubs of the Python module
	@tools/setup python
	@tools/build release
	@tools/make_stubs

typing: ## mypy --strict on a sample that uses the stubs
	@tools/typing

scripts: ## run PyTorch's public scripts found in DIR (make scripts DIR=...); renews docs/SCRIPTS.md
	@tools/setup python
	@tools/build release
	@tools/scripts $(DIR)

install: build ## into PREFIX (default /usr/local)
	@cmake --install build/release --prefix $(PREFIX) >/dev/null && echo "Wengert is installed in $(PREFIX)."

checks: ## records, includes, documents, recorded data, ABI
	@tools/checks

aarch64: ## build for aarch64 and run under qemu
	@tools/setup aarch64
	@tools/aarch64

abi: ## renew the ABI dump (at a release)
	@tools/setup ci
	@tools/build release -DWENGERT_TESTS=OFF
	@tools/abi renew

conformance: ## record PyTorch's answers anew (installs PyTorch in a venv outside the tree), and compare
	@tools/conformance

counts: ## accept the present number of tests as the least that must run
	@tools/run_tests --accept

format: ## clang-format
	@tools/setup lint
	@tools/format

lint: ## clang-tidy
	@tools/setup lint
	@tools/build clang -DWENGERT_TESTS=OFF
	@git ls-files 'src/*.c' | xargs clang-tidy --quiet -p build/clang

clean: ## forget everything built
	@rm -rf build out
