# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.POSIX:
.DEFAULT_GOAL := help
.PHONY: help audit demo test lint unit kernel integration browser packages bench dev clean

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

audit: ## audit this machine: the first screen, and the path of an HTML report (PYTHON=python3.12 selects the interpreter)
	@scripts/audit $(AUDIT_ARGS)

demo: ## start leaking programs in a private namespace, look at them with lastack, remove everything
	@scripts/demo

dev: ## the virtual environment with everything that the tests need
	@scripts/setup-venv dev

test: dev ## every test that this machine can run
	@.venv/bin/python scripts/test_all.py $(TEST_ARGS)

lint: dev ## ruff, mypy, ansible-lint, yamllint, shellcheck, antsibull-changelog
	@.venv/bin/python scripts/test_all.py --only lint

unit: dev ## the unit and property tests
	@.venv/bin/python scripts/test_all.py --only unit

kernel: dev ## real sockets in private network namespaces (root)
	@.venv/bin/python scripts/test_all.py --only kernel

integration: dev ## real ansible-playbook over real ssh (root)
	@.venv/bin/python scripts/test_all.py --only integration

browser: dev ## the HTML report in headless Chromium
	@.venv/bin/python scripts/test_all.py --only browser

packages: dev ## build the wheel and the collection, install each into an empty place and use it
	@scripts/check-packages

bench: dev ## 200,000 sockets in a private namespace, ratios against ss and others (root, minutes)
	@.venv/bin/python bench/run.py $(BENCH_ARGS)

clean: ## remove what was built; run folders stay
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .ansible tests/output *.egg-info *.tar.gz
	find agent bench plugins scripts tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
