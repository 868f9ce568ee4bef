# Each target sets up what it needs (bin/setup); on a machine without make, call bin/demo
# and bin/test yourself.

.PHONY: help setup demo test test-all bench lint format install clean

help:
	@echo "make setup     Debian packages and .venv"
	@echo "make demo      watch a load balancer live through its jobs"
	@echo "make test      unit and integration tests"
	@echo "make test-all  the slow ones too"
	@echo "make bench     measure Libra against other ways (some 12 minutes)"
	@echo "make lint      ruff, formatting, mypy --strict"
	@echo "make format    let ruff put things right"
	@echo "make install [DESTDIR=TREE] [EXTRAS=amphora,pool,octavia]   into the system, or a tree"
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

# Where Debian's policy has things. Libra and its Python packages have an environment of their
# own below /usr/lib/libra; settings that are there already stay as they are. EXTRAS names what
# is more than a node of libra_worker: amphora, pool, octavia.
PYTHON ?= /usr/bin/python3
EXTRAS ?=
ours := $(DESTDIR)/usr/lib/libra
sbin := libra_amphora libra_gate libra_keeper libra_octavia libra_pool_mgm libra_worker
conf = [ -e $(DESTDIR)$(2) ] || install -D -m 644 $(1) $(DESTDIR)$(2)

install:
	rm -rf build
	$(PYTHON) -m venv --clear $(ours)
	$(ours)/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile '.$(if $(EXTRAS),[$(EXTRAS)])'
	$(ours)/bin/python -m pip uninstall --quiet --yes pip setuptools
	rm -f $(ours)/bin/[Aa]ctivate*
	sed -i '1s|^#!.*/python[0-9.]*|#!/usr/lib/libra/bin/python|' $$(grep -lI '^#!.*/python' $(ours)/bin/*)
	rm -rf build
	sed -i 's|$(ours)|/usr/lib/libra|' $(ours)/pyvenv.cfg
	$(ours)/bin/python -m compileall -q $(if $(DESTDIR),-s $(DESTDIR) -p /) $(ours)/lib
	install -d $(DESTDIR)/usr/bin $(DESTDIR)/usr/sbin
	ln -sf ../lib/libra/bin/libra $(DESTDIR)/usr/bin/libra
	for name in $(sbin); do ln -sf ../lib/libra/bin/$$name $(DESTDIR)/usr/sbin/$$name; done
	$(call conf,etc/libra.cfg,/etc/libra.cfg)
	$(call conf,etc/share/libra-amphora.cfg,/etc/libra-amphora.cfg)
	$(call conf,etc/default/libra,/etc/default/libra)
	install -D -m 644 -t $(DESTDIR)/usr/share/libra etc/share/lsb.sh
	install -D -m 755 -t $(DESTDIR)/etc/init.d etc/init.d/*
	install -D -m 644 -t $(DESTDIR)/etc/logrotate.d etc/logrotate.d/*
	install -D -m 644 -t $(DESTDIR)/usr/lib/systemd/system etc/systemd/*
	install -D -m 644 -t $(DESTDIR)/usr/lib/sysusers.d etc/sysusers.d/*
	install -D -m 644 -t $(DESTDIR)/usr/lib/tmpfiles.d etc/tmpfiles.d/*
	install -D -m 644 -t $(DESTDIR)/usr/lib/sysctl.d etc/sysctl.d/*
	install -D -m 644 -t $(DESTDIR)/usr/share/doc/libra README.md CHANGELOG.md docs/*.md docs/*.json
	install -D -m 644 -t $(DESTDIR)/usr/share/doc/libra/octavia-features docs/octavia-features/*

clean:
	rm -rf .venv .venv-octavia .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
