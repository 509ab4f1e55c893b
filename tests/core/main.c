/*
 * Explore the core on each kind of host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "explore.h"

/*
 * Whether the device's table is mapped makes no difference to the core, which
 * leaves it alone.  Whether the PBA can be read does, and is chosen anew each
 * time that it is read.
 */
static const Config hosts[] = {
    { .name = "dynamic", .replays = true, .closes = 2 },
    { .name = "dynamic-kvm", .kvm = true, .replays = true },
    { .name = "noresize", .noresize = true, .replays = true },
    { .name = "noresize-kvm", .noresize = true, .kvm = true, .replays = true },
    /* x-msix-replay=off, which loses what is raised in a resize */
    { .name = "noresize-off", .noresize = true },
};

#define DEPTH_MAX 60 /* more than are needed until there is nothing new */

static const unsigned int depths[VECTORS_MAX + 1] = {
    [1] = DEPTH_MAX, [2] = 12, [3] = 8,
};

typedef struct Options {
    const char *host;
    const char *replay;
    unsigned int vectors;
    unsigned int depth;
    bool thorough;
} Options;

static void usage(FILE *out)
{
    unsigned int i;

    fprintf(out,
            "Usage: explorer [OPTION]...\n"
            "Explore MSI-X of vfio-pci (TAP).\n\n"
            "  --host KIND      only this kind of host\n"
            "  --vectors N      only with so many vectors, 1 to %d\n"
            "  --depth N        events of a sequence (default: all with 1 "
            "vector, %u with 2,\n"
            "                   %u with 3)\n"
            "  --thorough       leave nothing out that should make no "
            "difference\n"
            "  --replay TEXT    do a sequence that was printed; wants --host "
            "and --vectors\n"
            "  --help\n\n"
            "Kinds of hosts:", VECTORS_MAX, depths[2], depths[3]);
    for (i = 0; i < ARRAY_SIZE(hosts); i++) {
        fprintf(out, " %s", hosts[i].name);
    }
    fprintf(out, "\n");
}

static unsigned int number(const char *text, unsigned int max)
{
    guint64 n;

    if (!g_ascii_string_to_unsigned(text, 10, 1, max, &n, NULL)) {
        fprintf(stderr, "explorer: %s is not a number from 1 to %u\n", text,
                max);
        exit(EXIT_FAILURE);
    }
    return n;
}

static Options parse(int argc, char **argv)
{
    static const struct option known[] = {
        { "host", required_argument, NULL, 'h' },
        { "vectors", required_argument, NULL, 'v' },
        { "depth", required_argument, NULL, 'd' },
        { "thorough", no_argument, NULL, 't' },
        { "replay", required_argument, NULL, 'r' },
        { "help", no_argument, NULL, '?' },
        { NULL },
    };
    Options options = { NULL };
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (c) {
        case 'h':
            options.host = optarg;
            break;
        case 'v':
            options.vectors = number(optarg, VECTORS_MAX);
            break;
        case 'd':
            options.depth = number(optarg, DEPTH_MAX);
            break;
        case 't':
            options.thorough = true;
            break;
        case 'r':
            options.replay = optarg;
            break;
        default:
            if (!strcmp(argv[optind - 1], "--help")) {
                usage(stdout);
                exit(EXIT_SUCCESS);
            }
            usage(stderr);
            exit(EXIT_FAILURE);
        }
    }
    if (optind < argc ||
        (options.replay && !(options.host && options.vectors))) {
        usage(stderr);
        exit(EXIT_FAILURE);
    }

    return options;
}

int main(int argc, char **argv)
{
    Options options = parse(argc, argv);
    unsigned int first = options.vectors ? options.vectors : 1;
    unsigned int last = options.vectors ? options.vectors : VECTORS_MAX;
    unsigned int i, vectors, tests = 0;
    bool fine = true;

    for (i = 0; i < ARRAY_SIZE(hosts); i++) {
        if (options.host && strcmp(options.host, hosts[i].name)) {
            continue;
        }
        for (vectors = first; vectors <= last; vectors++) {
            Config c = hosts[i];

            c.vectors = vectors;
            c.depth = options.depth ? options.depth :
                      c.closes == vectors ? DEPTH_MAX : depths[vectors];
            c.thorough = options.thorough;
            if (options.replay) {
                return tell_replay(&c, options.replay) ? EXIT_SUCCESS :
                       EXIT_FAILURE;
            }
            fine &= explore(&c, ++tests);
        }
    }
    if (!tests) {
        fprintf(stderr, "explorer: there is no host %s\n", options.host);
        return EXIT_FAILURE;
    }
    printf("1..%u\n", tests);

    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
