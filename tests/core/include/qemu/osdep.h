/*
 * What msix-core.c needs of QEMU's header of this name
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_CORE_QEMU_OSDEP_H
#define TESTS_CORE_QEMU_OSDEP_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <glib.h>

#define ARRAY_SIZE(x) (sizeof(x) / sizeof((x)[0]))

#endif /* TESTS_CORE_QEMU_OSDEP_H */
