# Needs: make and Python 3.11 or newer. Everything else is installed by `make install`, Debian
# packages only when root.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PLUGINS := $(wildcard plugins/*)
# The first interpreter that is new enough: a version manager may put an older one in front.
PYTHON ?= $(shell for it in python3 /usr/bin/python3 python3.14 python3.13 python3.12 python3.11; do \
	$$it -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$it && break; done)
WORKERS ?= 4
# Groups begin in the order that tests/conftest.py gives them, not by their number of tests.
SPREAD = -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
ONCE ?=

# What the agent itself calls, then what tests and demo boot their kernel with, their browser,
# and the shells whose completion they try.
BROWSER := chromium fonts-dejavu-core
SHELLS := zsh fish
DEBIAN_PACKAGES := python3-venv mdadm e2fsprogs xfsprogs btrfs-progs udev util-linux kmod mount \
	user-mode-linux iproute2 dmsetup lvm2 fdisk procps gcc libc6-dev \
	systemd $(BROWSER) $(SHELLS)

# The Debian releases that guests can be made of, and what they need there: neither compiler,
# browser nor shells.
DEBIAN := $(shell . /etc/os-release 2>/dev/null && echo $$VERSION_CODENAME)
SUITES ?= bookworm trixie forky
SUITE_PACKAGES = $(filter-out gcc python3-venv $(BROWSER) $(SHELLS),$(DEBIAN_PACKAGES)) python3 python3-pip zfs-fuse
SHORT_FILES := $(foreach it,life members faulty_drives refusals,tests/kernel/http/test_$(it).py)
SHORT := mdadm and (raid1-2-ext4 or raid5-3 or failed_and_replaced or test_refusals or \
	fails_while_it_is_made[mdadm-error])

.PHONY: install suites demo test test-suites test-suites-short mmdebstrap test-portability test-all test-contracts test-openzfs test-openzfs-portability openzfs test-deb deb simulate check lint types docs docs-write bench bench-udisks2 compile clean debian-packages zfs-fuse-libraries

install: debian-packages $(STAMP) compile zfs-fuse-libraries

debian-packages:
	@missing=""; for package in $(DEBIAN_PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q '^install ok installed' \
			|| missing="$$missing $$package"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Debian packages:$$missing"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "These Debian packages are missing and only root can install them:$$missing"; \
		echo "  apt-get install --no-install-recommends$$missing"; \
	fi

$(STAMP): pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling editables
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
		--editable '.[dev]' $(foreach it,$(PLUGINS),--editable ./$(it))
	$(BIN)/python -m compileall -q $(VENV)/lib || true
	@touch $@

# Unpacked, not installed: its package would drive out the ZFS of a machine that has one.
$(VENV)/zfs-fuse: | debian-packages $(STAMP)
	@mkdir -p $@.new && cd $@.new && apt-get download -qq zfs-fuse 2>/dev/null \
		&& dpkg -x zfs-fuse_*.deb . && dpkg-deb -f zfs-fuse_*.deb Depends >depends \
		&& rm zfs-fuse_*.deb && cd .. && mv zfs-fuse.new zfs-fuse \
		|| { rm -rf "$(CURDIR)/$@.new"; echo "zfs-fuse could not be had: its tests are skipped"; }

# By the names that its package gives them, which differ between releases of Debian.
zfs-fuse-libraries: $(VENV)/zfs-fuse
	@test ! -e $</depends || $(MAKE) --no-print-directory debian-packages \
		DEBIAN_PACKAGES="$$(grep -o '\<lib[^ ,|]*' $</depends | tr '\n' ' ')"

# Guests see these files read-only and would compile them anew at every start, for seconds.
compile: $(STAMP)
	@$(BIN)/python -m compileall -q backy_core $(PLUGINS) tests

demo: install
	$(BIN)/python -m tests.kernel.demo $(if $(ONCE),--once)

# The other Debian releases first, so that the summary of this machine's own tests ends the output.
test: install
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) --no-print-directory test-suites-short; \
	else echo "The tests on other Debian releases are left out: only root can install these."; fi
	$(BIN)/python -m pytest $(SPREAD)

# Made once; their Python packages anew when the project's requirements change.
suites: $(foreach suite,$(SUITES),$(VENV)/suites/$(suite)/.complete)

$(VENV)/suites/%/.complete: pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml) \
		tests/kernel/lab/suites.py | $(STAMP) mmdebstrap
	$(BIN)/python -m tests.kernel.lab.suites $* $(SUITE_PACKAGES)

mmdebstrap:
	@$(MAKE) --no-print-directory debian-packages DEBIAN_PACKAGES=mmdebstrap

# The kernel tests over HTTP on each Debian release instead of on this machine's system: an hour each.
test-suites: install suites
	@for suite in $(SUITES); do \
		BACKY_TEST_SUITE=$$suite BACKY_REQUIRE_KERNEL=1 $(BIN)/python -m pytest \
			$(SPREAD) tests/kernel/http || exit; done

# What differs most between releases, for one backend, on those that this machine is not.
test-suites-short: install
	@$(MAKE) --no-print-directory -j 2 suites SUITES="$(filter-out $(DEBIAN),$(SUITES))"
	@for suite in $(filter-out $(DEBIAN),$(SUITES)); do \
		BACKY_TEST_SUITE=$$suite BACKY_REQUIRE_KERNEL=1 $(BIN)/python -m pytest \
			$(SPREAD) -k '$(SHORT)' $(SHORT_FILES) || exit; done

# Pools made on each release and opened on each; its table is kept in docs/portability.md.
test-portability: install suites
	$(BIN)/python -m tests.kernel.portability --write

# What `test` runs for one backend where its subject is the core, for each of them, and a crash at
# every moment: an hour.
test-all: install
	BACKY_TEST_THOROUGH=1 $(BIN)/python -m pytest tests/http/test_hostile_clients.py \
		tests/http/test_schema.py
	BACKY_TEST_THOROUGH=1 $(BIN)/python -m pytest $(SPREAD) tests/kernel/http

# The conformance kit's rings on a real kernel, with a crash at every moment of every operation:
# many minutes a backend (BACKY_CONTRACT_QUICK=1: at fewer moments).
BACKY_CONTRACT_QUICK ?= 0
test-contracts: install
	BACKY_CONTRACT_QUICK=$(BACKY_CONTRACT_QUICK) $(BIN)/python -m pytest -n 2 --dist loadfile \
		tests/kernel/contract_*.py

# OpenZFS on Debian's kernel; not part of `test`: an emulated CPU takes its time. Each version is
# that of a Debian release, and its machine runs that release, whatever this one is.
SUITE_2.1 := bookworm
SUITE_2.3 := trixie
SUITE_2.4 := forky
OPENZFS ?= 2.1
SUITE := $(SUITE_$(OPENZFS))
test-openzfs: install
	@test -n "$(SUITE)" || { echo "Debian has OpenZFS 2.1, 2.3 and 2.4, not $(OPENZFS)"; exit 1; }
	@$(MAKE) --no-print-directory openzfs SUITES=$(SUITE)
	BACKY_TEST_OPENZFS=1 BACKY_TEST_SUITE=$(SUITE) BACKY_REQUIRE_KERNEL=1 $(BIN)/python -m pytest \
		-v --durations=0 $(foreach it,life members zfs_portable,tests/kernel/http/test_$(it).py)

# Zpools made on each of these and opened on each; the second table of docs/portability.md.
test-openzfs-portability: openzfs
	$(BIN)/python -m tests.kernel.portability --openzfs --write --suites $(SUITES)

openzfs: suites $(foreach suite,$(SUITES),$(VENV)/openzfs/$(suite)/ready)

$(VENV)/openzfs/%/ready: | $(STAMP)
	@$(MAKE) --no-print-directory debian-packages \
		DEBIAN_PACKAGES="mmdebstrap qemu-system-x86 busybox-static cpio binutils xz-utils zstd"
	tests/kernel/qemu/build.sh $(@D) $*

# For this release of Debian, into dist/. Needs no more of Python than Debian has.
deb:
	@$(MAKE) --no-print-directory debian-packages \
		DEBIAN_PACKAGES="debhelper dh-python python3 python3-venv"
	packaging/build.sh

# The package in a fresh Debian with systemd, five minutes each: make test-deb SUITES=trixie
test-deb: install
	@$(MAKE) --no-print-directory debian-packages DEBIAN_PACKAGES=mmdebstrap
	@for suite in $(SUITES); do at=$(VENV)/debian-$$suite; \
		{ test -e $$at/ready || tests/kernel/debian/suite.sh $$at $$suite; } && \
		tests/kernel/debian/package.sh $$at && \
		BACKY_TEST_DEBIAN=$$at BACKY_REQUIRE_KERNEL=1 $(BIN)/python -m pytest -v \
			tests/kernel/debian/installed.py || exit; done

# The agent on a simulated machine, with faults by seed: SEEDS=2000 of them, or one again by SEED=17.
SEEDS ?= 1000
FIRST ?= 0
simulate: install
	$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--first $(FIRST) --seeds $(SEEDS))

check: install lint types docs

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

docs:
	$(BIN)/python -m pytest -q tests/test_architecture.py tests/test_packaging.py tests/test_docs.py \
		tests/test_language.py tests/test_figures.py

docs-write: install
	$(BIN)/python -m backy_core.cli.reference > docs/configuration.md

bench: install
	$(BIN)/python -m tests.bench

bench-udisks2: install
	@$(MAKE) --no-print-directory debian-packages \
		DEBIAN_PACKAGES="udisks2 dbus python3-dbus \
			$$(apt-cache search --names-only '^libblockdev-mdraid[0-9]+$$' | cut -d ' ' -f 1)"
	$(BIN)/python -m tests.bench --udisks2

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find backy_core plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +
