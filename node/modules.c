/* SPDX-License-Identifier: Apache-2.0 */
/*
 * modules: dlopen, with every way it can go wrong told apart.
 *
 * The ABI number is the first word of each symbol and of each kind and orchestrator, none of which is read further when
 * it differs: a module built against other headers may have another layout behind it. A file that was cut short (a copy
 * under way) would end the process within dlopen: it is recognised before. Symbols are bound at once (RTLD_NOW), so
 * that a missing function is an error at the start and not a crash in a turn months later.
 */
#include "node/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096

#define REFUSE(code, ...) return (snprintf(ret_why, STEAD_MODULES_WHY_SIZE, __VA_ARGS__), (code))

int stead_modules_add(struct stead_registry *registry, const char *from, const struct stead_kind *const *kinds,
                      char *ret_why)
{
    char why[256];

    for (; *kinds; kinds++) {
        const struct stead_kind *kind = *kinds;
        if (kind->abi != STEAD_ABI)
            REFUSE(STEAD_EVERSION, "%.200s: a kind was built for ABI %u, this stead has ABI %u: compile it again", from,
                   kind->abi, STEAD_ABI);
        int code = stead_registry_add(registry, kind, why);
        if (code == STEAD_EINUSE)
            REFUSE(code, "%.200s: a kind named %.63s is already loaded", from, kind->name);
        if (code != 0)
            REFUSE(code, "%.200s: %s", from, why);
    }
    return 0;
}

int stead_modules_add_orchestrators(struct stead_registry *registry, const char *from,
                                    const struct stead_orchestrator *const *list, char *ret_why)
{
    char why[256];

    for (; *list; list++) {
        const struct stead_orchestrator *it = *list;
        if (it->abi != STEAD_ORCHESTRATION_ABI)
            REFUSE(STEAD_EVERSION,
                   "%.200s: an orchestrator was built for orchestration ABI %u, this stead has %u: compile it again",
                   from, it->abi, STEAD_ORCHESTRATION_ABI);
        int code = stead_registry_add_orchestrator(registry, it, why);
        if (code != 0)
            REFUSE(code, "%.200s: %s", from, why);
    }
    return 0;
}

static int load_kinds(struct stead_registry *registry, const char *path, const struct stead_module *module,
                      char *ret_why)
{
    if (module->abi != STEAD_ABI)
        REFUSE(STEAD_EVERSION, "module %.200s was built for ABI %u, this stead has ABI %u: compile it again", path,
               module->abi, STEAD_ABI);
    if (!module->kinds)
        REFUSE(STEAD_EARGUMENT, "module %.200s has no list of kinds", path);
    return stead_modules_add(registry, path, module->kinds, ret_why);
}

static int load_orchestrators(struct stead_registry *registry, const char *path,
                              const struct stead_orchestrators *orchestrators, char *ret_why)
{
    if (orchestrators->abi != STEAD_ORCHESTRATION_ABI)
        REFUSE(STEAD_EVERSION, "module %.200s was built for orchestration ABI %u, this stead has %u: compile it again",
               path, orchestrators->abi, STEAD_ORCHESTRATION_ABI);
    if (!orchestrators->list)
        REFUSE(STEAD_EARGUMENT, "module %.200s has no list of orchestrators", path);
    return stead_modules_add_orchestrators(registry, path, orchestrators->list, ret_why);
}

/* Bytes that the segments of an object need; 0 when it is no object, or cannot be read: dlopen knows better words for
 * that. */
static uint64_t bytes_needed(int file)
{
    ElfW(Ehdr) head;
    ElfW(Phdr) segment;
    uint64_t needed = 0;

    if (pread(file, &head, sizeof head, 0) != (ssize_t)sizeof head || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
        head.e_phentsize != sizeof segment)
        return 0;
    for (unsigned i = 0; i < head.e_phnum; i++) {
        off_t at = (off_t)(head.e_phoff + i * sizeof segment);
        if (pread(file, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
            return (uint64_t)at + sizeof segment;
        if (segment.p_type == PT_LOAD && segment.p_offset + segment.p_filesz > needed)
            needed = segment.p_offset + segment.p_filesz;
    }
    return needed;
}

static int check_whole(const char *path, char *ret_why)
{
    struct stat status;
    int file = open(path, O_RDONLY | O_CLOEXEC);

    if (file < 0)
        return 0;
    uint64_t needed = bytes_needed(file), size = fstat(file, &status) == 0 ? (uint64_t)status.st_size : 0;
    close(file);
    if (needed > size)
        REFUSE(STEAD_EARGUMENT,
               "module %.200s is not whole: it has %" PRIu64 " bytes, of at least %" PRIu64 ": copy it again", path,
               size, needed);
    return 0;
}

int stead_modules_load(struct stead_registry *registry, const char *path, char *ret_why)
{
    char full[PATH_SIZE];

    /* Without a slash dlopen would search the library path; what is meant is a file. */
    int size = snprintf(full, sizeof full, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (size >= (int)sizeof full)
        REFUSE(STEAD_EARGUMENT, "the path of a module is longer than %d bytes", PATH_SIZE);
    if (access(full, R_OK) != 0)
        REFUSE(errno == ENOENT ? STEAD_ENOTFOUND : STEAD_EARGUMENT, "module %.300s: %s", path, strerror(errno));
    int code = check_whole(full, ret_why);
    if (code != 0)
        return code;
    void *object = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    if (!object)
        REFUSE(STEAD_EARGUMENT, "module %.200s cannot be loaded: %.200s", path, dlerror());
    const struct stead_module *module = dlsym(object, STEAD_MODULE_SYMBOL);
    const struct stead_orchestrators *orchestrators = dlsym(object, STEAD_ORCHESTRATORS_SYMBOL);
    if (!module && !orchestrators) {
        dlclose(object);
        REFUSE(STEAD_EARGUMENT,
               "module %.200s has neither the symbol " STEAD_MODULE_SYMBOL " nor " STEAD_ORCHESTRATORS_SYMBOL
               ": end it with STEAD_MODULE(&your_kind) or STEAD_ORCHESTRATORS(&your_orchestrator)",
               path);
    }
    /* What was added before a failure is still in the registry, which the caller throws away: the object stays loaded
     * under its feet. */
    code = module ? load_kinds(registry, path, module, ret_why) : 0;
    if (code == 0 && orchestrators)
        code = load_orchestrators(registry, path, orchestrators, ret_why);
    return code;
}
