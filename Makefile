# Copyright (c) 2026 the lastack authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

.POSIX:
.DEFAULT_GOAL := help
.PHONY: help audit demo test lint sanity unit kernel integration browser fleet hosts agent gallery matrix molecule packages site bench bench-agent bench-fleet soak dev clean

help: ## what can be made here
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

audit: ## audit this machine: the first screen, and the path of an HTML report (PYTHON=python3.12 selects the interpreter)
	@scripts/audit $(AUDIT_ARGS)

demo: ## start leaking programs in a private namespace, look at them with lastack, remove everything
	@scripts/demo

dev: ## the virtual environment with everything that the tests need
	@scripts/setup-venv dev

test: dev ## every test that this machine can run
	@.venv/bin/python scripts/test_all.py $(TEST_ARGS)

lint: dev ## ruff, mypy, ansible-lint, yamllint, shellcheck, the changelog
	@.venv/bin/python scripts/test_all.py --only lint

sanity: dev ## ansible-test sanity, the documentation's lint and Galaxy's importer
	@.venv/bin/python scripts/test_all.py --only sanity

unit: dev ## the unit and property tests
	@.venv/bin/python scripts/test_all.py --only unit

kernel: dev ## real sockets in private network namespaces (root)
	@.venv/bin/python scripts/test_all.py --only kernel

integration: dev ## real ansible-playbook over real ssh (root)
	@.venv/bin/python scripts/test_all.py --only integration

gallery: dev ## leaking programs in real runtimes and libraries, and their fixed variants (root)
	@.venv/bin/python scripts/test_all.py --only gallery

browser: dev ## the HTML report in headless Chromium
	@.venv/bin/python scripts/test_all.py --only browser

fleet: dev ## a fleet of ssh hosts, healthy and sick ones, under lastack sweep (root)
	@.venv/bin/python scripts/test_all.py --only fleet

hosts: dev ## the factory of systemd hosts on Debian 11, 12 and 13 (root)
	@.venv/bin/python scripts/test_all.py --only hosts

agent: dev ## the agent before real programs, Prometheus and node_exporter (root)
	@.venv/bin/python scripts/test_all.py --only agent

matrix: dev ## oldest to newest ansible-core over every distribution (root)
	@.venv/bin/python scripts/test_all.py --only matrix

molecule: dev ## every scenario below molecule/ (root); one alone: .venv/bin/molecule test -s audit
	@.venv/bin/python scripts/test_all.py --only molecule

packages: dev ## build wheel, sdist and collection, look into each, install and use each
	@scripts/check-packages

site: dev ## the documentation site in build/site, every link checked
	@.venv/bin/python scripts/build_site.py

bench: dev ## 200,000 sockets in a private namespace, ratios against ss and others (root, minutes)
	@.venv/bin/python bench/run.py $(BENCH_ARGS)

bench-agent: dev ## what the agent costs beside node_exporter and process-exporter (root, minutes)
	@.venv/bin/python bench/agent.py $(BENCH_ARGS)

bench-fleet: dev ## 300 ssh hosts by sweep, playbook and ss; 10,000 and 100,000 reports; the page in Chromium (root, half an hour)
	@.venv/bin/python bench/fleet_sweep.py $(BENCH_ARGS)
	@.venv/bin/python bench/fleet_reports.py $(BENCH_ARGS)
	@.venv/bin/python bench/fleet_html.py $(BENCH_ARGS)

soak: dev ## what takes too long for every change, an hour (root); SOAK_ARGS=--save writes docs/soak.md
	@.venv/bin/python scripts/soak.py $(SOAK_ARGS)

clean: ## remove what was built; run folders stay
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .ansible tests/output *.egg-info *.tar.gz
	find agent bench plugins scripts tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
