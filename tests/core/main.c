/*
 * Explore msix-core.c on each kind of host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "explore.h"

static const Config configs[] = {
    { "dynamic, 2 vectors", 2, 12, 3, .replays = true },
    { "dynamic, KVM, 2 vectors", 2, 12, 3, .kvm = true, .replays = true },
    { "NORESIZE, 2 vectors", 2, 12, 3, .noresize = true, .replays = true },
    { "NORESIZE, KVM, 2 vectors", 2, 12, 3, .noresize = true, .kvm = true,
      .replays = true },
    { "NORESIZE, no replays, 2 vectors", 2, 12, 3, .noresize = true },
    { "dynamic, 3 vectors", 3, 8, 3, .replays = true },
    { "dynamic, KVM, 3 vectors", 3, 8, 3, .kvm = true, .replays = true },
    { "NORESIZE, 3 vectors", 3, 8, 3, .noresize = true, .replays = true },
    { "NORESIZE, KVM, 3 vectors", 3, 8, 3, .noresize = true, .kvm = true,
      .replays = true },
};

int main(int argc, char **argv)
{
    unsigned int i;
    bool fine = true;
    for (i = 0; i < ARRAY_SIZE(configs); i++) {
        if (argc > 1 && atoi(argv[1]) != (int)i) continue;
        Config c = configs[i];
        if (argc > 3) c.faults = atoi(argv[3]);
        if (argc > 2) c.depth = atoi(argv[2]);
        fine &= explore(&c);
    }
    return !fine;
}
