/*
 * vfio-sim: the settings, as the launcher has written them
 *
 * $VFIO_SIM names the simulation's folder.  Its file sim.conf has a line for
 * each device and each thing that is not as usual:
 *
 *   device 0000:01:00.0 group 1 vectors 64 personality 6.12
 *   pool 200                (host vectors; not there: as many as are wanted)
 *   pba volatile            (not there: pending bits outlive MSI-X)
 *   reset-decode-off restored
 *                           (not there: the table is lost)
 *   irqfds                  (not there: they are KVM's own)
 *   fault ... or slow ...   (faults.c)
 *
 * $VFIO_SIM_FAULT may have more of the latter, separated by semicolons, for
 * the processes that it is given to.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sim.h"

SimSettings sim_settings;

void sim_die(const char *format, ...)
{
    va_list ap;

    fputs("vfio-sim: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    _exit(2);
}

static bool parse_personality(const char *text, SimPersonality *personality)
{
    static const char *const names[] = {
        [SIM_6_1] = "6.1",
        [SIM_6_12] = "6.12",
        [SIM_MDEV] = "mdev",
    };
    unsigned i;

    for (i = 0; i < SIM_N_ELEMENTS(names); i++) {
        if (!strcmp(text, names[i])) {
            *personality = i;
            return true;
        }
    }
    return false;
}

static bool parse_device(const char *line)
{
    char name[64], personality[16];
    int group, end = 0;
    unsigned vectors;
    SimDevice *d;

    if (sscanf(line, "device %63s group %d vectors %u personality %15s%n",
               name, &group, &vectors, personality, &end) != 4 || line[end] ||
        group < 0 || vectors < 1 || vectors > MSIX_TESTDEV_MAX_VECTORS ||
        sim_settings.nr_devices == SIM_MAX_DEVICES) {
        return false;
    }

    d = calloc(1, sizeof(*d));
    if (!d || !parse_personality(personality, &d->personality) ||
        asprintf(&d->folder, "%s/devices/%s", sim_settings.folder, name) < 0) {
        return false;
    }
    d->name = strdup(name);
    d->group = group;
    d->nr_vectors = vectors;
    d->slot = sim_settings.nr_devices;
    d->wake_fd = d->listen_fd = -1;
    pthread_mutex_init(&d->igate, NULL);
    pthread_mutex_init(&d->lock, NULL);
    sim_settings.devices[sim_settings.nr_devices++] = d;
    return true;
}

static void read_faults(void)
{
    const char *text = getenv("VFIO_SIM_FAULT");
    char *copy, *line, *save = NULL;
    char error[128];

    copy = text ? strdup(text) : NULL;
    if (!copy) {
        return;
    }
    for (line = strtok_r(copy, ";", &save); line;
         line = strtok_r(NULL, ";", &save)) {
        if (!sim_fault_command(NULL, line, error, sizeof(error))) {
            sim_die("VFIO_SIM_FAULT: %s", error);
        }
    }
    free(copy);
}

bool sim_settings_read(void)
{
    const char *folder = getenv("VFIO_SIM");
    char path[PATH_MAX], line[512], error[128];
    unsigned number = 0;
    bool first;
    FILE *in;

    if (!folder || !*folder) {
        return false;
    }
    sim_settings.folder = strdup(folder);
    first = sim_host_vectors_init();
    snprintf(path, sizeof(path), "%s/sim.conf", folder);
    in = fopen(path, "re");
    if (!in) {
        sim_die("%s: %s", path, strerror(errno));
    }
    while (fgets(line, sizeof(line), in)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "device ", 7)) {
            if (!parse_device(line)) {
                sim_die("%s:%u: no such device can be", path, number);
            }
        } else if (!strncmp(line, "pool ", 5) && !first) {
            continue; /* it may have been changed since */
        } else if (!strcmp(line, "irqfds")) {
            sim_settings.irqfds = true;
        } else if (!sim_fault_command(NULL, line, error, sizeof(error))) {
            sim_die("%s:%u: %s", path, number, error);
        }
    }
    fclose(in);
    read_faults();
    return true;
}
