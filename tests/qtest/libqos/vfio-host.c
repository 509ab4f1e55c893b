/*
 * What a vfio-pci test needs to know of the host below QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/vfio.h>
#include <sys/ioctl.h>
#include "vfio-host.h"

static char *log_path;
static char *old_preload;

const char *qvfio_device(int n)
{
    const char *device = getenv(n == 1 ? "VFIO_MSIX_TEST_DEVICE" :
                                "VFIO_MSIX_TEST_DEVICE_2");

    return device && *device ? device : NULL;
}

/* The device's folder in sysfs */
static char *device_folder(const char *device)
{
    if (g_str_has_prefix(device, "sysfsdev=")) {
        return g_strdup(device + strlen("sysfsdev="));
    }
    if (g_str_has_prefix(device, "host=")) {
        return g_strdup_printf("/sys/bus/pci/devices/%s",
                               device + strlen("host="));
    }
    g_error("VFIO_MSIX_TEST_DEVICE: neither host= nor sysfsdev=: %s", device);
}

static int open_or_die(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        g_error("%s: %s", path, strerror(errno));
    }
    return fd;
}

static int ioctl_or_die(int fd, unsigned long request, void *arg,
                        const char *name)
{
    int ret = ioctl(fd, request, arg);

    if (ret < 0) {
        g_error("%s: %s", name, strerror(errno));
    }
    return ret;
}

bool qvfio_msix_is_dynamic(const char *device)
{
    g_autofree char *folder = device_folder(device);
    g_autofree char *link = g_build_filename(folder, "iommu_group", NULL);
    g_autofree char *group_folder = g_file_read_link(link, NULL);
    g_autofree char *group_name = NULL, *group_path = NULL, *name = NULL;
    struct vfio_irq_info info = {
        .argsz = sizeof(info),
        .index = VFIO_PCI_MSIX_IRQ_INDEX,
    };
    int container, group, fd;

    if (!group_folder) {
        g_error("%s: no such device, or it has no IOMMU group", folder);
    }

    group_name = g_path_get_basename(group_folder);
    group_path = g_build_filename("/dev/vfio", group_name, NULL);
    name = g_path_get_basename(folder);

    container = open_or_die("/dev/vfio/vfio");
    group = open_or_die(group_path);
    ioctl_or_die(group, VFIO_GROUP_SET_CONTAINER, &container, "SET_CONTAINER");
    ioctl_or_die(container, VFIO_SET_IOMMU, (void *)VFIO_TYPE1v2_IOMMU,
                 "SET_IOMMU");
    fd = ioctl_or_die(group, VFIO_GROUP_GET_DEVICE_FD, name, "GET_DEVICE_FD");
    ioctl_or_die(fd, VFIO_DEVICE_GET_IRQ_INFO, &info, "GET_IRQ_INFO");

    close(fd);
    close(group);
    close(container);

    return !(info.flags & VFIO_IRQ_INFO_NORESIZE);
}

int qvfio_host_vectors(const char *device)
{
    g_autofree char *folder = device_folder(device);
    g_autofree char *path = g_build_filename(folder, "msi_irqs", NULL);
    GDir *dir;
    int n = 0;

    /* The kernel shows the folder only while there are vectors */
    if (!g_file_test(path, G_FILE_TEST_IS_DIR)) {
        return g_file_test(folder, G_FILE_TEST_IS_DIR) ? 0 : -1;
    }

    dir = g_dir_open(path, 0, NULL);
    if (!dir) {
        return 0; /* went away between the two */
    }
    while (g_dir_read_name(dir)) {
        n++;
    }
    g_dir_close(dir);

    return n;
}

unsigned qvfio_count_fds(int pid, unsigned *eventfds)
{
    g_autofree char *folder = g_strdup_printf("/proc/%d/fdinfo", pid);
    g_autoptr(GHashTable) ids = g_hash_table_new(g_direct_hash, NULL);
    GDir *dir = g_dir_open(folder, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        g_autofree char *text = NULL;
        const char *id;

        n++;
        if (eventfds && g_file_get_contents(path, &text, NULL, NULL)) {
            id = strstr(text, "eventfd-id:");
            if (id) {
                g_hash_table_add(ids, GINT_TO_POINTER(
                    atoi(id + strlen("eventfd-id:")) + 1));
            }
        }
    }
    g_dir_close(dir);
    if (eventfds) {
        *eventfds = g_hash_table_size(ids);
    }
    return n;
}

bool qvfio_has_kvm(void)
{
    return !access("/dev/kvm", R_OK | W_OK);
}

bool qvfio_sees_kvm(void)
{
    return getenv("VFIO_SIM_IRQFDS");
}

bool qvfio_log_start(void)
{
    const char *library = getenv("VFIO_MSIX_TEST_PRELOAD");
    int fd;

    if (!library || !*library) {
        return false;
    }

    g_assert(!log_path);
    fd = g_file_open_tmp("vfio-log-XXXXXX", &log_path, NULL);
    g_assert(fd >= 0);
    close(fd);

    g_setenv("VFIO_LOG", log_path, true);
    old_preload = g_strdup(getenv("LD_PRELOAD"));
    g_setenv("LD_PRELOAD", library, true);

    return true;
}

void qvfio_log_stop(void)
{
    if (old_preload) {
        g_setenv("LD_PRELOAD", old_preload, true);
    } else {
        g_unsetenv("LD_PRELOAD");
    }
    g_clear_pointer(&old_preload, g_free);
    g_unsetenv("VFIO_LOG");
    unlink(log_path);
    g_clear_pointer(&log_path, g_free);
}

unsigned qvfio_log_count(const char *const *words)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned n = 0;
    bool ok;

    ok = g_file_get_contents(log_path, &text, NULL, NULL);
    g_assert_true(ok);
    lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) have = g_strsplit(*line, " ", -1);
        const char *const *word;

        for (word = words; *word; word++) {
            if (!g_strv_contains((const char *const *)have, *word)) {
                break;
            }
        }
        n += **line && !*word;
    }

    return n;
}
