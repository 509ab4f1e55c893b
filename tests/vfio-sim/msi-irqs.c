/*
 * vfio-sim: the device's folder msi_irqs, as in sysfs
 *
 * It holds one entry for each vector that the host has allocated, and is there
 * only while there are any (drivers/pci/msi/api.c, kernel/irq/msi.c).
 *
 * Taken away, the folder is only renamed, because the next one will have much
 * the same entries: a user that grows by disabling and enabling would make and
 * remove N² files.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "sim.h"
#include "real.h"

/* Any numbers will do; they are the Linux irq numbers of the vectors. */
#define FIRST_IRQ 32

static struct {
    bool there[MSIX_TESTDEV_MAX_VECTORS];
    bool shown;
} folders[SIM_MAX_DEVICES];

static void name_folder(SimDevice *d, bool shown, char *path, size_t size)
{
    snprintf(path, size, "%s/%smsi_irqs", d->folder, shown ? "" : ".");
}

static void name_entry(SimDevice *d, unsigned n, char *path, size_t size)
{
    snprintf(path, size, "%s/%smsi_irqs/%u", d->folder,
             folders[d->slot].shown ? "" : ".",
             FIRST_IRQ + d->slot * MSIX_TESTDEV_MAX_VECTORS + n);
}

static void set_entry(SimDevice *d, unsigned n, bool there)
{
    char path[PATH_MAX];
    int fd;

    if (folders[d->slot].there[n] == there) {
        return;
    }
    folders[d->slot].there[n] = there;
    name_entry(d, n, path, sizeof(path));
    if (!there) {
        unlink(path);
        return;
    }
    fd = sim_real()->open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
    if (fd < 0) {
        fprintf(stderr, "vfio-sim: %s: %s\n", path, strerror(errno));
        return;
    }
    sim_real()->close(fd);
}

static void show(SimDevice *d, bool shown)
{
    char from[PATH_MAX], to[PATH_MAX];

    if (folders[d->slot].shown == shown) {
        return;
    }
    name_folder(d, !shown, from, sizeof(from));
    name_folder(d, shown, to, sizeof(to));
    if (rename(from, to) < 0) {
        fprintf(stderr, "vfio-sim: %s: %s\n", to, strerror(errno));
    }
    folders[d->slot].shown = shown;
}

void sim_msi_irqs_add(SimDevice *d, unsigned first, unsigned count)
{
    unsigned n;

    if (!folders[d->slot].shown) {
        for (n = 0; n < d->nr_vectors; n++) {
            set_entry(d, n, n >= first && n < first + count);
        }
        show(d, true);
    } else {
        for (n = first; n < first + count; n++) {
            set_entry(d, n, true);
        }
    }
}

void sim_msi_irqs_remove(SimDevice *d, unsigned n)
{
    set_entry(d, n, false);
}

void sim_msi_irqs_clear(SimDevice *d)
{
    show(d, false);
}

/* An earlier process may have left entries, if it was killed. */
static void remove_entries(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    if (!dir) {
        return;
    }
    while ((entry = readdir(dir))) {
        unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

void sim_msi_irqs_open(SimDevice *d)
{
    char shown[PATH_MAX], hidden[PATH_MAX];

    name_folder(d, true, shown, sizeof(shown));
    name_folder(d, false, hidden, sizeof(hidden));
    remove_entries(shown);
    rmdir(shown);
    remove_entries(hidden);
    if (mkdir(hidden, 0755) < 0 && errno != EEXIST) {
        sim_die("%s: %s", hidden, strerror(errno));
    }
    memset(&folders[d->slot], 0, sizeof(folders[d->slot]));
}
