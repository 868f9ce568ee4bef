# Each target sets up what it needs (bin/setup); on a machine without make, call bin/demo
# and bin/test yourself.

.PHONY: help setup demo test test-all bench lint format clean

help:
	@echo "make setup     Debian packages and .venv"
	@echo "make demo      watch a load balancer live through its jobs"
	@echo "make test      unit and integration tests"
	@echo "make test-all  the slow ones too"
	@echo "make bench     measure Libra against other ways (some 12 minutes)"
	@echo "make lint      ruff, formatting, mypy --strict"
	@echo "make format    let ruff put things right"
	@echo "make clean     remove all that the above have made, .venv included"

setup:
	bin/setup dev

demo:
	bin/demo

test:
	bin/test

test-all:
	bin/test --all

bench:
	bin/setup bench
	.venv/bin/python -m tests.bench

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy --strict

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

clean:
	rm -rf .venv .venv-octavia .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
