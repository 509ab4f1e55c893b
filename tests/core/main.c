/*
 * Explore the core on each kind of host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdio.h>
#include <stdlib.h>
#include "explore.h"

static const Config hosts[] = {
    { .name = "dynamic", .replays = true },
    { .name = "dynamic-kvm", .kvm = true, .replays = true },
    { .name = "noresize", .noresize = true, .replays = true },
    { .name = "noresize-kvm", .noresize = true, .kvm = true, .replays = true },
    { .name = "noresize-off", .noresize = true, .kvm = true },
};

int main(int argc, char **argv)
{
    Config c = hosts[atoi(argv[1])];
    c.vectors = atoi(argv[2]); c.depth = atoi(argv[3]);
    if (argc > 4) return !tell_replay(&c, argv[4]);
    return !explore(&c);
}
