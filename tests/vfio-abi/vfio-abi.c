/*
 * vfio-abi: what vfio-pci does with VFIO_DEVICE_SET_IRQS, call by call
 *
 * Issues systematic and random calls on an msix-testdev and prints for each,
 * in one line, what it returned, which eventfds fired and what became of the
 * device.  The calls depend on the seed and on the number of the device's
 * vectors alone, so that the output on two hosts can be compared with diff: a
 * simulated host is right if it prints what the kernel does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "abi.h"

#define MAX_PARTS 32

static unsigned nr_parts(void)
{
    unsigned n = 0;

    while (parts[n].name) {
        n++;
    }
    return n;
}

static void usage(FILE *out)
{
    fputs(
"usage: vfio-abi --device sysfsdev=PATH|host=BDF [--seed S] [--calls N]\n"
"                [--part NAME]...\n"
"       vfio-abi --device sysfsdev=PATH|host=BDF --probe\n"
"       vfio-abi --list\n"
"\n"
"Issues VFIO_DEVICE_SET_IRQS calls on an msix-testdev that is bound to\n"
"vfio-pci and prints what became of each.  The output depends on the host\n"
"alone: compare two hosts with diff.\n"
"\n"
"  --device D   the device, as QEMU's vfio-pci takes it\n"
"               (default: $VFIO_MSIX_TEST_DEVICE)\n"
"  --seed S     of the random calls (default 1)\n"
"  --calls N    at least N calls: what the systematic parts do not make is\n"
"               random (default 20000)\n"
"  --part NAME  only this part; may be repeated; \"random\" is one as well\n"
"  --probe      instead, find out what a reset with memory decoding off does\n"
"               to MSI-X vectors; the last line is reset-decode-off=lost or\n"
"               reset-decode-off=restored\n"
"  --list       show the parts\n"
"\n"
"exit status: 0, whatever the calls returned; 2 if it could not be done\n",
          out);
}

static uint64_t number_or_die(const char *option, const char *text)
{
    char *end;
    uint64_t value;

    errno = 0;
    value = strtoull(text, &end, 0);
    if (errno || *end || *text < '0' || *text > '9') {
        die("--%s: not a number: %s", option, text);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "device", required_argument, NULL, 'd' },
        { "seed", required_argument, NULL, 's' },
        { "calls", required_argument, NULL, 'c' },
        { "part", required_argument, NULL, 'p' },
        { "probe", no_argument, NULL, 'P' },
        { "list", no_argument, NULL, 'l' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    bool chosen[MAX_PARTS + 1] = { false }, any = false, probe = false;
    const char *device = getenv("VFIO_MSIX_TEST_DEVICE");
    uint64_t seed = 1, wanted = 20000;
    unsigned i;
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'd':
            device = optarg;
            break;
        case 's':
            seed = number_or_die("seed", optarg);
            break;
        case 'c':
            wanted = number_or_die("calls", optarg);
            break;
        case 'p':
            for (i = 0; i < nr_parts(); i++) {
                if (!strcmp(optarg, parts[i].name)) {
                    break;
                }
            }
            if (i == nr_parts()) {
                if (strcmp(optarg, "random")) {
                    die("--part: no part '%s', see --list", optarg);
                }
                i = MAX_PARTS;
            }
            chosen[i] = any = true;
            break;
        case 'P':
            probe = true;
            break;
        case 'l':
            for (i = 0; i < nr_parts(); i++) {
                printf("%-10s %s\n", parts[i].name, parts[i].shows);
            }
            printf("%-10s random calls and events\n", "random");
            return 0;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind != argc || !device) {
        usage(stderr);
        return 2;
    }

    random_seed(seed);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    prepare_calls();
    open_host(device);
    begin("seed=%" PRIu64 " vectors=%u", seed, dev.vectors);
    finish();
    if (probe) {
        printf("reset-decode-off=%s\n",
               reset_restores_vectors() ? "restored" : "lost");
        return 0;
    }
    for (i = 0; i < nr_parts(); i++) {
        if (!any || chosen[i]) {
            printf("# %s\n", parts[i].name);
            parts[i].run();
        }
    }
    if (!any || chosen[MAX_PARTS]) {
        printf("# random\n");
        random_calls(calls < wanted ? wanted - calls : 0);
    }
    printf("# %" PRIu64 " calls\n", calls);
    if (fflush(stdout) || ferror(stdout)) {
        die("the output cannot be written");
    }
    return 0;
}
