# SPDX-License-Identifier: GPL-2.0-or-later
#
# Thin: configure knows how to set up, meson and ninja know how to build.

BUILD ?= build
# Parallel is what these call; of two targets the second may need the first.
.NOTPARALLEL:
NINJA = ninja $(if $(filter-out 0,$(V)),-v) -C '$(BUILD)'

all: build

# configure with the options given last; a new base or a new configure needs it.
$(BUILD)/config.status: configure patches/7.2/BASE
	@if [ -x '$@' ]; then '$(abspath $@)'; \
	else ./configure --build-dir='$(BUILD)'; fi

configured: $(BUILD)/config.status

build: configured
	@$(NINJA) --quiet

demo: build
	@tests/lab/demo --build-dir='$(BUILD)'

bench: build
	@tests/bench/bench --build-dir='$(BUILD)' $(BENCH)

check: build
	@scripts/check --build-dir='$(BUILD)'

# The series is looked at in the patched tree; QEMU need not be built for that.
check-patches: configured
	@scripts/qemu-tree --keep --build-dir='$(BUILD)'
	@scripts/check --build-dir='$(BUILD)' patches

# The core is three files of C, so that QEMU need not be built.  MUTATE=1 also
# sees that the explorer finds what is broken in them on purpose.
check-core: configured
	@$(NINJA) --quiet tests/core/explorer
	@scripts/check --build-dir='$(BUILD)' core \
		$(if $(filter-out 0,$(MUTATE)),mutations)

check-sim check-qtest check-stock check-lab: check-%: build
	@scripts/check --build-dir='$(BUILD)' $*

# All that needs no root; each of these takes QEMU compiled once or twice more.
check-all: check check-parts check-upstream

# The parts of the series, each without the next.
check-parts: build
	@scripts/check-parts --build-dir='$(BUILD)' $(PARTS)

# Takes long and says nothing about what 'check' is for; nobody waits for it.
check-upstream: build
	@scripts/check-upstream --build-dir='$(BUILD)'

# Of the machine that it runs on; nothing is built for it or changed by it.
check-host:
	$(if $(BDF),,$(error which device? make check-host BDF=0000:01:00.0))
	@scripts/check-host '$(BDF)'

html:
	@scripts/build-docs --build-dir='$(BUILD)'

refresh: configured
	@scripts/qemu-tree --build-dir='$(BUILD)' refresh

# A package beside Debian's QEMU.  Building it takes long, and is no part of
# 'check'; what can be checked without is.
deb: configured
	@scripts/packages deb
	@scripts/build-deb --build-dir='$(BUILD)'

check-deb: configured
	@scripts/packages deb
	@scripts/qemu-tree --keep --build-dir='$(BUILD)'
	@scripts/check --build-dir='$(BUILD)' deb

# For git am and for a distribution's debian/patches; QEMU need not be built.
patches: configured
	@scripts/qemu-tree --build-dir='$(BUILD)' export

clean:
	@if [ -f '$(BUILD)/qemu/build.ninja' ]; then \
		ninja -C '$(BUILD)/qemu' --quiet -t clean; fi
	rm -rf '$(BUILD)/meson-logs' '$(BUILD)/demo' '$(BUILD)/lab' '$(BUILD)/patches' \
		'$(BUILD)/parts' '$(BUILD)/deb' '$(BUILD)/deb-build' '$(BUILD)/bench'

distclean:
	rm -rf '$(BUILD)'

help:
	@echo 'make                configure and build the patched QEMU:'
	@echo '                    $(BUILD)/qemu/qemu-system-x86_64'
	@echo 'make demo           compare stock and patched QEMU on an emulated host'
	@echo 'make bench          measure stock, patched and later QEMU, and the least'
	@echo '                    that the same work takes: $(BUILD)/bench/index.html'
	@echo 'make check          build and run the tests'
	@echo 'make check-patches  only the series, the scripts and the pages'
	@echo 'make check-core     only the exploration of the core of hw/vfio, MUTATE=1'
	@echo '                    also with mutations of it, all of which must be found'
	@echo 'make check-sim      only the simulated host itself'
	@echo 'make check-qtest    only the qtests: device model, simulated host'
	@echo 'make check-stock    only that stock QEMU fails where it must'
	@echo 'make check-lab      only the emulated host'
	@echo 'make check-parts    each part of the series builds and passes its tests'
	@echo '                    without the next; compiles QEMU twice'
	@echo 'make check-upstream QEMU'"'"'s own tests with and without the patches;'
	@echo '                    compiles QEMU once'
	@echo 'make check-all      check, check-parts and check-upstream, about an hour'
	@echo 'make check-host BDF=0000:01:00.0'
	@echo '                    does this machine suit that PCI device?'
	@echo 'make html           the pages of docs/: $(BUILD)/html/index.html'
	@echo 'make refresh        write the commits in $(BUILD)/qemu-src back to patches/'
	@echo 'make patches        the series with the new files, for git am and quilt'
	@echo 'make deb            Debian packages, installed beside Debian'"'"'s QEMU'
	@echo 'make check-deb      install, run and remove them (in a copy; root)'
	@echo 'make clean          remove what was compiled and measured'
	@echo 'make distclean      remove the build folder'
	@echo
	@echo 'V=1 shows commands, JOBS=N limits compilers, BUILD=DIR is the build'
	@echo 'folder, BENCH=--quick measures less, PARTS=fixes checks one part alone.'
	@echo './configure --help lists the options for the build.'

.PHONY: all configured build demo bench check check-patches check-core check-sim
.PHONY: check-qtest check-stock check-lab check-all check-parts check-upstream
.PHONY: check-host
.PHONY: html refresh patches deb check-deb clean distclean help
